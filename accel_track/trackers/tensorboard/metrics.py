"""The events of calls: all of many calls at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from accel_track.journal.entries import ShortRecords
from accel_track.records import Metrics
from accel_track.trackers.rows import Row
from accel_track.trackers.tensorboard import batches, wire
from accel_track.trackers.tensorboard.hparams import TensorBoardHParams
from accel_track.trackers.tensorboard.summaries import text_value


class TensorBoardMetrics(TensorBoardHParams):
    """The part of the tracker that writes events of values."""

    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Write several calls of `log` at once; `kwargs` are `walltime` and others of `SummaryWriter.add_scalar`.

        A value that is delivered again after a kill, and is among the folder's last million events, is left out.
        """
        if self.started and isinstance(records, ShortRecords) and self._are_new(records):
            self.append_values(batches.events(records, lambda record: self._event(Row(self, record))))
        else:
            super().log_batch(records)

    def write(self, rows: Sequence[Row]) -> None:
        """Write an event for each call."""
        self.append_values(b"".join([event for row in rows if (event := self._event(row))]))

    def _are_new(self, records: ShortRecords) -> bool:
        """Return whether none of the records can have been delivered before."""
        delivered = self.delivered
        return delivered is None or all(stretch.keys.time > delivered.until for stretch in records.stretches)

    def _event(self, row: Row) -> bytes | None:
        """Return a call's framed event; None if it has no values or was delivered before."""
        kwargs = dict(row.kwargs)
        walltime = kwargs.pop("walltime", None)
        time = row.time if walltime is None else walltime
        event = None if kwargs or not row.values else wire.numbers_event(row.values, row.step, time)
        if event is None:
            encode: Callable[..., bytes] = wire.number
            if kwargs:
                from accel_track.trackers.tensorboard.native import number_value as encode
            values = [
                text_value(name, value) if isinstance(value, str) else encode(name, value, **kwargs)
                for name, value in row.values.items()
            ]
            event = wire.event(values, row.step, time) if values else None
        known = event is not None and self.delivered is not None and self.delivered.has(event, row.step, time)
        return None if known else event
