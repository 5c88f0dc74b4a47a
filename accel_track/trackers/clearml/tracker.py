"""The tracker for ClearML."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import HalfStoredError
from accel_track.media import rows, without_single_channel
from accel_track.records import Metrics
from accel_track.trackers.base import on_main_process
from accel_track.trackers.clearml.failures import Failures
from accel_track.trackers.clearml.fast import SUMMARY, Process, Scalar, Scalars, Tasks
from accel_track.trackers.clearml.process import has_credentials
from accel_track.trackers.clearml.task import begin, close, delete_artifact
from accel_track.trackers.fast import Gate
from accel_track.trackers.files import lasting
from accel_track.trackers.names import hashed_name
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.sole import Sole
from accel_track.values.plain import finite, flat_config, is_number, leaves

if TYPE_CHECKING:
    from typing_extensions import Self

_SPLITS = "train|validation|valid|val|eval|test"
_LEADING = re.compile(rf"(?P<series>{_SPLITS})[_/](?P<title>.+)")
_PLACE = Sole()
_OURS: set[str] = set()
"""The ids of all tasks that trackers of this process have made."""
_TRAILING = re.compile(rf"(?P<title>.+)[_/](?P<series>{_SPLITS})")


class ClearMLTracker(SDKTracker):
    """One ClearML task. If the program has a task already (`Task.current_task()`), that is used and never closed.

    A process has one task at a time. One that a tracker has made, and that nobody has finished when the next run
    starts, is closed for it once its values are stored.

    Numbers become scalars: "train_loss", "train/loss" and "loss/val" are series of the plot "loss", other names are
    split at their last "/". Numbers without a step become single values. All have the time of the call that logged
    them. NaN and ±inf are dropped, since ClearML would store 0; texts are dropped. Hyperparameters are in the section
    "General", nested ones joined with "/".

    A run ends as completed, failed, or, if it was interrupted or preempted, stopped, with the reason; a session of the
    offline mode has user properties with it. Where a run goes on from an earlier step, the values of before stay beside
    the new ones, since ClearML deletes no values. Checkpoints are artifacts, folders as archives.

    Args:
        run_name: Name of the project.
        **kwargs: Passed to `Task.init`. Other than there, each start makes a new task (`reuse_last_task_id=False`), and
            nothing that other trackers or the program write is captured a second time (`auto_connect_frameworks=False`,
            `auto_connect_arg_parser=False`). A continued task (`continue_last_task`) keeps the steps as they are given.
    """

    name = "clearml"
    requires_logging_directory = False
    sdk = "clearml"
    install = "clearml>=2.1"
    takes_text = False
    takes_nan = False
    takes_inf = False
    keeps_time = True
    batch_size = 100
    fast_paths = (Scalars, Process, Tasks)
    keeps_status = True
    wraps_terminal = True

    def __init__(self, run_name: str | None = None, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.init_kwargs = kwargs
        self._close_at_end = True
        self._scalars, self._tasks = Gate(self.name, Scalars), Gate(self.name, Tasks)
        self._failures = Failures()
        self._pictures: tempfile.TemporaryDirectory[str] | None = None
        self._owners: dict[tuple[str, str], str] = {}
        self._places: dict[str, tuple[str, str]] = {}

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use the project, and the run's name as the task's; ClearML's local files stay in its cache folder."""
        return cls(**{"run_name": project, **({"task_name": run_name} if run_name else {}), **init_kwargs})

    @classmethod
    def not_configured(cls, init_kwargs: Mapping[str, Any]) -> str | None:
        """Look for a task, the offline mode, and keys in the environment and the configuration files."""
        if has_credentials():
            return None
        return (
            "no credentials; run `clearml-init`, or set CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY, "
            "or CLEARML_OFFLINE_MODE=1 to log to local files."
        )

    @on_main_process
    def start(self) -> None:
        """Create the task, or use the process's own."""
        if self.started:
            return
        clearml = self.import_sdk()
        self.check_configured()
        self._tasks.open(clearml)
        task = self._task_of_the_program(clearml)
        self._close_at_end = task is None
        if task is None:
            task = begin(clearml, self._tasks, self.run_name, self.init_kwargs)
            _OURS.add(task.id)
        self._owners, self._places = {}, {}
        self.native = task
        self._scalars.open(task)
        self._failures.begin()

    def _task_of_the_program(self, clearml: Any) -> Any:
        """Return the task that the program has made itself, if any; close one of another tracker's."""
        task = clearml.Task.current_task()
        if task is not None and task.id not in _OURS:
            return task
        _PLACE.take(self)
        if (left := clearml.Task.current_task()) is not None:  # of a tracker that is gone
            close(left, self._tasks, self.outcome)
        return None

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add hyperparameters to the section "General"."""
        self.tracker.connect(flat_config(values), name="General")

    @on_main_process
    def store_environment(self, values: dict[str, Any]) -> None:
        """Add it as a section of its own."""
        for name, value in values.items():
            self.tracker.connect(flat_config(value), name=name)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Report scalars, or single values where there is no step; `kwargs` go to `Logger.report_scalar`."""
        self._report([(values, step, self.now())], kwargs)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Report scalars of several calls."""
        for record in self.taken.each(records):
            self._report([(record.values, record.step, record.time)], record.kwargs.get(self.name, {}))

    def _report(self, calls: Sequence[tuple[Mapping[str, Any], int | None, float]], kwargs: Mapping[str, Any]) -> None:
        with _PLACE.using(self):
            self._report_to(self.tracker.get_logger(), calls, kwargs)

    def _report_to(
        self,
        logger: Any,
        calls: Sequence[tuple[Mapping[str, Any], int | None, float]],
        kwargs: Mapping[str, Any],
    ) -> None:
        scalars: list[Scalar] = []
        refused: list[tuple[str, Any, str]] = []
        for values, step, moment in calls:
            for key, value in leaves(values):
                if not finite(value):
                    refused.append((key, value, f"ClearML would store {value} as 0" if is_number(value) else ""))
                else:
                    title, series = (SUMMARY, key) if step is None else self._places.get(key) or self._place(key)
                    scalars.append((title, series, float(value), step, moment))
        if kwargs or not self._scalars.send(scalars):
            for title, series, value, step, _ in scalars:
                if step is None:
                    logger.report_single_value(series, value)
                else:
                    logger.report_scalar(title, series, value, iteration=step, **kwargs)
        for one in refused:
            self.drop(*one)

    def _place(self, key: str) -> tuple[str, str]:
        """Return title and series, which no other name has: "val_loss" after "val/loss" gets a plot of its own."""
        for place in (_title_and_series(key), (key, key), (key, hashed_name(key, key, 250))):
            if self._owners.setdefault(place, key) == key:
                break
        self._places[key] = place
        return place

    @on_main_process
    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Report images to the debug samples, as PNG files: of an array, ClearML would make a JPEG, in its own thread.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. The name
                is the title, and the series too; of several, the series are `name/0`, `name/1`, ….
            step: Training step.
            **kwargs: Passed to `Logger.report_image`. Without `max_image_history`, all images are kept.
        """
        logger = self.tracker.get_logger()
        for key, pictures in self.images_of(values):
            for index, picture in enumerate(pictures):
                series = key if len(pictures) == 1 else f"{key}/{index}"
                options = {"max_image_history": -1, "delete_after_upload": True, **kwargs}
                logger.report_image(key, series, step, local_path=self._png(picture), **options)

    def _png(self, picture: Any) -> str:
        """Return the path of a file that holds an image."""
        from PIL import Image

        if self._pictures is None:
            self._pictures = tempfile.TemporaryDirectory(prefix="accel_track-clearml-")
        number, path = tempfile.mkstemp(".png", dir=self._pictures.name)
        with open(number, "wb") as file:
            Image.fromarray(without_single_channel(picture)).save(file, "PNG")
        return path

    @on_main_process
    def log_table(
        self,
        table_name: str,
        columns: list[str] | None = None,
        data: Sequence[Sequence[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Report a table to the plots.

        Args:
            table_name: Title and series of the table.
            columns: Names of the columns.
            data: The rows, if there is no `dataframe`.
            dataframe: A pandas data frame, whose index is left out, if there is no `data`.
            step: Training step.
            **kwargs: Passed to `Logger.report_table`.
        """
        names, cells = rows(columns, data, dataframe)
        self.tracker.get_logger().report_table(table_name, table_name, step or 0, [names, *cells], **kwargs)

    @on_main_process
    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Upload a checkpoint as an artifact, and wait for that; step and values are its metadata."""
        metadata = flat_config({**({} if step is None else {"step": step}), **lasting(values)})
        # ClearML itself would leave a file of another name in its storage.
        delete_artifact(self.tracker, self._tasks, name)
        if not self.tracker.upload_artifact(name, Path(path), metadata=metadata, wait_on_upload=True):
            message = f"clearml: the checkpoint {name!r} was not uploaded; see ClearML's own message."
            raise RuntimeError(message)

    @on_main_process
    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint, its file too."""
        delete_artifact(self.tracker, self._tasks, name)

    @on_main_process
    def flush(self) -> None:
        """Wait until everything is sent or, offline, written.

        Raises:
            HalfStoredError: ClearML's threads have not stored all of it, and will not try again.
        """
        with _PLACE.using(self, stores=True):
            # The first wait may end with a batch that was on its way before the call; what is left is in the next one.
            for _ in range(2):
                self.tracker.flush(wait_for_uploads=True)
        said = self._failures.take() or ("its thread has ended" if self._scalars.use(Scalars.stopped) else None)
        if said is not None:
            message = f"clearml: ClearML has not stored everything and does not try again: {said}"
            raise HalfStoredError(message)

    def identity(self) -> dict[str, Any]:
        """Return the task's id."""
        return {} if self.native is None else {"continue_last_task": self.native.id}

    def page(self) -> str | None:
        """Page of the task; None offline."""
        if self.native is None or self.native.is_offline():
            return None
        return str(self.native.get_output_log_web_page())

    @on_main_process
    def finish(self) -> None:
        """Close the task and say how it ended, unless the process had it before."""
        if self.native is None:
            return
        try:
            self.flush()  # `close` does not wait for values where `sys.exit` was called, even if that was caught
        finally:
            task, self.native = self.native, None
            self._scalars.close()
            self._failures.end()
            if self._close_at_end:
                close(task, self._tasks, self.outcome)
            _PLACE.leave(self)
            if self._pictures is not None:
                self._pictures.cleanup()
                self._pictures = None


def _title_and_series(name: str) -> tuple[str, str]:
    title, _, series = name.rpartition("/")
    if split := _LEADING.fullmatch(name) or _TRAILING.fullmatch(name):
        title, series = split["title"], split["series"]
    # "Summary" is where ClearML keeps single values.
    return (title, series) if title not in ("", "Summary") and series else (name, name)
