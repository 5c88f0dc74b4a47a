"""The tracker for SwanLab."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import NotReadableError
from accel_track.folders import command_line
from accel_track.trackers.names import short_id
from accel_track.trackers.sdk import native_object, unreachable
from accel_track.trackers.sole import Sole
from accel_track.trackers.swanlab.fast import Rows, Threads, in_main_thread
from accel_track.trackers.swanlab.files import earlier_configuration
from accel_track.trackers.swanlab.metrics import SwanLabMetrics
from accel_track.trackers.swanlab.reading import read_run
from accel_track.trackers.swanlab.series import AllSeries, stored_name
from accel_track.trackers.swanlab.settings import chooses_id, find_settings, needs_key
from accel_track.values.plain import storable

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun

_STATES = {"finished": "success", "failed": "crashed", "interrupted": "aborted", "preempted": "aborted"}


class SwanLabTracker(SwanLabMetrics):
    """One `swanlab.Run`.

    SwanLab allows one run at a time in a process: `start` finishes the run of an earlier tracker that nobody has
    finished, once its values are stored, and what is logged to that one afterwards waits for `accel-track sync`. A run
    of the program's own is left alone: `start` raises SwanLab's RuntimeError, unless `reinit=True` is given. For each
    name it keeps the first value of a step, and one kind of value (numbers, texts, images, …); others are counted as
    dropped. So is `None`, which it does not take.

    Values have the times of their calls; what is logged with further arguments has that of its delivery.

    The status is "success", "crashed" for failed, or "aborted" for interrupted and preempted, with the reason. A run
    that is continued sends its configuration as a whole, so that of its earlier folders, where they are, is added.
    Rewinding warns that SwanLab keeps its first value of a step. Checkpoints are copied into the run's folder and
    saved as files `checkpoints/<name>/…` with what is known about them in `checkpoints/<name>.json`; deleting one
    deletes the copies, but nothing that was uploaded.

    Args:
        run_name: Name of the project: letters, digits and `_-+.`; a front door replaces others by "-".
        **kwargs: Passed to `swanlab.init`.
    """

    name = "swanlab"
    requires_logging_directory = False
    main_process_only = False
    sdk = "swanlab"
    install = "swanlab>=0.10"
    keeps_nesting = True
    keeps_time = True
    checks_arguments = True
    log_call = "log"
    keeps_status = True
    keeps_of_a_step = "first"
    batch_size = 1000
    wraps_terminal = True
    durable_flush = False  # the SDK keeps rows in memory, and has no flush
    fast_paths = (Rows, Threads)
    place = Sole()
    of_one_run = SwanLabMetrics.of_one_run | {"experiment_name"}
    run = native_object

    _planned: Mapping[str, Any] = {}
    _opened: tuple[str, Path, str] | None = None
    """Mode, folder and id of the run that `start` has opened last."""

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Keep SwanLab's files in `<directory>/swanlog` unless `SWANLAB_LOG_DIR` says otherwise."""
        derived: dict[str, Any] = {"run_name": re.sub(r"[^0-9a-zA-Z_\-+.]", "-", project)[:100]}
        if run_name is not None and "experiment_name" not in init_kwargs:
            derived["name"] = run_name
        variables = ("SWANLAB_LOG_DIR", "SWANLAB_LOGDIR")
        if directory is not None and "logdir" not in init_kwargs and not any(map(os.environ.get, variables)):
            derived["log_dir"] = os.path.join(directory, "swanlog")
        return cls(**{**derived, **init_kwargs})

    @classmethod
    def not_configured(cls, init_kwargs: Mapping[str, Any]) -> str | None:
        """Ask SwanLab's settings, which come from many files and variables, for a mode and a key."""
        if not cls.installed() or not needs_key(init_kwargs):
            return None
        return "no credentials; set SWANLAB_API_KEY (or run `swanlab login`), or SWANLAB_MODE=offline to log locally."

    def open(self, sdk: Any) -> Any:
        """Open the run.

        Raises:
            RuntimeError: The program has a SwanLab run of its own.
        """
        self.clear(lambda: sdk.get_run() if sdk.has_run() else None, lambda run: run.finish())
        hook = sys.excepthook
        run = sdk.init(**{"project": self.run_name, **self._planned, **self.init_kwargs})
        self._planned = {}
        self.place.ours.add(run)
        if not in_main_thread():
            # SwanLab's ends the run as soon as the main thread fails, while a worker still has records to deliver.
            sys.excepthook = hook
        self.series = AllSeries()
        self._opened = run.mode, Path(run.dir).parent, run.id
        self._folder = Path(run.dir).absolute() if run.mode in ("offline", "local") else None
        self.fast(Threads).open(run)
        if "id" in self.init_kwargs and (config := earlier_configuration(run)):
            run.config.update(config)
        return run

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add to the run's config, nested as given; SwanLab turns a None at the top into `{}`, so that is "None"."""
        config = {key: "None" if value is None else value for key, value in storable(values).items()}
        with self.place.using(self):
            self.alive().config.update(config)

    def is_transient(self, error: BaseException) -> bool:
        """Return whether an error may pass; SwanLab's for a wrong key and an unreachable server if it is the latter."""
        if type(error).__name__ == "AuthenticationError":
            return unreachable(find_settings(self.init_kwargs).api_host)
        return super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the run's id and the name that SwanLab chose; offline, another process adds a folder of that id."""
        if self.native is None:
            return {}
        named = not {"name", "experiment_name"}.isdisjoint(self.init_kwargs)
        return {"id": self.native.id, "resume": "allow", **({} if named else {"name": self.native.name})}

    def planned_identity(self) -> dict[str, Any]:
        """Choose the run's id, unless it is chosen elsewhere."""
        if not self.installed() or chooses_id(self.init_kwargs):
            return {}
        self._planned = {"id": short_id(), "resume": "allow"}  # online, an id goes with no other `resume`
        return dict(self._planned)

    def read(self) -> BackendRun:
        """Return the run as SwanLab's files on this computer have it.

        Raises:
            NotReadableError: There is no such run, or it is online or in mode "disabled".
        """
        mode, folder, own = self._opened or self._given()
        if mode not in ("offline", "local"):
            message = f"{self.name}: a run in mode {mode!r} cannot be read; only files of offline runs can."
            raise NotReadableError(message)
        return read_run(folder, own)

    def _given(self) -> tuple[str, Path, str]:
        """Return mode, folder and id of the run that the arguments name."""
        self.import_sdk()
        settings = find_settings(self.init_kwargs)
        folder = self.init_kwargs.get("log_dir") or self.init_kwargs.get("logdir") or settings.log_dir
        own = self.init_kwargs.get("id") or settings.run.id
        if not own:
            message = f"{self.name}: which run of {self.run_name!r} to read is not known before `start`."
            raise NotReadableError(message)
        return self.init_kwargs.get("mode") or settings.mode, Path(folder), own

    def look(self) -> str | None:
        """Return the command that shows a local run, or uploads an offline one: there is no page of those."""
        given, own = self.init_kwargs, str(self.init_kwargs.get("id") or "")
        folder = given.get("log_dir") or given.get("logdir") or os.environ.get("SWANLAB_LOG_DIR") or "swanlog"
        mode = given.get("mode") or os.environ.get("SWANLAB_MODE")
        mode, place, own = self._opened or (str(mode), Path(folder), own)
        folders = sorted(place.glob(f"run-*-{glob.escape(own)}")) if own else []
        if not folders or mode not in ("local", "offline"):
            return None
        return command_line("swanlab", "watch", place) if mode == "local" else command_line("swanlab", "sync", *folders)

    def stored_name(self, name: str) -> str:
        """Return the name as SwanLab takes it."""
        return stored_name(name)

    def page(self) -> str | None:
        """Page of the run; None offline."""
        try:
            return None if self.native is None else str(self.native.url)
        except ValueError:  # SwanLab's way to say that there is none
            return None

    @classmethod
    def grouped(cls, group: str, rank: int) -> dict[str, Any]:
        """Put the runs of all ranks into one group."""
        return {"group": group}

    @classmethod
    def child_of(cls, identity: Mapping[str, Any], parent: str) -> dict[str, Any]:
        """Put the run into the group with the parent's name."""
        return {"group": parent}

    def close(self, native: Any) -> None:
        """End the run with its status and the reason; online, this waits for the upload."""
        self.fast(Threads).use(Threads.leave_signals)
        if native.alive:
            status = self.outcome.status
            try:
                native.finish(state=_STATES[status], error=None if status == "finished" else self.outcome.text)
            except ValueError:  # raised at the very end, see `Threads.leave_signals`
                if native.alive or in_main_thread():
                    raise
        self.check_written()
