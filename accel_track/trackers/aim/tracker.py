"""The tracker for Aim."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.folders import is_address
from accel_track.trackers.aim.fast import Number, NumbersPath
from accel_track.trackers.aim.media import AimMedia, ArtifactsPath
from accel_track.trackers.aim.remote import QueuePath
from accel_track.trackers.aim.values import EMPTY, encodable, is_native, trackable
from accel_track.trackers.rows import Row
from accel_track.trackers.set_up import alone_at
from accel_track.values.plain import is_number

if TYPE_CHECKING:
    from typing_extensions import Self


class AimTracker(AimMedia):
    """One `aim.Run` in the repository `<logging_dir>/.aim`, which is created when missing.

    Numbers become metrics, strings `aim.Text`; Aim's own objects (`aim.Distribution`, `aim.Figure`, `aim.Audio`, …) can
    be logged as they are. Names of nested dictionaries are joined with "/"; hyperparameters keep their nesting, in
    `run["hparams"]`. Integers beyond 64 bits are stored as floating-point metrics and as text hyperparameters. A second
    value at the same step replaces the first, so one delivered again changes nothing; values without a step are counted
    on from the last. After `rewind`, an old value stays until its step is logged again. Values have the time of the
    call that logged them, but that of the delivery where the repository is remote or AIM_ENABLE_TRACKING_THREAD is set.

    Aim knows ended runs and no status: a run that ended well is reported as such to `aim-watcher`, and how another one
    ended is a message of the run. Checkpoints are artifacts named `checkpoints/<name>/…`, with what is known of them in
    `run["checkpoints"]`. Where the run has no `artifacts_uri`, it is the folder `aim_artifacts` beside the repository.
    On S3 they are not deleted, for that is not tested.

    Aim's capture of the terminal is off unless `capture_terminal_logs=True`: it replaces `sys.stdout.write`, and where
    another SDK wraps `sys.stdout` too, as Comet does, every later `print` ends in a RecursionError. System metrics are
    on, every 10 seconds, as in Aim itself; `system_tracking_interval=None` turns them off.

    `aim up` shows runs at once, live too. Aim's query functions see a new repository only after `aim up` or
    `aim storage reindex` has indexed it.

    Args:
        run_name: Name of the run, or None to let Aim choose.
        logging_dir: Folder of the repository, or an `aim://` address.
        **kwargs: Passed to `aim.Run`, e.g. `experiment`, `run_hash`, `system_tracking_interval`.
    """

    name = "aim"
    requires_logging_directory = True
    takes_address = True
    sdk = "aim"
    install = "aim>=3.29"
    batch_size = 1000
    keeps_nesting = True
    keeps_time = True
    keeps_status = True
    checks_arguments = True
    finish_again = True
    fast_paths = (NumbersPath, ArtifactsPath, QueuePath)

    def __init__(self, run_name: str | None, logging_dir: str | os.PathLike[str] = ".", **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__(run_name, **kwargs)
        self.logging_dir = logging_dir

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use the project as Aim's experiment and the directory as its repository."""
        return cls(**{"run_name": run_name, "logging_dir": directory, "experiment": project, **init_kwargs})

    def open(self, sdk: Any) -> Any:
        """Open the run; processes open a repository on a disk one after the other."""
        arguments = {"repo": os.fspath(self.logging_dir), "capture_terminal_logs": False, **self.init_kwargs}
        repo = arguments["repo"]
        on_disk = isinstance(repo, (str, os.PathLike)) and "://" not in str(os.fspath(repo))
        with alone_at(Path(repo).absolute() / ".aim") if on_disk else nullcontext():
            run = sdk.Run(**arguments)
        try:
            if self.run_name is not None:
                run.name = self.run_name
        except BaseException:
            run.close()
            raise
        return run

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters; later calls, and those of a resumed run, add to earlier ones."""
        run = self.tracker
        run["hparams"] = {**run.get("hparams", {}), **encodable(values)}

    def store_environment(self, values: dict[str, Any]) -> None:
        """Store it beside the hyperparameters."""
        for name, value in encodable(values).items():
            self.tracker[name] = value

    def takes_object(self, value: Any) -> bool:
        """Take Aim's own objects, and lists of them."""
        return is_native(value)

    def check_arguments(self, step: int | None, kwargs: Mapping[str, Any]) -> None:
        """Bind them to `Run.track`."""
        inspect.signature(self.tracker.track).bind(None, name="", step=step, **kwargs)

    def write(self, rows: Sequence[Row]) -> None:
        """Track values, numbers of several calls in one step; where a call fails, those before it are stored."""
        waiting: dict[Row, list[Number]] = {}
        try:
            for row in rows:
                alone = self._alone(row)
                if any(is_number(row.values[name]) for name in alone):
                    self._store(waiting)  # which may hold earlier numbers of these names
                if alone:
                    with self.taken.within(row.record):
                        for name in alone:
                            self.taken.part(name, partial(self._track, name, row.values[name], row))
                numbers = row.values.items() if len(alone) < len(row.values) else ()
                waiting[row] = [(name, value, row.step, row.time) for name, value in numbers if name not in alone]
        finally:
            self._store(waiting)

    def _alone(self, row: Row) -> Collection[str]:
        """Return the names of the values to be tracked alone: all, where there are arguments or some are tracked."""
        if row.kwargs or self.taken.begun(row.record):
            return row.values.keys()
        names = self.fast(NumbersPath).use(lambda path: path.others(row.values))
        return row.values.keys() if names is None else names

    def _store(self, waiting: dict[Row, list[Number]]) -> None:
        """Store the numbers of several calls in one step, and forget them: if that fails, the calls come again."""
        rows = dict(waiting)
        waiting.clear()
        numbers = [number for some in rows.values() for number in some]
        steps = all(step is not None for _, _, step, _ in numbers)  # Aim replaces a step's value, else it counts on
        if numbers and not self.fast(NumbersPath).send(numbers, repeatable=steps):
            for row, some in rows.items():
                for name, value, *_ in some:
                    self._track(name, value, row)
        self.stored(*rows)

    def _track(self, name: str, value: Any, row: Row) -> None:
        """Track one value; count what Aim refuses, such as a text under a name that holds numbers."""
        arguments: dict[str, Any] = {"value": trackable(value), "name": name or EMPTY, "step": row.step, **row.kwargs}
        try:
            if not self.fast(NumbersPath).use(lambda path: path.track(row.time, **arguments)):
                self.tracker.track(**arguments)
        except (ValueError, OverflowError) as error:
            self.drop(name, value, str(error) or type(error).__name__)

    def flush(self) -> None:
        """Wait until a server has taken everything; what is on a disk is there already."""
        if self.native is not None:
            at_server = self.native.repo.is_remote_repo
            self.durable_flush = not at_server or bool(self.fast(QueuePath).use(QueuePath.wait))

    def identity(self) -> dict[str, Any]:
        """Return the run's hash, and the server that it is on if that was given in place of a folder."""
        place = {"repo": str(self.logging_dir)} if is_address(self.logging_dir) else {}
        return {} if self.native is None else {"run_hash": self.native.hash, **place}

    def store_outcome(self) -> None:
        """Report a good end to `aim-watcher`; any other is a message of the run."""
        run, message = self.native, ": ".join(filter(None, self.outcome))
        if self.outcome.status == "finished":
            run.report_successful_finish()
        else:
            (run.log_error if self.outcome.status == "failed" else run.log_warning)(message)

    def close(self, native: Any) -> None:
        """Close the run."""
        native.close()
