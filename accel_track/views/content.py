"""The content of a run's journals, as people look at it: hyperparameters, metrics and their points, media and files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accel_track.journal.directory import RunDirectory
from accel_track.journal.entries import Entry, ShortEntries
from accel_track.journal.reader import History, JournalReader, newest_begin
from accel_track.records import AnyRecord, Artifact, Checkpoint, Config, Metrics, Rewind, media_in
from accel_track.values.plain import leaves
from accel_track.views.media_calls import MediaCall, MediaCalls
from accel_track.views.metric import Last, Metric, Places

if TYPE_CHECKING:
    from accel_track.journal.keysets import KeySet

_AT_ONCE = 20_000
"""Records in memory at once."""


class _Rank(NamedTuple):
    """The place up to which the journal of a rank was read."""

    folder: Path
    history: History
    reader: JournalReader


class _Gathered:
    """The numbers of one metric in some records of a rank, not in order yet."""

    def __init__(self) -> None:
        self.columns: list[tuple[Places, Any]] = []
        self.single: list[tuple[int, int, float, float]] = []


class Content:
    """What a run's journals hold. `update` reads what came since the last call; before the first, there is nothing.

    Values that no longer count, since the run went back to an earlier step, are left out.

    Args:
        run: The run directory.
        wanted: Of which metrics the points are kept, 32 bytes each; None: of all.

    Attributes:
        config: Hyperparameters, nested as they were logged.
        environment: Where the program ran.
        metrics: The metrics by name; names of nested values are joined with "/".
        media: By name: `kind`, `count`, and the last one's `last`, `step`, `time` and `rank`.
        media_calls: By name, the calls that logged these.
        artifacts: Of each: `name`, `type`, `step`, `path`, `files` (how many), `bytes`, `about`.
        checkpoints: By name: `step` and `about`.
        alerts: Of each: `time`, `title`, `text`, `level`, `rule` (empty: the program raised it) and `rank`.
        rewinds: Steps to which the run went back, of all ranks.
        records: How many records were read, also those that no longer count.
        logged: How many records each rank has logged, by the highest number that was read.
        newest: The time of the newest record of metrics, in seconds since 1970-01-01 UTC, or None.
    """

    def __init__(self, run: RunDirectory, *, wanted: Callable[[str], bool] | None = None) -> None:
        """Read nothing yet."""
        self._run, self._wanted = run, wanted
        self._ranks: dict[int, _Rank] = {}
        self._empty()

    def _empty(self) -> None:
        self._ranks.clear()
        self.config: dict[str, Any] = {}
        self.environment: dict[str, Any] = {}
        self.metrics: dict[str, Metric] = {}
        self.media: dict[str, dict[str, Any]] = {}
        self.media_calls: defaultdict[str, MediaCalls] = defaultdict(MediaCalls)
        self.artifacts: list[dict[str, Any]] = []
        self.checkpoints: dict[str, dict[str, Any]] = {}
        self.alerts: list[dict[str, Any]] = []
        self.records = 0
        self.logged: dict[int, int] = {}
        self.newest: float | None = None

    @property
    def rewinds(self) -> list[int]:
        """Steps to which the run went back."""
        return [one.step for rank in self._ranks.values() for one in rank.history.rewinds]

    @property
    def damaged(self) -> int:
        """The number of skipped bytes of the journals."""
        return sum(rank.reader.damaged() for rank in self._ranks.values())

    @property
    def ends(self) -> dict[int, int]:
        """The number of records that each rank has logged, even if the newest of them are damaged.

        Raises:
            JournalError: A segment is of a later version of the format.
        """
        return {rank: max(self.logged.get(rank, 0), newest_begin(its.folder)) for rank, its in self._ranks.items()}

    def update(self) -> bool:
        """Read the records since the last call; return whether there were any.

        Raises:
            JournalError: A segment is of a later version of the format.
            OSError: A segment cannot be read.
        """
        before = self.records
        while not self._read_on():  # the run went back: what was read before is looked at anew
            self._empty()
            before = -1
        return self.records != before

    def _read_on(self) -> bool:
        """Read up to the present end; False where a rewind came that was not known."""
        for number in self._run.ranks():
            if number not in self._ranks:
                folder = self._run.rank(number)
                self._ranks[number] = _Rank(folder, History(folder), JournalReader(folder))
        for number, (_, history, reader) in self._ranks.items():
            known = {one.seq for one in history.rewinds}
            while any(found := reader.read_apart(_AT_ONCE)):
                if not self._add(number, history, *found, known):
                    return False
        return True

    def _add(self, rank: int, history: History, short: ShortEntries, others: Sequence[Entry], known: set[int]) -> bool:
        gathered: defaultdict[str, _Gathered] = defaultdict(_Gathered)
        for entry in others:
            record = entry.record
            self._note_seq(rank, record.seq)
            if isinstance(record, Rewind) and record.seq not in known:
                return False
            if history.counts(record):
                self._add_record(rank, record, gathered)
        self._add_short(rank, history, short, gathered)
        self.records += len(short) + len(others)
        for name, found in gathered.items():
            self.metrics[name].add(rank, *_in_order(found))
        return True

    def _add_short(self, rank: int, history: History, entries: ShortEntries, gathered: dict[str, _Gathered]) -> None:
        """Add records of numbers alone, without a look at each."""
        groups: dict[int, tuple[KeySet, list[bytes]]] = {}
        for keys, data, _ in entries.stretches:
            groups.setdefault(id(keys), (keys, []))[1].append(data)
        for keys, pieces in groups.values():
            data = b"".join(pieces)
            places, numbers = Places(*keys.places(data)), keys.numbers(data)
            self._note_seq(rank, int(places.seqs.max()))
            if history.rewinds:
                counts = history.counting_places(places.seqs, places.steps)
                if not counts.any():
                    continue
                places, numbers = places.where(counts), numbers[counts]
                last = int(counts.nonzero()[0][-1])
                data = data[last * keys.size : (last + 1) * keys.size]
            for name, column in zip(keys.names, numbers.T, strict=True):
                gathered[name if isinstance(name, str) else "/".join(name)].columns.append((places, column))
            self._note_last(rank, keys.records(data[-keys.size :])[0])

    def _note_last(self, rank: int, record: Metrics) -> None:
        """Keep a record's numbers as the last ones, with their own types."""
        self._note_time(record.time)
        for name, value in leaves(record.values):
            self._metric(name).note(Last(value, record.step, record.time, rank), record.seq)

    def _note_seq(self, rank: int, seq: int) -> None:
        self.logged[rank] = max(self.logged.get(rank, 0), seq + 1)

    def _note_time(self, time: float) -> None:
        self.newest = time if self.newest is None else max(self.newest, time)

    def _metric(self, name: str) -> Metric:
        found = self.metrics.get(name)
        if found is None:
            keeps = self._wanted is None or self._wanted(name)
            found = self.metrics[name] = Metric(keeps_points=keeps)
        return found

    def _add_record(self, rank: int, record: AnyRecord, gathered: dict[str, _Gathered]) -> None:
        if isinstance(record, Config):
            (self.environment if record.environment else self.config).update(record.values)
        elif isinstance(record, Checkpoint):
            self.checkpoints[record.name] = {"step": record.step, "about": record.values}
            if not (record.path or record.values):
                del self.checkpoints[record.name]
        elif isinstance(record, Artifact):
            self.artifacts.append(_about(record))
        elif isinstance(record, Metrics) and (alert := record.alert) is not None:
            said = {"title": alert.title, "text": alert.text, "level": alert.level, "rule": alert.rule}
            self.alerts.append({"time": record.time, **said, "rank": rank})
        elif isinstance(record, Metrics):
            self._note_time(record.time)
            for name, value in leaves(record.values):
                self._add_value(rank, record, name, value, gathered)

    def _add_value(self, rank: int, record: Metrics, name: str, value: Any, gathered: dict[str, _Gathered]) -> None:
        if found := list(media_in(value)):
            before = self.media.get(name, {"count": 0})["count"]
            where = {"step": record.step, "time": record.time, "rank": rank}
            self.media_calls[name].add(MediaCall(value, record.step, record.time, rank))
            self.media[name] = {"kind": found[0].kind, "count": before + len(found), "last": value, **where}
            return
        self._metric(name).note(Last(value, record.step, record.time, rank), record.seq)
        if isinstance(value, (bool, int, float)):
            try:
                number = float(value)
            except OverflowError:  # an integer beyond what a curve has
                return
            step = -1 if record.step is None else record.step
            gathered[name].single.append((record.seq, step, record.time, number))


def _in_order(found: _Gathered) -> tuple[Places, Any]:
    """Return the places and the numbers that were gathered, in the order of their records."""
    import numpy as np

    columns = found.columns
    if found.single:
        seqs, steps, times, numbers = zip(*found.single, strict=True)
        places = Places(np.array(seqs, "i8"), np.array(steps, "i8"), np.array(times, "f8"))
        columns = [*columns, (places, np.array(numbers, "f8"))]
    if len(columns) == 1:
        return columns[0]
    whole = [np.concatenate(each) for each in zip(*((*places, column) for places, column in columns), strict=True)]
    order = np.argsort(whole[0], kind="stable")
    return Places(*whole[:3]).where(order), whole[3][order]


def _about(record: Artifact) -> dict[str, Any]:
    about = {"name": record.name, "type": record.type, "step": record.step, "path": record.path}
    total = sum(count for count, _ in record.files.values())
    return {**about, "files": len(record.files), "bytes": total, "about": record.values}
