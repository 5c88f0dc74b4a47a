"""The tracker for TensorBoard event files."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from accel_track.errors import NotReadableError
from accel_track.folders import command_line
from accel_track.trackers.sdk import native_object
from accel_track.trackers.tensorboard.events import Delivered, outlast
from accel_track.trackers.tensorboard.file import EventFile
from accel_track.trackers.tensorboard.hparams import stored_hparams
from accel_track.trackers.tensorboard.media import TensorBoardMedia
from accel_track.trackers.tensorboard.metrics import TensorBoardMetrics
from accel_track.trackers.tensorboard.summaries import rewind_event

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun

_OPTIONS = ("comment", "purge_step", "max_queue", "flush_secs", "filename_suffix")
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE)
_making = threading.RLock()


class TensorBoardTracker(TensorBoardMetrics, TensorBoardMedia):
    """One event-file directory, `<logging_dir>/<run_name>`, with one event file per start.

    TensorBoard follows the file live without flags. Numbers become scalars and strings text; the names of nested
    dictionaries are joined with "/". Hyperparameters go to the HParams tab and to `hparams.yml` in the same directory.
    Values have the time of the call that logged them. The values of one call are one event.

    The file is written by accel_track itself, many calls at a time: `log` and `log_batch` return when all of it is in
    the file, where `kill -9` does not reach it, and raise when none of it is. A disk that is full is waited for.

    `tracker` is a `torch.utils.tensorboard.SummaryWriter` that writes to the same file, from any thread. torch is
    imported, and it is made, when it is first asked for. Its `close` leaves the tracker's file open.

    After `rewind`, TensorBoard hides values of that step and later ones, as with `SummaryWriter(purge_step=)`; its fast
    loader hides those of a name once the name has a new value. Event files hold neither a status nor checkpoints.

    Args:
        run_name: Folder of the run below `logging_dir`.
        logging_dir: Parent folder; created when missing.
        resume: Keep the hyperparameters that the folder has, and add to them.
        **kwargs: Arguments of `SummaryWriter`. `purge_step` is a `rewind` at the start, `filename_suffix` ends the
            event file's name. `max_queue` and `flush_secs` are for the other files that `SummaryWriter.add_scalars`
            makes, the tracker's own needs neither; `comment` has no effect, as in `SummaryWriter` with a folder.
    """

    name = "tensorboard"
    requires_logging_directory = True
    sdk = "tensorboard"
    install = "tensorboard>=2.18"
    precision = 1e-6
    keeps_time = True
    batch_size: ClassVar[int] = 100
    finish_again = True
    native: EventFile | None
    writer = native_object

    def __init__(self, run_name: str, logging_dir: str | os.PathLike[str], resume: bool = False, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__(run_name, **kwargs)
        self.logging_dir = os.path.join(logging_dir, run_name)
        self.resume = resume
        self._writer: Any = None

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use `<directory>/<project>/<run_name>`."""
        return cls(**{"run_name": os.path.join(project, run_name or ""), "logging_dir": directory, **init_kwargs})

    @classmethod
    def in_folder(cls, folder: str, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Return the folder as the run's name."""
        return {"run_name": folder}

    def open(self, sdk: Any) -> EventFile:
        """Make the event file.

        Raises:
            TypeError: An argument is none of `SummaryWriter`'s.
        """
        if unknown := sorted(set(self.init_kwargs) - set(_OPTIONS)):
            message = f"tensorboard: unknown argument {unknown[0]!r}; SummaryWriter takes {', '.join(_OPTIONS)}."
            raise TypeError(message)
        self.config, self.has_session, self.delivered = {}, False, None
        if self.resume:
            folder = Path(self.logging_dir)
            self.config, self.delivered = stored_hparams(folder), Delivered(folder)
            self.has_session = self.delivered.has_session
            outlast(folder)
        return EventFile(self.logging_dir, self.init_kwargs.get("filename_suffix", ""))

    def begin(self, native: EventFile) -> None:
        """Rewind to `purge_step`."""
        if (step := self.init_kwargs.get("purge_step")) is not None:
            self.rewind(int(step))

    @property
    def tracker(self) -> Any:
        """A `SummaryWriter` on the tracker's event file; an object that does nothing on ranks without one.

        Raises:
            NotStartedError: `start` was not called yet, or `finish` was.
        """
        with _making:
            if self.native is None:
                return super().tracker
            if self._writer is None:
                from accel_track.trackers.tensorboard.native import SummaryWriter

                more = {name: value for name, value in self.init_kwargs.items() if name != "purge_step"}
                self._writer = SummaryWriter(self.native, **more)
            return self._writer

    def rewind(self, step: int) -> None:
        """Write the events by which TensorBoard forgets values of this step and later ones."""
        # TensorBoard takes the first such event in a folder for the beginning of the run, and forgets nothing.
        self.append(2 * rewind_event(step, self.now()))
        if self.delivered is not None:
            self.delivered.rewind(step)

    def flush(self) -> None:
        """Write other files of `tracker`; all else is written already."""
        if self._writer is not None:
            self._writer.flush()

    def rest(self) -> None:
        """Close the event file, which is opened again by whatever writes to it next."""
        if self.native is not None:
            self.native.close()

    def is_transient(self, error: BaseException) -> bool:
        """Return whether an error may pass by itself: also that of a disk which is full, or does not answer."""
        return (isinstance(error, OSError) and error.errno in _PASSING) or super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the arguments with which another process goes on in the same folder, with an event file of its own."""
        return {} if self.native is None else {"run_name": self.run_name, "resume": True}

    def read(self) -> BackendRun:
        """Return the content of the folder's event files.

        Raises:
            NotReadableError: There are none.
        """
        from accel_track.trackers.tensorboard.reading import run_in

        if (run := run_in(Path(self.logging_dir))) is None:
            message = f"{self.name}: there are no event files in {self.logging_dir}."
            raise NotReadableError(message)
        return run

    def look(self) -> str | None:
        """Return the command that shows the folder."""
        return command_line("tensorboard", "--logdir", Path(self.logging_dir))

    def close(self, native: EventFile) -> None:
        """Close the file, and other files of `tracker`."""
        with _making:
            if self._writer is not None:
                self._writer.close()
            native.close()
            self._writer = None
