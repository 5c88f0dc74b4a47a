"""The reader of Comet's offline experiments: their archives, several for one that was continued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from accel_track.errors import NotReadableError
from accel_track.outcome import Outcome, Status
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.comet.archive import MESSAGES, Archive, is_archive
from accel_track.trackers.comet.messages import Messages
from accel_track.trackers.reading.places import is_regular
from accel_track.trackers.reading.walks import walked

STATUS = "status"
"""The name among the "other" values under which the tracker tells how a run ended."""


def archives(place: Path, *, quick: bool = False) -> Iterator[Path]:
    """Yield the archives below a folder, or the one that this is; never raises; `quick` as for `walked`."""
    if is_archive(place):
        yield place
        return
    for folder, _, files in walked(place, quick=quick) if place.is_dir() else ():
        if MESSAGES in files and is_archive(folder):
            yield folder
        named = (folder / file for file in files if file.endswith(".zip"))
        yield from (one for one in named if is_regular(one) and is_archive(one))


def experiments_of(paths: Iterable[Path]) -> Iterator[CometRun]:
    """Yield the experiments that archives are of, in the order of their beginnings."""
    found: dict[str, list[tuple[float, Path]]] = {}
    for path in paths:
        about = Archive(path, Counter()).about()
        began = about.get("start_time")
        own = str(about.get("offline_id") or path.name)
        found.setdefault(own, []).append((began if isinstance(began, (int, float)) else 0.0, path))
    for own, parts in sorted(found.items(), key=lambda one: min(one[1])):
        yield CometRun(own, [path for _, path in sorted(parts)])


def run_with(key: str, folder: str, unfinished: str | None) -> CometRun:
    """Return the offline experiment of a key.

    Args:
        key: The experiment's key.
        folder: Where archives are.
        unfinished: The folder of the experiment while it is running, or None.

    Raises:
        NotReadableError: There is none.
    """
    paths = [path for path in sorted(Path(folder).glob("*.zip")) if path.name.startswith(key) and is_archive(path)]
    own = [run for run in experiments_of(paths) if run.id == key]
    parts = own[0].paths if key and own else []
    if unfinished is not None and is_archive(Path(unfinished)):
        parts = [*parts, Path(unfinished)]
    if not parts:
        message = f"comet_ml: there is no offline experiment {key!r} in {folder}; what is on a server is not read."
        raise NotReadableError(message)
    return CometRun(key, parts)


class CometRun(BackendRun):
    """An offline experiment of Comet's.

    "Other" values, source code, the console's output and Comet's own metrics are not among its records. Numbers that
    follow each other within a second, with one step and none twice, are of one call.

    Args:
        id: The experiment's key.
        paths: Its archives, oldest first.
    """

    def __init__(self, id: str, paths: Sequence[Path]) -> None:  # noqa: A002 - as in the base
        """Read the archives once, without decoding their metrics."""
        super().__init__(id)
        self.paths = list(paths)
        nested, params = False, {}
        for path in self.paths:
            archive = Archive(path, Counter())
            about = archive.about()
            self.project = about.get("project_name") or self.project
            began = about.get("start_time")
            if self.created is None and isinstance(began, (int, float)):
                self.created = began / 1000
            self.outcome = None
            for kind, content in archive.messages("metric_msg", "standard_output"):
                if kind == "parameter_msg":
                    one = content.get("param") or content.get("params")
                    if isinstance(one, dict) and one.get("source") != "auto-logged":
                        params[str(one.get("paramName"))] = one.get("paramValue")
                elif kind == "log_other":
                    nested = nested or content.get("key") == "hasNestedParams"
                    self._learn(content.get("key"), content.get("value"))
        self.config = _nested(params) if nested else params

    def _learn(self, key: Any, value: Any) -> None:
        if key == "Name":
            self.name = str(value)
        elif key == STATUS:
            status, _, reason = str(value).partition(": ")
            found = next((one for one in get_args(Status) if one == status), None)
            self.outcome = None if found is None else Outcome(found, reason or None)

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact]:
        """Yield the calls, and what was uploaded, in the order of the messages."""
        self.lost.clear()
        for path in self.paths:
            yield from Messages(Archive(path, self.lost), self.lost, self.created or 0.0, scratch).records()


def _nested(params: dict[str, Any]) -> dict[str, Any]:
    """Return hyperparameters in the dictionaries of which Comet has joined the names with "|"."""
    whole: dict[str, Any] = {}
    for name, value in params.items():
        *way, last = name.split("|")
        place = whole
        for part in way:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                place, last = whole, name
                break
            place = inner
        place[last] = value
    return whole
