"""The tracker for ClearML."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import HalfStoredError, NotReadableError
from accel_track.folders import command_line
from accel_track.trackers.clearml.failures import Failures
from accel_track.trackers.clearml.fast import Scalars, Tasks
from accel_track.trackers.clearml.media import ClearMLMedia
from accel_track.trackers.clearml.metrics import ClearMLMetrics
from accel_track.trackers.clearml.plots import Plots, joined
from accel_track.trackers.clearml.process import Process, has_credentials
from accel_track.trackers.clearml.samples import Samples
from accel_track.trackers.clearml.task import begin, end
from accel_track.trackers.sdk import native_object
from accel_track.trackers.sole import Sole
from accel_track.values.plain import flat_config

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun


class ClearMLTracker(ClearMLMetrics, ClearMLMedia):
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
    why_finite = "ClearML would store {} as 0"
    keeps_time = True
    batch_size = 100
    fast_paths = (Scalars, Process, Tasks)
    keeps_status = True
    wraps_terminal = True
    place = Sole()
    of_one_run = frozenset(("task_name", "continue_last_task", "reuse_last_task_id"))
    _task_id: str | None = None
    """The task that was opened last."""
    task = native_object

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

    def open(self, sdk: Any) -> Any:
        """Create the task, or use the program's own."""
        self.plots, self.samples, self._failures = Plots(), Samples(), Failures()
        task = self.clear(sdk.Task.current_task, self._end_task)
        if task is None:
            self.fast(Process).use(Process.tune)
            task = begin(sdk, self.fast(Tasks), self.run_name, self.init_kwargs)
            self.place.ours.add(task)
        self._failures.begin()
        self._task_id = task.id
        return task

    def _end_task(self, task: Any) -> None:
        end(task, self.fast(Tasks), self.outcome)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add hyperparameters to the section "General"."""
        self.tracker.connect(flat_config(values), name="General")

    def store_environment(self, values: dict[str, Any]) -> None:
        """Add the environment as a section of its own."""
        for name, value in values.items():
            self.tracker.connect(flat_config(value), name=name)

    def flush(self) -> None:
        """Wait until everything is sent or, offline, written.

        Raises:
            HalfStoredError: ClearML's threads have not stored all of it, and will not try again.
        """
        with self.place.using(self, stores=True):
            # The first wait may end with a batch that was on its way before the call; what is left is in the next one.
            for _ in range(2):
                self.tracker.flush(wait_for_uploads=True)
        said = self._failures.take() or ("its thread has ended" if self.fast(Scalars).use(Scalars.stopped) else None)
        if said is not None:
            message = f"{self.name}: ClearML has not stored everything and does not try again: {said}"
            raise HalfStoredError(message)

    def identity(self) -> dict[str, Any]:
        """Return the task's id."""
        return {} if self.native is None else {"continue_last_task": self.native.id}

    def read(self) -> BackendRun:
        """Return the content of the offline mode's session.

        Raises:
            NotReadableError: There is none, or the task is on a server.
        """
        from clearml.config import get_offline_dir

        from accel_track.trackers.clearml.reading import ClearMLRun
        from accel_track.trackers.clearml.session import Session

        task = self._task_id or self.init_kwargs.get("continue_last_task")
        if not isinstance(task, str):
            message = f"{self.name}: the run was not started, and no task is named."
            raise NotReadableError(message)
        if not task.startswith("offline-"):
            message = f"{self.name}: task {task} is on a server, and only sessions of the offline mode can be read."
            raise NotReadableError(message)
        return ClearMLRun(Session(Path(str(get_offline_dir(task)))))  # pathlib2's, not Python's

    def look(self) -> str | None:
        """Return the command that uploads an offline session, where the SDK is imported, which knows its place."""
        task, config = self._task_id or self.init_kwargs.get("continue_last_task"), sys.modules.get("clearml.config")
        if config is None or not isinstance(task, str) or not task.startswith("offline-"):
            return None
        return command_line("clearml-task", "--import-offline-session", Path(str(config.get_offline_dir(task))))

    def stored_name(self, name: str) -> str:
        """Return title and series of a metric, which depend on the names before it, as `read` joins them."""
        plots: Plots = self.__dict__.setdefault("plots", Plots())
        return joined(*plots.place(name, 0))

    def page(self) -> str | None:
        """Page of the task; None offline."""
        if self.native is None or self.native.is_offline():
            return None
        return str(self.native.get_output_log_web_page())

    def close(self, native: Any) -> None:
        """Close the task and say how it ended, unless it is the program's own."""
        self._failures.end()
        try:
            if native in self.place.ours:
                self._end_task(native)
        finally:
            self.samples.forget()
