"""The tracker for SwanLab."""

from __future__ import annotations

import glob
import inspect
import os
import re
import sys
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from accel_track.errors import HalfStoredError, warn
from accel_track.media import without_single_channel
from accel_track.records import Metrics
from accel_track.trackers.base import on_main_process
from accel_track.trackers.fast import Gate
from accel_track.trackers.files import lasting
from accel_track.trackers.names import short_id
from accel_track.trackers.sdk import SDKTracker, unreachable
from accel_track.trackers.sole import Sole
from accel_track.trackers.swanlab.fast import Rows, Threads, in_main_thread
from accel_track.trackers.swanlab.files import delete_copies, earlier_configuration, own_copies
from accel_track.trackers.swanlab.values import Accepted, Series
from accel_track.values.plain import storable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

_PLACE = Sole()
_OURS: weakref.WeakSet[Any] = weakref.WeakSet()
"""The runs that trackers of this process have made."""
_STATES = {"finished": "success", "failed": "crashed", "interrupted": "aborted", "preempted": "aborted"}


class SwanLabTracker(SDKTracker):
    """One `swanlab.Run`.

    SwanLab allows one run at a time in a process: `start` finishes the run of an earlier tracker that nobody has
    finished, once its values are stored, and what is logged to that one afterwards waits for `accel-track sync`. A run
    of the program's own is left alone: `start` raises SwanLab's RuntimeError, unless `reinit=True` is given. For each
    name it keeps the first value of a step, and one kind of value (numbers, texts, images, …); others are counted as
    dropped. So are `None` and arrays, which it does not take.

    What a worker delivers has the times of its calls; what `log` is given directly, or with `kwargs`, that of delivery.

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
    keeps_status = True
    batch_size = 1000
    wraps_terminal = True
    durable_flush = False  # the SDK keeps rows in memory, and has no flush
    fast_paths = (Rows, Threads)

    def __init__(self, run_name: str, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.init_kwargs = kwargs
        self._planned: dict[str, Any] = {}
        self._series: dict[str, Series] = {}
        self._rows, self._threads = Gate(self.name, Rows), Gate(self.name, Threads)

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
        given = init_kwargs.get("mode")
        if given in ("offline", "local", "disabled") or not cls.installed():
            return None
        settings = _settings(init_kwargs)
        login = sys.modules.get("swanlab.sdk.internal.core_python.client")
        if (given or settings.mode) not in ("online", "cloud") or settings.api_key:
            return None
        # `swanlab.login(save=False)` in this process; where that cannot be seen, SwanLab has to say it.
        if getattr(login, "exists", lambda: login is not None)():
            return None
        return "no credentials; set SWANLAB_API_KEY (or run `swanlab login`), or SWANLAB_MODE=offline to log locally."

    @on_main_process
    def start(self) -> None:
        """Open the run.

        Raises:
            NotConfiguredError: There are neither credentials nor an offline setting.
            RuntimeError: The program has a SwanLab run of its own.
        """
        if self.started:
            return
        swanlab = self.import_sdk()
        self.check_configured()
        if not swanlab.has_run() or swanlab.get_run() in _OURS:
            _PLACE.take(self)
            if swanlab.has_run():  # of a tracker that is gone
                swanlab.get_run().finish()
        self._series = {}
        hook = sys.excepthook
        run = self.native = swanlab.init(**{"project": self.run_name, **self._planned, **self.init_kwargs})
        self._planned = {}
        _OURS.add(run)
        if not in_main_thread():
            # SwanLab's ends the run as soon as the main thread fails, while a worker still has records to deliver.
            sys.excepthook = hook
        self._rows.open(run)
        self._threads.open(run)
        if "id" in self.init_kwargs and (config := earlier_configuration(run)):
            run.config.update(config)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add to the run's config, nested as given; SwanLab turns a None at the top into `{}`, so that is "None"."""
        config = storable(values)
        with _PLACE.using(self):
            self.tracker.config.update({key: "None" if value is None else value for key, value in config.items()})

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log numbers, texts, and SwanLab's media objects and charts, also lists of these; `kwargs` go to `Run.log`."""
        self._log(values, step, kwargs)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Log what several calls logged, in their order and with their times."""
        for record in records:  # what one can be refused for is found here, before any is logged
            if kwargs := record.kwargs.get(self.name):
                inspect.signature(self.tracker.log).bind({}, step=record.step, **kwargs)
        for record in self.taken.each(records):
            self._log(record.values, record.step, record.kwargs.get(self.name, {}), record.time)

    def _log(
        self, values: dict[str, Any], step: int | None, kwargs: dict[str, Any], moment: float | None = None
    ) -> None:
        accepted = Accepted(self._series, values, step)
        # SwanLab takes a string for the text of a number and drops any other one.
        texts = {key: self.import_sdk().Text(text) for key, text in accepted.values.items() if isinstance(text, str)}
        row = {**accepted.values, **texts}
        with _PLACE.using(self):
            run = self.tracker
            if row and (moment is None or kwargs or not self._rows.send(row, step, moment)):
                run.log(row, step=step, **kwargs)
        accepted.note()
        for one in accepted.refused:
            self.drop(*one)

    @on_main_process
    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log images, all of one name together.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes, or
                `swanlab.Image` objects.
            step: Training step.
            **kwargs: Passed to `swanlab.Image` (e.g. `caption`, `file_type`).
        """
        image = self.import_sdk().Image

        def wrapped(picture: Any) -> Any:
            return picture if isinstance(picture, image) else image(without_single_channel(picture), **kwargs)

        self.log({key: [wrapped(one) for one in found] for key, found in self.images_of(values, keep=image)}, step=step)

    @on_main_process
    def rewind(self, step: int) -> None:
        """Warn that SwanLab keeps what it has; the values that this process logs are still counted if it refuses them.

        Args:
            step: The next step that will be logged.
        """
        warn(f"{self.name}: it keeps the first value of a step, so what it has from step {step} on is not replaced.")

    @on_main_process
    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy the files into the run's folder, as `swanlab.save` only links them, and save them."""
        with _PLACE.using(self):
            run = self.tracker
            for file in own_copies(run, name, path, {**lasting(values), "step": step}):
                if not run.save(glob.escape(file), base_path=run.dir / "files", policy="now"):
                    self.drop("checkpoint", path, "SwanLab could not save the file, see its error above")

    @on_main_process
    def delete_checkpoint(self, name: str) -> None:
        """Delete the copies in the run's folders, unless they may still be waiting for their upload."""
        if self.tracker.mode != "online":
            delete_copies(self.tracker, name)

    def is_transient(self, error: BaseException) -> bool:
        """Say so also of the error that SwanLab raises for a wrong key and for an unreachable server, if it is that."""
        if type(error).__name__ == "AuthenticationError":
            return unreachable(_settings(self.init_kwargs).api_host)
        return super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the run's id and the name that SwanLab chose; offline, another process adds a folder of that id."""
        if self.native is None:
            return {}
        named = not {"name", "experiment_name"}.isdisjoint(self.init_kwargs)
        return {"id": self.native.id, "resume": "allow", **({} if named else {"name": self.native.name})}

    def planned_identity(self) -> dict[str, Any]:
        """Choose the run's id, unless it is chosen elsewhere."""
        if not {"id", "parallel", "resume"}.isdisjoint(self.init_kwargs) or not self.installed():
            return {}
        run = _settings(self.init_kwargs).run
        if run.id or run.resume != "never":
            return {}
        self._planned = {"id": short_id()}
        return {**self._planned, "resume": "allow"}

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

    @on_main_process
    def finish(self) -> None:
        """End the run with its status and the reason; online, this waits for the upload."""
        if self.native is not None:
            run, self.native = self.native, None
            _PLACE.leave(self)
            self._threads.use(Threads.leave_signals)
            if run.alive:
                status, reason = self.outcome
                error = f"{status}: {reason}" if reason else status
                try:
                    run.finish(state=_STATES[status], error=None if status == "finished" else error)
                except ValueError:  # raised at the very end, see `Threads.leave_signals`
                    if run.alive or in_main_thread():
                        raise
            self._check_written()

    @on_main_process
    def flush(self) -> None:
        """See whether SwanLab's thread could write what it had; it has no way to make it write.

        Raises:
            HalfStoredError: It could not, and does not try again.
        """
        with _PLACE.using(self, stores=True):
            self._check_written()

    def _check_written(self) -> None:
        if self._threads.fast is not None and (error := self._threads.fast.lost) is not None:
            message = f"{self.name}: its thread could not write a record ({error}), and does not try again."
            raise HalfStoredError(message) from error


def _settings(init_kwargs: Mapping[str, Any]) -> Any:
    """Return SwanLab's settings from files, variables, `swanlab.merge_settings` and the argument of that name."""
    from swanlab import Settings

    settings = Settings()
    merged = sys.modules.get("swanlab.sdk.internal.settings.global_settings")
    for more in (getattr(merged, "get_global_settings", lambda: None)(), init_kwargs.get("settings")):
        if more is not None:
            settings.merge_settings(more)
    return settings
