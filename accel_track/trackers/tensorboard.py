"""Deliver a run to TensorBoard event files."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from accel_track.trackers._tensorboard_events import Key, newest_values
from accel_track.trackers.base import on_main_process
from accel_track.trackers.sdk import SDKTracker
from accel_track.values import flat_config, is_number, leaves, storable

if TYPE_CHECKING:
    from typing_extensions import Self


class TensorBoardTracker(SDKTracker):
    """One event-file directory, `<logging_dir>/<run_name>`, written by `torch.utils.tensorboard.SummaryWriter`.

    Numbers become scalars and strings text; the names of nested dictionaries are joined with "/". Hyperparameters go to
    the HParams tab and to `hparams.yml` in the same directory. All of it is in one event file per start, which
    TensorBoard follows live without flags. Values have the time of the call that logged them.

    After `rewind`, TensorBoard hides values of that step and later ones, as with `SummaryWriter(purge_step=)`; its fast
    loader hides those of a name once the name has a new value. Event files hold neither a status nor checkpoints.

    Args:
        run_name: Folder of the run below `logging_dir`.
        logging_dir: Parent folder; created when missing.
        resume: Keep the hyperparameters that the folder has, and add to them.
        **kwargs: Passed to `SummaryWriter`.
    """

    name = "tensorboard"
    requires_logging_directory = True
    sdk = "tensorboard"
    install = "tensorboard>=2.18"

    def __init__(self, run_name: str, logging_dir: str | os.PathLike[str], resume: bool = False, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.logging_dir = os.path.join(logging_dir, run_name)
        self.resume = resume
        self.init_kwargs = kwargs
        self.config: dict[str, Any] = {}
        self._session_pending = False
        self._has_session = False
        self._known: set[Key] = set()

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use `<directory>/<project>/<run_name>`."""
        return cls(**{"run_name": os.path.join(project, run_name or ""), "logging_dir": directory, **init_kwargs})

    @on_main_process
    def start(self) -> None:
        """Open the writer."""
        if self.started:
            return
        self.import_sdk()
        from torch.utils.tensorboard import SummaryWriter

        self._session_pending = False
        self.config, self._has_session, self._known = {}, False, set()
        if self.resume:
            self.config, self._has_session = _stored(Path(self.logging_dir))
            self._known = newest_values(Path(self.logging_dir))
            _outlast(Path(self.logging_dir))
        self.native = SummaryWriter(self.logging_dir, **self.init_kwargs)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Write `hparams.yml`, and the HParams tab's session with the next values; later calls add to earlier ones."""
        self.config.update(storable(values))
        place = os.path.join(self.logging_dir, "hparams.yml")
        with open(f"{place}.new", "w", encoding="utf-8") as file:
            yaml.safe_dump(self.config, file, sort_keys=False, allow_unicode=True)
        os.replace(f"{place}.new", place)  # a process that is killed leaves no half of it
        self._session_pending = not self._has_session

    def _write_session(self) -> None:
        from torch.utils.tensorboard.summary import hparams

        self._session_pending = False
        # TensorBoard shows only a run's first session, so it is written once all hyperparameters are here.
        # `SummaryWriter.add_hparams` raises on lists and nesting and opens a second event file in another folder.
        flat = {name: str(value) if value is None else value for name, value in flat_config(self.config).items()}
        for summary in hparams(flat, {}):  # type: ignore[no-untyped-call]
            self.tracker._get_file_writer().add_summary(summary)  # noqa: SLF001

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write scalars and texts; `kwargs` go to `add_scalar` and `add_text` (e.g. `walltime`).

        What is delivered again after a process was killed, and is among the last values of its file, is left out.
        """
        if self._session_pending:
            self._write_session()
        if self.record_time is not None:
            kwargs = {"walltime": self.record_time, **kwargs}
        for key, value in leaves(values):
            tag = f"{key}/text_summary" if isinstance(value, str) else key
            if self._known and (tag, step or 0, self.record_time) in self._known:
                continue
            if is_number(value):
                self.tracker.add_scalar(key, value, global_step=step, **kwargs)
            elif isinstance(value, str):
                self.tracker.add_text(key, value, global_step=step, **kwargs)
            else:
                self.drop(key, value)

    @on_main_process
    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write images.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. One image
                keeps the name; several get `name/0`, `name/1`, ….
            step: Training step.
            **kwargs: Passed to `SummaryWriter.add_image`.
        """
        for name, image in self.named_images(values):
            self.tracker.add_image(name, image, global_step=step, **{"dataformats": "HWC", **kwargs})

    @on_main_process
    def rewind(self, step: int) -> None:
        """Write the events by which TensorBoard forgets values of this step and later ones."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        # TensorBoard takes the first such event in a folder for the beginning of the run, and forgets nothing.
        for _ in range(2):
            event = Event(session_log=SessionLog(status=SessionLog.START))
            self.tracker._get_file_writer().add_event(event, step=step)  # noqa: SLF001

    @on_main_process
    def log_graph(self, model: Any, inputs: Any) -> None:
        """Write the module's graph, traced with these inputs by `torch.jit.trace`."""
        self.tracker.add_graph(model, inputs)

    @on_main_process
    def flush(self) -> None:
        """Write everything to disk."""
        if self._session_pending:
            self._write_session()
        self.tracker.flush()

    def identity(self) -> dict[str, Any]:
        """Return what makes another process go on in the same folder, with an event file of its own."""
        return {} if self.native is None else {"run_name": self.run_name, "resume": True}

    @on_main_process
    def finish(self) -> None:
        """Close the event file."""
        if self.native is not None:
            self.flush()
            self.native.close()
            self.native = None


def _stored(folder: Path) -> tuple[dict[str, Any], bool]:
    """Return the content of `hparams.yml`, and whether an event file has a session for the HParams tab."""
    file = folder / "hparams.yml"
    config = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None
    events = folder.glob("events.out.tfevents.*")
    return config or {}, any(b"_hparams_/session_start_info" in path.read_bytes() for path in events)


def _outlast(folder: Path) -> None:
    """Wait until a new event file comes after those in the folder.

    TensorBoard reads files in the order of their names, which begin with the second of their creation and go on with
    the number of the process. Files of the future, from a computer whose clock is ahead, are not waited for.
    """
    seconds = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*.*")]
    latest = max((int(second) for second in seconds if second.isdigit()), default=0)
    left = latest + 1 - time.time()
    if 0 < left <= 1:
        time.sleep(left)
