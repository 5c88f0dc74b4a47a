"""The reader of the tracker's file of JSON lines, and of the media and artifacts beside it."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from accel_track.files import open_regular, read_file
from accel_track.media.kinds import KINDS, Medium
from accel_track.media.sums import sha256
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.jsonl import CONFIG, HEAD, NOT_FINITE, OURS
from accel_track.trackers.jsonl_media import ARTIFACTS, INDEX
from accel_track.trackers.reading.lost import OUTSIDE, LostError
from accel_track.trackers.reading.places import is_within, stays_within, within
from accel_track.trackers.reading.values import step_of
from accel_track.values.plain import is_number

_LARGEST = 2**26
_NUMBERS = frozenset((int, float))


class JsonlRun(BackendRun):
    """One file of the tracker.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        """Read the hyperparameters."""
        super().__init__(str(file))
        self.name = file.parent.name
        self.project = file.parent.parent.name
        self._file = file
        first = next(self._lines(), None)
        self.lost.clear()  # what is damaged is found once more
        self.created = None if first is None else first.time
        self.config = self._json(CONFIG)

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact]:
        """Yield the lines, and the artifacts between them by their times."""
        artifacts = sorted(self._artifacts(), key=lambda one: one.time)
        both: tuple[Iterable[Metrics | Artifact], ...] = (self._lines(), artifacts)
        yield from heapq.merge(*both, key=lambda one: one.time)

    def _json(self, name: str) -> dict[str, Any]:
        """Return the dictionary that a file beside the lines holds."""
        file = self._file.parent / name
        try:
            if file.exists():
                return msgspec.json.decode(read_file(file, _LARGEST), type=dict[str, Any])
        except (OSError, ValueError) as error:
            self.lost[f"{name} cannot be read: {error}"] += 1
        return {}

    def _lines(self) -> Iterator[Metrics]:
        try:
            with open(open_regular(self._file), "rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        yield from self._line(line)
                    else:
                        self.lost["the last line is cut off"] += 1
        except OSError as error:
            self.lost[f"{self._file.name} cannot be read any further: {error}"] += 1

    def _line(self, line: bytes) -> Iterator[Metrics]:
        try:
            whole = json.loads(line)
            step, time, _ = (whole.pop(name) for name in HEAD)
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            self.lost["a line is damaged"] += 1
            return
        values: dict[str, Any] = {}
        for name, value in whole.items():
            found = value if type(value) in _NUMBERS else self._value(value)
            if found is not None or value is None:
                values[_given(name)] = found
        if values:
            good = type(step) is int and step >= 0
            yield Metrics(-1, time if is_number(time) else 0.0, values, step=step if good else None)

    def _value(self, value: Any) -> Any:
        """Return a value, of a list the media that can be read; None for what cannot."""
        if isinstance(value, str):
            return NOT_FINITE.get(value, value)
        if isinstance(value, list):
            return [one for one in map(self._readable, value) if one is not None] or None
        return self._readable(value) if isinstance(value, dict) else value

    def _readable(self, about: Any) -> Medium | None:
        try:
            return self._medium(about)
        except Exception:  # noqa: BLE001 - anything may be in a file that somebody else wrote
            self.lost["a value is damaged, or its file is not there"] += 1
            return None

    def _medium(self, about: Mapping[str, Any]) -> Medium:
        """Return the medium that an object in a line tells of.

        Raises:
            ValueError: Its file is not there, or another one.
            KeyError: It is of no kind that is known.
            OSError: Its file cannot be read.
        """
        info = {name: value for name, value in about.items() if name not in ("_type", "file", "sha256")}
        path = None
        if "file" in about:
            path = self._file.parent / about["file"]
            if not is_within(path, self._file.parent) or sha256(path) != about["sha256"]:
                message = f"{path} is not the file that the line tells of"
                raise ValueError(message)
        return KINDS[about["_type"]].of_stored(info, path)

    def _artifacts(self) -> Iterator[Artifact]:
        for place, about in self._json(INDEX).items():
            try:
                path = self._file.parent / ARTIFACTS / place
                parts = list(about["sha256"])
                if len(parts) == 1 and "/" not in parts[0]:  # it was one file
                    path /= parts[0]
                if not stays_within(within(path, self._file.parent), self._file.parent):
                    raise LostError(OUTSIDE)  # noqa: TRY301 - as `within` does
                step = step_of(about["step"])
                name, kind = str(about["name"]), str(about["type"])
                known = float(about["time"]), dict(about["metadata"])
                yield Artifact(-1, *known, name=name, path=str(path), type=kind, step=step)
            except LostError as error:  # noqa: PERF203 - the other artifacts are there
                self.lost[str(error)] += 1
            except (KeyError, TypeError, AttributeError, ValueError):
                self.lost["an artifact's description is damaged"] += 1


@lru_cache(maxsize=65_536)
def _given(name: str) -> str:
    """Return the name that the user gave, without what has put it out of the way of a line's own fields."""
    return name.removeprefix("_") if OURS.fullmatch(name) else name
