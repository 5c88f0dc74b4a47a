"""The messages of a Comet experiment, as records of what was logged."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accel_track.records import Artifact, Metrics
from accel_track.trackers.comet.archive import Archive
from accel_track.trackers.comet.stored_media import page, points, stored_value, without_suffix
from accel_track.trackers.reading.copies import new_folder, only
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.values import NUMBERS, step_of, with_numbers

_OWN_UPLOADS = frozenset(
    ("source_code", "git-patch", "notebook", "conda-environment-definition", "conda-info", "conda-specification")
)
_OWN_METRICS = frozenset(("process duration",))
_NUMBERS = {**NUMBERS, "nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_TOGETHER = 1.0
"""Seconds between the values of one call, at most."""
_UNNAMED = "auto-generated-in-the-backend"


class Messages:
    """The records of the messages of one archive.

    Args:
        archive: The archive.
        lost: Counts, by a sentence, what cannot be read.
        began: The time of what has none before the first that has one.
        scratch: A folder for copies of files.
    """

    def __init__(self, archive: Archive, lost: Counter[str], began: float, scratch: Path) -> None:
        """Read nothing yet."""
        self._archive, self._lost, self._scratch = archive, lost, scratch
        self._time = began
        self._step: int | None = None
        self._values: dict[str, Any] = {}
        self._group: tuple[str, str] = ("", "")
        self._folder: Path | None = None
        self._files: dict[str, Path] = {}
        self._known: tuple[dict[str, Any], int | None] = ({}, None)

    def records(self) -> Iterator[Metrics | Artifact]:
        """Yield the calls, and what was uploaded, in the order of the messages."""
        for kind, content in self._archive.messages("parameter_msg", "standard_output"):
            yield from self._tried(kind, content)
        yield from self._settled()
        yield from self._artifact()

    def _tried(self, kind: str, content: dict[str, Any]) -> Iterator[Metrics | Artifact]:
        try:
            if kind == "metric_msg":
                yield from self._metric(content)
            elif kind == "file_upload":
                yield from self._upload(content)
            elif kind == "html":
                yield from self._values_of(*page(str(content["html"])))
            elif kind == "3d-image":
                for item in content["items"]:
                    if item["type"] == "points":
                        medium = points(self._fetched(item["file_path"], "points"))
                        yield from self._values_of(content["name"], content.get("step"), medium)
        except LostError as error:
            self._lost[str(error)] += 1
        except (LookupError, TypeError, ValueError, AttributeError, OSError):
            self._lost["a message that does not say what it should"] += 1

    def _metric(self, content: dict[str, Any]) -> Iterator[Metrics]:
        metric = content["metric"]
        name, value, step = (
            metric["metricName"],
            with_numbers(metric["metricValue"], _NUMBERS),
            step_of(metric.get("step")),
        )
        moment = _moment(content, self._time)
        if not isinstance(value, (int, float)):
            self._lost["a value of a metric that is no number"] += 1
        elif name not in _OWN_METRICS:
            if name in self._values or step != self._step or moment - self._time > _TOGETHER:
                yield from self._settled()
            if not self._values:
                self._time, self._step = moment, step
            self._values[name] = value

    def _settled(self) -> Iterator[Metrics]:
        if self._values:
            yield Metrics(-1, self._time, self._values, self._step)
            self._values = {}

    def _values_of(self, name: str, step: Any, value: Any, moment: float | None = None) -> Iterator[Metrics]:
        yield from self._settled()
        yield Metrics(-1, self._time if moment is None else moment, {str(name): value}, step_of(step))

    def _upload(self, content: dict[str, Any]) -> Iterator[Metrics | Artifact]:
        kind, about, known = content["upload_type"], content["additional_params"], content.get("metadata") or {}
        if kind in _OWN_UPLOADS:
            return
        moment, step = _moment(content, self._time), step_of(about.get("step"))
        name = str(about.get("figName") or about.get("fileName") or kind)
        if kind == "model-element" or "artifact" in known:
            yield from self._settled()
            yield from self._add(kind, name, content, known, step)
            return
        path = self._fetched(content["file_path"], os.path.basename(name) or "file", about.get("extension"))
        value = stored_value(kind, path, known)
        if value is None:
            yield from self._settled()
            yield Artifact(-1, moment, dict(known), name, str(path), "artifact" if kind == "asset" else kind, step)
        elif kind == "text-sample":
            yield from self._values_of(known.get("name") or ("text" if name == _UNNAMED else name), step, value, moment)
        elif kind in ("visualization", "histogram3d", "curve"):
            yield from self._values_of(name, step, value, moment)
        else:
            yield from self._values_of(without_suffix(name), step, value, moment)

    def _add(
        self, kind: str, name: str, content: dict[str, Any], known: dict[str, Any], step: int | None
    ) -> Iterator[Artifact]:
        """Add a file to an artifact or model, whose files follow each other."""
        owner = known.get("artifact") or content["additional_params"].get("groupingName") or name
        part = name.removeprefix(f"{owner}/") if name.startswith(f"{owner}/") else os.path.basename(name)
        if self._group != (kind, owner) or part in self._files:
            yield from self._artifact()
            self._group, self._folder = (kind, str(owner)), new_folder(self._scratch)
        assert self._folder is not None  # noqa: S101 - made with the group
        self._files[part] = self._archive.fetch(content["file_path"], self._folder, part)
        about = {key: value for key, value in known.items() if key not in ("artifact", "step")}
        self._known = about, step if known.get("step") is None else step_of(known["step"])

    def _artifact(self) -> Iterator[Artifact]:
        if self._files:
            kind, name = self._group
            about, step = self._known
            what = str(about.pop("type", "artifact")) if kind != "model-element" else "model"
            assert self._folder is not None  # noqa: S101 - made with the group
            path = only(self._folder, list(self._files.values()))
            yield Artifact(-1, self._time, about, name, str(path), what, step)
            self._files = {}
        self._group = ("", "")

    def _fetched(self, file: Any, name: str, extension: Any = None) -> Path:
        suffix = f".{extension}" if extension and not name.endswith(f".{extension}") else ""
        return self._archive.fetch(file, new_folder(self._scratch), f"{name}{suffix}")


def _moment(content: dict[str, Any], before: float) -> float:
    stamp = content.get("local_timestamp")
    return stamp / 1000 if isinstance(stamp, (int, float)) else before
