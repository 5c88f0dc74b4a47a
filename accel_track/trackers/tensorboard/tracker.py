"""The tracker for TensorBoard event files."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from accel_track.files import replace_file
from accel_track.journal.entries import ShortRecords
from accel_track.outcome import FINISHED
from accel_track.records import Metrics
from accel_track.trackers.base import on_main_process
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.tensorboard import batches, wire
from accel_track.trackers.tensorboard.events import HPARAMS, Delivered, outlast, stored_hparams
from accel_track.trackers.tensorboard.file import EventFile
from accel_track.trackers.tensorboard.summaries import (
    image_value,
    rewind_event,
    session_end,
    session_start,
    text_value,
)
from accel_track.values.plain import flat_config, is_number, leaves, storable

if TYPE_CHECKING:
    from typing_extensions import Self

_OPTIONS = ("comment", "purge_step", "max_queue", "flush_secs", "filename_suffix")
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE)
_making = threading.RLock()


class TensorBoardTracker(SDKTracker):
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
    native: EventFile | None

    def __init__(self, run_name: str, logging_dir: str | os.PathLike[str], resume: bool = False, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.logging_dir = os.path.join(logging_dir, run_name)
        self.resume = resume
        self.init_kwargs = kwargs
        self.config: dict[str, Any] = {}
        self._has_session = False
        self._delivered: Delivered | None = None
        self._writer: Any = None

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use `<directory>/<project>/<run_name>`."""
        return cls(**{"run_name": os.path.join(project, run_name or ""), "logging_dir": directory, **init_kwargs})

    @on_main_process
    def start(self) -> None:
        """Make the event file.

        Raises:
            TypeError: An argument is none of `SummaryWriter`'s.
        """
        if self.started:
            return
        self.import_sdk()
        if unknown := sorted(set(self.init_kwargs) - set(_OPTIONS)):
            message = f"tensorboard: unknown argument {unknown[0]!r}; SummaryWriter takes {', '.join(_OPTIONS)}."
            raise TypeError(message)
        self.config, self._has_session, self._delivered = {}, False, None
        if self.resume:
            folder = Path(self.logging_dir)
            self.config, self._delivered = stored_hparams(folder), Delivered(folder)
            self._has_session = self._delivered.has_session
            outlast(folder)
        self.native = EventFile(self.logging_dir, self.init_kwargs.get("filename_suffix", ""))
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

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Write `hparams.yml`, and the HParams tab's session with the first value; later calls add to earlier ones."""
        self.config.update(storable(values))
        text = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True)
        replace_file(Path(self.logging_dir, HPARAMS), text.encode("utf-8", "backslashreplace"), 0o666)

    @on_main_process
    def store_environment(self, values: dict[str, Any]) -> None:
        """Write a text of each name, in YAML."""
        texts = {name: yaml.safe_dump(value, sort_keys=False) for name, value in storable(values).items()}
        content = [text_value(name, f"```\n{text}```") for name, text in texts.items()]
        event = wire.event(content, None, self.now())
        if self._delivered is None or not self._delivered.has(event, None, self.now()):
            self._append(event)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write scalars and texts.

        Args:
            values: Names to values.
            step: Training step.
            **kwargs: `walltime`, in seconds since 1970-01-01 UTC, and for numbers other arguments of
                `SummaryWriter.add_scalar`, for which torch is imported.
        """
        step = None if step is None else int(step)
        TensorBoardTracker.log_batch(
            self, [Metrics(0, self.now(), values, step, {self.name: kwargs} if kwargs else {})]
        )

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Write several calls of `log` at once.

        What is delivered again after a process was killed, and is among the folder's last million events, is left out.
        """
        dropped: list[tuple[str, Any]] = []
        if isinstance(records, ShortRecords) and self._are_new(records):
            events = batches.events(records, lambda record: self._event(record, dropped))
        else:
            events = b"".join([event for record in records if (event := self._event(record, dropped))])
        self._append_values(events)
        for name, value in dropped:  # now that it will not be repeated
            self.drop(name, value)

    def _are_new(self, records: ShortRecords) -> bool:
        """Whether none of the records can have been delivered before."""
        delivered = self._delivered
        return delivered is None or all(stretch.keys.time > delivered.until for stretch in records.stretches)

    def _event(self, record: Metrics, dropped: list[tuple[str, Any]]) -> bytes | None:
        """Return a call's framed event; None if it has no values or was delivered before."""
        kwargs = dict(record.kwargs.get(self.name, {})) if record.kwargs else {}
        walltime = kwargs.pop("walltime", None)
        time = record.time if walltime is None else walltime
        event = None if kwargs or not record.values else wire.numbers_event(record.values, record.step, time)
        if event is None:
            values = self._values(record.values, kwargs, dropped)
            if not values:
                return None
            event = wire.event(values, record.step, time)
        if self._delivered is not None and self._delivered.has(event, record.step, time):
            return None
        return event

    def _values(self, values: Mapping[str, Any], kwargs: dict[str, Any], dropped: list[tuple[str, Any]]) -> list[bytes]:
        encode: Callable[..., bytes] = wire.number
        if kwargs:
            from accel_track.trackers.tensorboard.native import number_value as encode
        found = []
        for name, value in leaves(values):
            if is_number(value):
                found.append(encode(name, value, **kwargs))
            elif isinstance(value, str):
                found.append(text_value(name, value))
            else:
                dropped.append((name, value))
        return found

    def _append_values(self, events: bytes) -> None:
        """Write framed events of values, and before the first ones the HParams tab's session.

        TensorBoard shows only a run's first session, so it is not written before all hyperparameters are here.
        """
        if events and self.config and not self._has_session:
            self._append(wire.event([session_start(flat_config(self.config))], None, self.now()) + events)
            self._has_session = True
        elif events:
            self._append(events)

    def _append(self, events: bytes) -> None:
        if self.native is None:
            _ = self.tracker  # says that it was not started
            return
        self.native.append(events)

    @on_main_process
    def log_images(
        self,
        values: dict[str, Any],
        step: int | None = None,
        walltime: float | None = None,
        dataformats: str | None = None,
    ) -> None:
        """Write images.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. One image
                keeps the name; several get `name/0`, `name/1`, ….
            step: Training step.
            walltime: In seconds since 1970-01-01 UTC. Default: now.
            dataformats: Taken for `SummaryWriter.add_image`'s sake, and not needed.
        """
        time = self.now() if walltime is None else walltime
        images = [image_value(name, image) for name, image in self.named_images(values)]
        self._append_values(b"".join(wire.event([image], step, time) for image in images))

    @on_main_process
    def rewind(self, step: int) -> None:
        """Write the events by which TensorBoard forgets values of this step and later ones."""
        # TensorBoard takes the first such event in a folder for the beginning of the run, and forgets nothing.
        self._append(2 * rewind_event(step, self.now()))
        if self._delivered is not None:
            self._delivered.rewind(step)

    @on_main_process
    def log_graph(self, model: Any, inputs: Any) -> None:
        """Write the module's graph, traced with these inputs by `torch.jit.trace`."""
        self.tracker.add_graph(model, inputs)

    @on_main_process
    def flush(self) -> None:
        """Write other files of `tracker`; all else is written already."""
        if self._writer is not None:
            self._writer.flush()

    @on_main_process
    def rest(self) -> None:
        """Close the event file, which is opened again by whatever writes to it next."""
        if self.native is not None:
            self.native.close()

    def is_transient(self, error: BaseException) -> bool:
        """Whether an error may pass by itself: also that of a disk which is full, or does not answer."""
        return (isinstance(error, OSError) and error.errno in _PASSING) or super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return what makes another process go on in the same folder, with an event file of its own."""
        return {} if self.native is None else {"run_name": self.run_name, "resume": True}

    @on_main_process
    def finish(self) -> None:
        """Write the HParams tab's session if no value came, and that the run has come to its end; close the file."""
        if self.native is None:
            return
        if self.config and not self._has_session:
            self._append(wire.event([session_start(flat_config(self.config))], None, self.now()))
            self._has_session = True
        if self._has_session and self.outcome == FINISHED:
            self._append(wire.event([session_end()], None, self.now()))
        self.flush()
        with _making:
            if self._writer is not None:
                self._writer.close()
            self.native.close()
            self.native = self._writer = None
