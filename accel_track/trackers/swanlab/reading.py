"""The reader of SwanLab's log files: the records of a run, in one folder or in several."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.outcome import Outcome
from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.lost import NO_STEP, LostError
from accel_track.trackers.reading.values import step_of
from accel_track.trackers.reading.walks import files_below
from accel_track.trackers.swanlab.log_file import SUFFIX, is_log_file, payloads
from accel_track.trackers.swanlab.saved_files import SavedFiles, configuration
from accel_track.trackers.swanlab.stored import medium_of

_OWN = "__swanlab__."
"""The beginning of the names of SwanLab's own metrics of the machine."""

_STATUS = {1: "finished", 2: "failed", 3: "interrupted"}
_KIND = "COLUMN_TYPE_"


class SwanLabRun(BackendRun):
    """A run of SwanLab's, of which each process that continued it has made a folder.

    Args:
        id: The run's id.
        files: Its log files, oldest first.
    """

    def __init__(self, id: str, files: Sequence[Path]) -> None:  # noqa: A002 - the word of the attribute
        """Read everything beside the values."""
        super().__init__(id)
        self._files = files
        self._parse = _parser()
        for file in files:
            start = _start(file, self._parse)
            if start is not None:
                self.project, self.name = start.project or None, start.name or None
                self.created = self.created or start.started_at.ToNanoseconds() / 1e9
            try:
                self.config |= configuration(file.parent / "files")
            except LostError as error:
                self.lost[str(error)] += 1
        self.outcome = self._ended() if files else None

    def _ended(self) -> Outcome | None:
        found = None
        for record in self._decoded(payloads(self._files[-1], end_only=True), count=False):
            if record.HasField("finish"):
                found = record.finish
        if found is None or found.state not in _STATUS:
            return None
        word, _, reason = found.error.partition(": ")
        status = _STATUS[found.state]
        if status == "interrupted" and word == "preempted":
            status = word
        return Outcome(status, (reason if word == status else found.error) or None)  # type: ignore[arg-type]

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact | Checkpoint]:
        """Yield the values of each call, then the files that were saved."""
        saved = SavedFiles(scratch)
        # A process that continues the run logs again what may be in an earlier folder; SwanLab keeps the first.
        seen = _seen() if len(self._files) > 1 else None
        for file in self._files:
            rows = _Rows(self, seen)
            for record in self._decoded(payloads(file, self.lost)):
                if record.HasField("scalar"):
                    yield from rows.add(record.scalar, record.scalar.value.number)
                elif record.HasField("media"):
                    yield from self._media(record.media, file.parent / "media", rows)
                elif record.HasField("save"):
                    saved.add(file.parent / "files", record.save)
            yield from rows.left()
        yield from saved.records(self.created or 0.0)
        self.lost += saved.lost

    def _decoded(self, encoded: Iterator[bytes], *, count: bool = True) -> Iterator[Any]:
        for payload in encoded:
            try:
                record = self._parse(payload)
            except Exception:  # noqa: BLE001 - protobuf's own, of which there are several
                self.lost["a record that is damaged"] += count
                continue
            yield record

    def _media(self, record: Any, folder: Path, rows: _Rows) -> Iterator[Metrics | Artifact]:
        kind = type(record).DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number.get(record.type)
        name = "" if kind is None else kind.name.removeprefix(_KIND).lower()
        found: list[Any] = []
        for item in record.value.items:
            try:
                one = medium_of(folder, name, item)
            except LostError as error:
                self.lost[str(error)] += 1
                continue
            if isinstance(one, Path):
                step = step_of(record.step)
                yield Artifact(-1, _time(record), {}, name=record.key, path=str(one), type=name or "medium", step=step)
            else:
                found.append(one)
        if found:
            yield from rows.add(record, found[0] if len(record.value.items) == 1 else found)


class _Rows:
    """The values of a run, put together by their calls: these have one step and one time, and follow each other.

    Args:
        run: Counts what is lost.
        seen: The steps of each name that are known; None if none can come again.
    """

    def __init__(self, run: BackendRun, seen: dict[str, Any] | None) -> None:
        self._run, self._seen = run, seen
        self._place: tuple[int, int, int] | None = None
        self._values: dict[str, Any] = {}

    def add(self, record: Any, value: Any) -> Iterator[Metrics]:
        name, step, moment = record.key, record.step, record.timestamp
        place = (step, moment.seconds, moment.nanos)
        if place != self._place or name in self._values:
            yield from self.left()
            self._place = place
        if name.startswith(_OWN):
            return
        if self._seen is not None:
            if step >= 0 and step in self._seen[name]:
                return
            self._seen[name].add(max(step, 0))
        self._values[name] = value

    def left(self) -> Iterator[Metrics]:
        """Yield the values that were added last."""
        if self._values and self._place is not None:
            step, seconds, nanos = self._place
            if step < 0:
                self._run.lost[NO_STEP] += 1
            yield Metrics(-1, seconds + nanos / 1e9, self._values, step_of(step))
            self._values = {}


def _time(record: Any) -> float:
    return float(record.timestamp.seconds + record.timestamp.nanos / 1e9)


def _seen() -> dict[str, Any]:
    from pyroaring import BitMap64  # a requirement of SwanLab's

    return defaultdict(BitMap64)


def _parser() -> Callable[[bytes], Any]:
    """Return the decoder of a record.

    Raises:
        NotReadableError: SwanLab is not installed, or another release.
    """
    try:
        from swanlab.proto.swanlab.record.v1.record_pb2 import Record
    except ImportError as error:
        message = f"swanlab: its records cannot be read ({error}); install the package `swanlab`, 0.10 or later."
        raise NotReadableError(message) from error
    parse: Callable[[bytes], Any] = Record.FromString
    return parse


def _start(file: Path, parse: Callable[[bytes], Any]) -> Any:
    """Return the record that a log file begins with; None if it is damaged."""
    try:
        record = parse(next(payloads(file)))
    except Exception:  # noqa: BLE001 - an empty file, the file system's errors, protobuf's
        return None
    return record.start if record.HasField("start") else None


def log_files(place: Path, *, quick: bool = False) -> Iterator[Path]:
    """Yield SwanLab's log files below a folder, or the one that a file is; `quick` as for `walked`."""
    return (path for path in files_below(place, SUFFIX, quick=quick) if is_log_file(path))


def runs_in(files: Sequence[Path]) -> Iterator[SwanLabRun]:
    """Yield the runs whose log files these are, oldest first.

    Raises:
        NotReadableError: SwanLab is not installed.
    """
    parse = _parser()
    runs: dict[tuple[Path, str], list[tuple[int, Path]]] = defaultdict(list)
    for file in files:
        start = _start(file, parse)
        own = file.parent.name.rpartition("-")[2] if start is None or not start.id else start.id
        begin = file.stat().st_mtime_ns if start is None else start.started_at.ToNanoseconds()
        runs[file.parent.parent, own].append((begin, file))
    for (_, own), several in sorted(runs.items(), key=lambda item: min(item[1])):
        yield SwanLabRun(own, [file for _, file in sorted(several)])


def read_run(folder: Path, id: str) -> SwanLabRun:  # noqa: A002 - the word of the attribute
    """Return a run by its id.

    Args:
        folder: The folder that SwanLab makes those of runs in.
        id: The run's id.

    Raises:
        NotReadableError: There is no such run, or SwanLab is not installed.
    """
    found = [path for one in sorted(folder.glob(f"run-*-{glob.escape(id)}")) for path in one.glob(f"*{SUFFIX}")]
    # SwanLab writes nothing before it has 8 KiB, not even how its files begin.
    for run in runs_in([path for path in found if is_log_file(path) or not path.stat().st_size]):
        if run.id == id:
            return run
    message = f"swanlab: {folder} has no run {id!r}."
    raise NotReadableError(message)
