"""The tracker for DVCLive's files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import NotReadableError
from accel_track.folders import command_line
from accel_track.trackers.dvclive.fast import LivePath, TablesPath
from accel_track.trackers.dvclive.folders import claimed_folder, dvc_alone, last_folder, places
from accel_track.trackers.dvclive.media import DVCLiveMedia
from accel_track.trackers.dvclive.metrics import DVCLiveMetrics, table_name
from accel_track.trackers.dvclive.steps import OTHERS
from accel_track.trackers.dvclive.tables import mend_summary
from accel_track.values.plain import long_integers_as_text, storable

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun


class DVCLiveTracker(DVCLiveMetrics, DVCLiveMedia):
    """One `dvclive.Live`, whose folder holds `metrics.json`, `params.yaml` and a table for each metric.

    Numbers and texts are stored, NaN and ±inf as texts; hyperparameters keep their nesting. Calls that are delivered
    together are appended together, to each table at once. With steps, `metrics.json` is written after them, while
    `dvc.yaml`, the report and DVC Studio are brought up to date by `flush` and `finish`, since DVCLive reads all
    earlier values again for that; without a step, each call that stores something counts one, and all files are up to
    date after the last.

    In a Git repository, DVCLive runs `dvc init` where that was not done and saves a DVC experiment at the end, as it
    does without this package (`save_dvc_exp=False` turns the latter off).

    DVCLive knows no status of a run. Where a run goes on from an earlier step, the rows of its tables from that step on
    are removed. Checkpoints are copied into the folder's `artifacts` and added to DVC as models, which takes a DVC
    repository around the folder; elsewhere they are counted as dropped. DVC's cache keeps those replaced or deleted
    until `dvc gc`.

    Args:
        run_name: Name of the run, for people; it reaches DVC as `exp_name`, which only a front door sets.
        live: A `Live` to use instead of a new one. `finish` ends it, but inside `with Live() as live:` DVCLive waits
            for the end of the block.
        **kwargs: Passed to `Live`. Unless `resume` is true, DVCLive deletes what an earlier run left in its `dir`.
    """

    name = "dvclive"
    requires_logging_directory = False
    sdk = "dvclive"
    install = "dvclive>=3.49"
    keeps_nesting = True
    checks_arguments = True
    batch_size = 1000
    fast_paths = (TablesPath, LivePath)
    of_one_run = frozenset(("run_name", "live", "dir", "dvcyaml", "exp_name", "resume"))

    def __init__(self, run_name: str | None = None, live: Any = None, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__(run_name, **kwargs)
        self._given = live
        self._last: Any = None
        self._place: Path | None = None
        """The folder in which `start` makes a folder of the run's own."""

    @property
    def live(self) -> Any:
        """The `Live`, also after its end, where it still has its summary; before the start, one that was given.

        Raises:
            NotStartedError: There is none yet.
        """
        if self.native is None and (known := self._last or self._given) is not None:
            return known
        return self.tracker

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use `<directory>/<project>/<run_name>/dvclive`, its `dvc.yaml` beside it; else DVCLive's own folder.

        Where another run has that folder, it is `<run_name>_1`, …. A run without a name gets the first of
        `<directory>/<project>/dvclive`, `dvclive_1`, … that is free. With `resume`, it is the last that is not.
        """
        derived: dict[str, Any] = {}
        if run_name is not None and not os.environ.get("DVC_EXP_NAME"):
            derived["exp_name"] = run_name
        own = directory is not None and not {"dir", "live"} & init_kwargs.keys()
        place = Path(directory or "", project)
        if own and _resumes(init_kwargs):
            derived |= places(last_folder(place, run_name))
        tracker = cls(**{"run_name": run_name, **derived, **init_kwargs})
        tracker._place = place if own and not _resumes(init_kwargs) else None
        return tracker

    @classmethod
    def in_folder(cls, folder: str, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Return the folder's `dvclive`, with `dvc.yaml` beside it."""
        return dict(places(Path(directory, folder, "dvclive")))

    def open(self, sdk: Any) -> Any:
        """Open the `Live`, or use the one given."""
        self._names = {}
        if self._given is not None:
            return self._given
        if self._place is not None:
            self.init_kwargs = {**places(claimed_folder(self._place, self.run_name)), **self.init_kwargs}
            self._place = None
        with dvc_alone():
            if _resumes(self.init_kwargs):
                mend_summary(Path(self.init_kwargs.get("dir", "dvclive")))
            return sdk.Live(**self.init_kwargs)

    def begin(self, native: Any) -> None:
        """Go on with a resumed run's checkpoints, experiment and steps."""
        if self._given is None and _resumes(self.init_kwargs):
            native.step = native.summary.get("step", -1) + 1  # DVCLive counts on from 0 as if nothing were there
            self.fast(LivePath).use(lambda fast: fast.go_on(self.init_kwargs.get("exp_name")))
        elif self._given is None:  # as DVCLive does with its own
            shutil.rmtree(Path(native.plots_dir, OTHERS), ignore_errors=True)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Write `params.yaml`; later calls add to earlier ones."""
        # A value that YAML cannot hold would stay in the Live and make every later call fail.
        self.tracker.log_params(long_integers_as_text(storable(values)))

    def identity(self) -> dict[str, Any]:
        """Return the folder and the place of `dvc.yaml`, from any working directory, and the experiment's name."""
        if self.native is None:
            return {}
        file = self.native.dvc_file if self.init_kwargs.get("dvcyaml", True) else None
        return {
            "dir": os.path.abspath(self.native.dir),
            "dvcyaml": None if file is None else os.path.abspath(file),
            "resume": True,
            "exp_name": self.fast(LivePath).use(LivePath.experiment) or self.init_kwargs.get("exp_name"),
        }

    def read(self) -> BackendRun:
        """Return the content of the `Live`'s folder.

        Raises:
            NotReadableError: There is none.
        """
        from accel_track.trackers.dvclive.reading import DVCLiveRun, is_run

        folder = self._folder()
        names = os.listdir(folder) if folder.is_dir() and self._place is None else []
        if not is_run(folder, names):
            message = f"{self.name}: there is nothing of a run in {folder}."
            raise NotReadableError(message)
        native = self.native or self._last or self._given
        file = native.dvc_file if native else self.init_kwargs.get("dvcyaml")
        return DVCLiveRun(str(folder), folder, Path(os.path.abspath(file)) if isinstance(file, str) else None)

    def _folder(self) -> Path:
        """Return the folder that the `Live` has, had or will have."""
        native = self.native or self._last or self._given
        return Path(os.path.abspath(native.dir if native else self.init_kwargs.get("dir", "dvclive")))

    def look(self) -> str | None:
        """Return the command that draws the tables of the folder; it writes a page and says where."""
        return None if self._place is not None else command_line("dvc", "plots", "show", self._folder() / "plots")

    def stored_name(self, name: str) -> str:
        """Return the name of the table of a metric, without its suffix."""
        return self.__dict__.get("_names", {}).get(name) or table_name(name, self._folder())

    def finish(self) -> None:
        """End the `Live`, which brings its files up to date."""
        if self.native is not None:
            with dvc_alone():
                self._end()

    def close(self, native: Any) -> None:
        """End the `Live`."""
        self._last = native
        native.end()


def _resumes(init_kwargs: Mapping[str, Any]) -> bool:
    return bool(init_kwargs.get("resume") or os.environ.get("DVCLIVE_RESUME"))
