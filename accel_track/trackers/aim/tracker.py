"""The tracker for Aim."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.folders import command_line, is_address
from accel_track.trackers.aim.fast import NumbersPath
from accel_track.trackers.aim.files import ArtifactsPath
from accel_track.trackers.aim.media import AimMedia
from accel_track.trackers.aim.metrics import AimMetrics
from accel_track.trackers.aim.reading import read_run
from accel_track.trackers.aim.remote import QueuePath
from accel_track.trackers.aim.values import encodable
from accel_track.trackers.sdk import native_object
from accel_track.trackers.set_up import alone_at

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun


class AimTracker(AimMetrics, AimMedia):
    """One `aim.Run` in the repository `<logging_dir>/.aim`, which is created when missing.

    Numbers become metrics, strings `aim.Text`; what becomes of media, `media` says. Aim's own objects
    (`aim.Distribution`, `aim.Figure`, `aim.Audio`, …) can be logged as they are. Names of nested dictionaries are
    joined with "/"; hyperparameters keep their nesting, in `run["hparams"]`. Integers beyond 64 bits are stored as
    floating-point metrics and as text hyperparameters. A second value at the same step replaces the first, so one
    delivered again changes nothing; values without a step are counted on from the last. After `rewind`, an old value
    stays until its step is logged again. Values have the time of the call that logged them, but that of the delivery
    where the repository is remote or AIM_ENABLE_TRACKING_THREAD is set.

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
    keeps_of_a_step = "last"
    checks_arguments = True
    log_call = "track"
    finish_again = True
    fast_paths = (NumbersPath, ArtifactsPath, QueuePath)
    of_one_run = frozenset(("run_hash",))
    writer = run = native_object

    _opened: tuple[Any, str] | None = None
    """Repository and hash of the run that `start` has opened last."""

    _folder: Path | None = None
    """The folder that a repository on a disk has for that run."""

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
        self._opened = repo, run.hash
        self._folder = None if run.repo.is_remote_repo else Path(run.repo.path, "meta", "chunks", run.hash)
        return run

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters; later calls, and those of a resumed run, add to earlier ones."""
        run = self.alive()
        run["hparams"] = {**run.get("hparams", {}), **encodable(values)}

    def store_environment(self, values: dict[str, Any]) -> None:
        """Store the environment beside the hyperparameters."""
        for name, value in encodable(values).items():
            self.alive()[name] = value

    def flush(self) -> None:
        """Wait until a server has taken everything; what is on a disk is there already, unless that was deleted.

        Raises:
            EndedError: The repository on the disk, or the run in it, is gone.
        """
        if self.native is not None:
            if self._folder is not None:
                self.check_place(self._folder)
            at_server = self.native.repo.is_remote_repo
            self.durable_flush = not at_server or bool(self.fast(QueuePath).use(QueuePath.wait))

    def identity(self) -> dict[str, Any]:
        """Return the run's hash, and the server that it is on if that was given in place of a folder."""
        place = {"repo": str(self.logging_dir)} if is_address(self.logging_dir) else {}
        return {} if self.native is None else {"run_hash": self.native.hash, **place}

    def read(self) -> BackendRun:
        """Return the run as the repository on this computer has it.

        Raises:
            NotReadableError: There is no such run, or the repository is at a server.
        """
        given = self.init_kwargs.get("repo", self.logging_dir), self.init_kwargs.get("run_hash")
        place, own = self._opened or given
        return read_run(getattr(place, "root_path", place), own)

    def look(self) -> str | None:
        """Return the command that shows the repository; None for one at a server."""
        place, _ = self._opened or (self.init_kwargs.get("repo", self.logging_dir), "")
        place = getattr(place, "root_path", place)
        return None if "://" in str(place) else command_line("aim", "up", "--repo", Path(place))

    def store_outcome(self) -> None:
        """Report a good end to `aim-watcher`; any other is a message of the run."""
        if self.outcome.status == "finished" and self.native.meta_run_tree is None:
            return  # the program has closed it, as at a good end
        run, message = self.alive(), self.outcome.text
        if self.outcome.status == "finished":
            run.report_successful_finish()
        else:
            (run.log_error if self.outcome.status == "failed" else run.log_warning)(message)

    def close(self, native: Any) -> None:
        """Close the run."""
        native.close()
