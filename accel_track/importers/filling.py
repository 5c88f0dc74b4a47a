"""The filling of a journal with what a source has of one run."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from accel_track.delivery.artifacts import checksums, logged, name_of
from accel_track.delivery.media import KeptMedia
from accel_track.delivery.staging import Staging
from accel_track.importers.rows import BatchedRun, Rows
from accel_track.journal.past import PastWriter
from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.texts import storable_text
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.copies import FULL
from accel_track.values.capture import Captured, captured
from accel_track.values.passing import leave_out
from accel_track.values.plain import check_step, leaves, storable
from accel_track.values.structures import reason

AnyLogged = Metrics | Artifact | Checkpoint
Together = AnyLogged | Rows

LATEST = 32503680000.0
"""The year 3000: a number of seconds beyond it is no time of a record."""


def readable(run: BackendRun, scratch: Path) -> Iterator[Together]:
    """Yield a run's records until their reader fails, which is counted as lost; those of a table together."""
    try:
        yield from run.batches() if isinstance(run, BatchedRun) else run.records(scratch)
    except Exception as error:  # noqa: BLE001 - a reader of somebody else's files may meet anything
        run.lost[f"what follows, since it cannot be read: {reason(error)}"] += 1


def count_of(record: Together) -> int:
    """Return the number of values in a record; an artifact or a checkpoint counts as one, anything else as none."""
    if isinstance(record, Rows):
        return record.calls * len(record.names)
    if type(record) is Metrics:
        try:
            return sum(1 for _ in leaves(record.values))
        except Exception:  # noqa: BLE001 - no dictionary, or one that cannot be read
            return 0
    return int(isinstance(record, AnyLogged))


class Filling:
    """One rank's journal and media, filled with records of the past.

    Args:
        folder: The rank's folder.
        begin: When the run began, for records without a time.
        places: The folders of the source; a symbolic link that leads out of them is not followed.

    Attributes:
        values: How many values were read.
        lost: How often one could not be kept, by a sentence that says what.
    """

    def __init__(self, folder: Path, begin: float, places: Iterable[Path]) -> None:
        """Begin the journal.

        Raises:
            OSError: It cannot be written.
        """
        self.values = 0
        self.lost: Counter[str] = Counter()
        self._folder, self._begin = folder, begin
        self._writer = PastWriter(folder, begin)
        self._media, self._staging = KeptMedia(folder), Staging(folder)
        self._places = tuple(os.path.abspath(place) + os.sep for place in places)
        self._real = tuple(os.path.realpath(place) + os.sep for place in self._places)
        self._first: dict[str, str] = {}

    def config(self, values: dict[str, Any]) -> None:
        """Append hyperparameters."""
        if values:
            self._writer.config(values)

    def fill(self, records: Iterable[Together], tell: Callable[[int], None], often: int) -> None:
        """Append records.

        Args:
            records: The records.
            tell: Called with the number of values, now and then.
            often: How many values there are from one call of `tell` to the next, at least.

        Raises:
            OSError: They cannot be written.
        """
        writer, again, begin, values, next_sign = self._writer, self._writer.again, self._begin, 0, often
        for record in records:
            if isinstance(record, Rows):
                self._rows(record)
                values += record.calls * len(record.names)
                tell(values)
                continue
            try:
                writer.moment = moment if 0 < (moment := record.time) < LATEST else begin
            except (AttributeError, TypeError):  # it is no record
                writer.moment = begin
            if type(record) is Metrics and again(record.values, record.step):
                values += len(record.values)
            else:
                self._take(record)
                values += count_of(record)
            if values >= next_sign:
                next_sign = values + often
                tell(values)
        self.values += values
        tell(values)

    def _rows(self, rows: Rows) -> None:
        """Append rows together, and those that are unlike the ones before alone."""
        import numpy as np

        key = (rows.names, rows.types)
        moments = np.where((rows.moments > 0) & (rows.moments < LATEST), rows.moments, self._begin)
        done = 0
        while done < rows.calls:
            steps = None if rows.steps is None else rows.steps[done:]
            together = self._writer.again_together(key, steps, moments[done:], [one[done:] for one in rows.columns])
            if not together:
                self._writer.moment = float(moments[done])
                record = rows.record(done)
                if not self._writer.again(record.values, record.step):
                    self._metrics(record)
            done += together or 1

    def _take(self, record: AnyLogged) -> None:
        if type(record) is Artifact:
            self._artifact(record)
        elif type(record) is Checkpoint:
            self._checkpoint(record)
        elif type(record) is Metrics:
            self._metrics(record)
        else:
            self.lost[f"records of the unknown kind {type(record).__name__}"] += 1

    def _metrics(self, record: Metrics) -> None:
        try:
            call = captured(record.values, copies=False, waits_for_gpu=True)
        except Exception as error:  # noqa: BLE001 - no dictionary, names that are no texts, an object's own error
            self._count("calls that are none", reason(error))
            return
        try:
            step = check_step(record.step)
        except (TypeError, ValueError):
            self.lost["steps that are no integers of 0 or more; their values are kept without one"] += 1
            step = None
        if call.media:
            call = self._without_links(call)
            self._media.keep(call)
            while self._media.files.encode_next():
                pass
        for name, why in call.unread.items():
            self._count("values that could not be kept", f"{name}: {why}")
        self._writer.metrics(call.values, step, {}, unread=call.unread)
        for kept in self._writer.kept:
            if kept.on_disk:
                self._count("values of a kind that no file can hold", next(iter(kept.record.values), ""))
            else:
                self._count("calls that are too long for a record", next(iter(kept.record.values), ""))
        self._writer.forget(self._writer.next_seq)

    def _without_links(self, call: Captured) -> Captured:
        """Leave out media whose files are reached by a link that leads out of the source."""
        for found in call.media:
            path = found.content.path
            if path is not None and self._leads_out(os.fspath(path)):
                leave_out(found, _elsewhere(), call)
        return call._replace(media=[one for one in call.media if one.name not in call.unread])

    def _artifact(self, record: Artifact) -> None:
        path, name = os.path.abspath(record.path), storable_text(record.name)
        try:
            if self._leads_out(path):
                raise _elsewhere()
            found = logged(path, self._staging, copy=True)
        except (OSError, ValueError) as error:
            if self._is_full(error):
                raise
            self._count("files that could not be kept", f"{name_of(name, path)}: {reason(error)}")
            self._writer.metrics({}, None, {}, unread={name_of(name, path): reason(error)})
            return
        kind, values = storable_text(record.type), storable(record.values)
        self._writer.artifact(name, found.path, kind, _step(record.step), values, found.files)
        for _ in checksums(self._folder, found):
            pass

    def _checkpoint(self, record: Checkpoint) -> None:
        kept, path = "", os.path.abspath(record.path)
        try:
            if record.path and self._leads_out(path):
                raise _elsewhere()
            kept = self._staging.keep(path, copy=shutil.copy2) if record.path else ""
        except OSError as error:
            if self._is_full(error):
                raise
            self._count("files that could not be kept", f"{record.name}: {reason(error)}")
            return
        self._writer.checkpoint(storable_text(record.name), kept, _step(record.step), storable(record.values))

    def _leads_out(self, path: str) -> bool:
        """Return whether a file, or one in a folder, is reached by a symbolic link that leads out of the source."""
        root = os.path.realpath(path)
        within = (*self._real, root + os.sep)
        if not root.startswith(self._real) and (path.startswith(self._places) or os.path.islink(path)):
            return True
        inner = (os.path.join(parent, name) for parent, *names in os.walk(path) for name in itertools.chain(*names))
        return any(not os.path.realpath(one).startswith(within) for one in inner if os.path.islink(one))

    @staticmethod
    def _is_full(error: Exception) -> bool:
        return isinstance(error, OSError) and error.errno in FULL

    def _count(self, what: str, example: str) -> None:
        """Count something as lost, with the first one as an example."""
        sentence = self._first.setdefault(what, f"{what}, such as {example}")
        self.lost[sentence] += 1

    def close(self) -> None:
        """Store the journal.

        Raises:
            OSError: It cannot be stored.
        """
        self._writer.close()
        self._media.files.forget_spares()


def _elsewhere() -> OSError:
    return OSError("a link leads out of the source, and is not followed")


def _step(step: Any) -> int | None:
    try:
        return check_step(step)
    except (TypeError, ValueError):
        return None
