"""torch's SummaryWriter on a file that something else writes to as well; imports torch."""
# Modules of protobuf get their classes when they are imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import threading
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from torch.utils import tensorboard
from torch.utils.tensorboard.summary import scalar
from torch.utils.tensorboard.writer import FileWriter

from accel_track.trackers.tensorboard import wire
from accel_track.trackers.tensorboard.file import EventFile


class _EventWriter:
    """The methods of TensorBoard's `EventFileWriter`, on a file of ours."""

    def __init__(self, file: EventFile) -> None:
        self._file = file

    def get_logdir(self) -> str:
        return self._file.folder

    def add_event(self, event: Event) -> None:
        self._file.append(wire.frame(event.SerializeToString()))

    def flush(self) -> None:
        """Do nothing: the file is not buffered."""

    def close(self) -> None:
        """Do nothing: the tracker closes its file."""

    def reopen(self) -> None:
        """Do nothing, as the above."""


class _FileWriter(FileWriter):
    def __init__(self, file: EventFile) -> None:
        self.event_writer = _EventWriter(file)


class SummaryWriter(tensorboard.SummaryWriter):
    """A writer to a tracker's event file, which writes at once, and which `close` leaves open.

    `add_hparams` and `add_scalars` make other files, in folders of their own.

    Args:
        file: The event file.
        **kwargs: Passed to the writers of other files, which `add_scalars` makes.
    """

    file_writer: Any
    all_writers: Any

    def __init__(self, file: EventFile, **kwargs: Any) -> None:
        """Open nothing."""
        self._file = file
        self._lock = threading.RLock()
        super().__init__(file.folder, **kwargs)

    def _get_file_writer(self) -> Any:
        with self._lock:
            if self.file_writer is None:
                self.file_writer = _FileWriter(self._file)
                self.all_writers = {self._file.folder: self.file_writer}
            return self.file_writer

    # The tracker flushes and closes in its worker's thread, while another may be adding a writer of another file.

    def add_scalars(self, *args: Any, **kwargs: Any) -> None:
        """Write several scalars of one name, each to a file of its own."""
        with self._lock:
            super().add_scalars(*args, **kwargs)

    def flush(self) -> None:
        """Write other files to disk; the tracker's is always there."""
        with self._lock:
            super().flush()

    def close(self) -> None:
        """Close other files."""
        with self._lock:
            super().close()


def number_value(name: str, number: float, **kwargs: Any) -> bytes:
    """Return a number as one of a summary's values, with the arguments of `SummaryWriter.add_scalar`.

    Raises:
        TypeError: There is no such argument.
    """
    summary = scalar(name, number, **kwargs)  # type: ignore[no-untyped-call]
    return wire.value(summary.value[0].SerializeToString())
