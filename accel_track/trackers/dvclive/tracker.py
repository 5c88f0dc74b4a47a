"""The tracker for DVCLive's files."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import HalfStoredError
from accel_track.records import Metrics
from accel_track.trackers.base import on_main_process
from accel_track.trackers.dvclive.fast import LivePath, TablesPath
from accel_track.trackers.dvclive.files import cut_tables, dvc_alone, mend_summary, summary
from accel_track.trackers.dvclive.folders import claimed_folder, last_folder, places
from accel_track.trackers.dvclive.tables import Row, appended
from accel_track.trackers.fast import Gate
from accel_track.trackers.files import lasting
from accel_track.trackers.names import hashed_name, safe_name
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import is_number, leaves, long_integers_as_text, storable

if TYPE_CHECKING:
    from typing_extensions import Self

# A metric's name becomes a path; these are the characters that some file system does not take.
_NOT_IN_PATHS = r'[<>:"\\|?*\x00-\x1f\x7f\ud800-\udfff]'
_ARTIFACT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")
_NAME_LENGTH = 200


class DVCLiveTracker(SDKTracker):
    """One `dvclive.Live`, whose folder holds `metrics.json`, `params.yaml` and a table for each metric.

    Numbers and texts are stored, NaN and ±inf as texts; hyperparameters keep their nesting. Calls that are delivered
    together are appended together, to each table at once. With steps, `metrics.json` is written after them, while
    `dvc.yaml`, the report and DVC Studio are brought up to date by `flush` and `finish`, since DVCLive reads all
    earlier values again for that; without a step, each call counts one, and all files are up to date after the last.

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

    def __init__(self, run_name: str | None = None, live: Any = None, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.live = live
        self.init_kwargs = kwargs
        self._place: Path | None = None
        """Where `start` makes a folder of the run's own."""
        self._names: dict[str, str] = {}
        self._tables = Gate(self.name, TablesPath)
        self._parts = Gate(self.name, LivePath)

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
        resume = bool(init_kwargs.get("resume") or os.environ.get("DVCLIVE_RESUME"))
        if own and resume:
            derived |= places(last_folder(place, run_name))
        tracker = cls(**{"run_name": run_name, **derived, **init_kwargs})
        tracker._place = place if own and not resume else None
        return tracker

    @on_main_process
    def start(self) -> None:
        """Open the `Live`, or use the one given."""
        if not self.started:
            self._names = {}
            if self._place is not None:
                self.init_kwargs = {**places(claimed_folder(self._place, self.run_name)), **self.init_kwargs}
                self._place = None
            if self.live is None:
                resume = bool(self.init_kwargs.get("resume") or os.environ.get("DVCLIVE_RESUME"))
                with dvc_alone():
                    live = self._open(resume=resume)
            else:
                live = self.live
                self._parts.open(live)
            self._tables.open(live)
            self.native = live

    def _open(self, *, resume: bool) -> Any:
        if resume:
            mend_summary(Path(self.init_kwargs.get("dir", "dvclive")))
        live = self.import_sdk().Live(**self.init_kwargs)
        self._parts.open(live)
        if resume:
            live.step = live.summary.get("step", -1) + 1  # DVCLive counts on from 0 as if nothing were there
            self._parts.use(lambda fast: fast.go_on(self.init_kwargs.get("exp_name")))
        return live

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Write `params.yaml`; later calls add to earlier ones."""
        # A value that YAML cannot hold would stay in the Live and make every later call fail.
        self.tracker.log_params(long_integers_as_text(storable(values)))

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Append to the metrics' tables; `kwargs` are those of `Live.log_metric`, `timestamp` and `plot`."""
        DVCLiveTracker.log_batch(self, [Metrics(0, self.now(), values, step, {self.name: kwargs})])

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Append what several calls logged, each table once; DVCLive's other files are written at the end."""
        live = self.tracker
        before = live.step, live.summary, dict(self._names)
        rows: defaultdict[str, list[Row]] = defaultdict(list)
        refused: list[tuple[str, Any]] = []
        try:
            newest = self._gather(records, rows, refused)
            if self._tables.fast is None:
                self._append_publicly(rows)
                rows.clear()
            with appended(Path(live.plots_dir), rows):
                for name, value in newest.items():
                    live.log_metric(name, value, plot=False)
                if records[-1].step is None:
                    live.next_step()
                else:
                    live.make_summary()
        except BaseException:
            live.step, live.summary, self._names = before
            raise
        for one in refused:
            self.drop(*one)

    def _append_publicly(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Append rows one by one, with the time of now where one is wanted."""
        live, begun = self.tracker, False
        coming = live.step
        try:
            for name, lines in rows.items():
                for *time, live.step, value in lines:
                    live.log_metric(name, value, timestamp=bool(time))
                    begun = True
        except Exception as error:
            if begun:
                message = f"dvclive: a part of what was logged is stored, and the next row is not: {error}"
                raise HalfStoredError(message) from error
            raise
        live.step = coming

    def _gather(
        self, records: Sequence[Metrics], rows: defaultdict[str, list[Row]], refused: list[tuple[str, Any]]
    ) -> dict[str, Any]:
        """Sort values into rows, bring the `Live` to the last step, and return each metric's last value."""
        live = self.tracker
        newest: dict[str, Any] = {}
        counted = False
        for record in records:
            columns, plot = _columns(record.time, **record.kwargs.get(self.name, {}))
            if record.step is not None:
                live.step = record.step
            elif counted:
                live.step += 1
            counted = record.step is None
            columns = (*columns, live.step)
            for key, value in leaves(record.values):
                if not (is_number(value) or isinstance(value, str)):
                    refused.append((key, value))
                    continue
                number = int(value) if isinstance(value, bool) else value
                if (name := self._names.get(key)) is None:
                    name = self._names[key] = self._new_name(key)
                    live.log_metric(name, number, plot=False)  # takes the name's place in the summary
                newest[name] = number
                if plot:
                    rows[name].append((*columns, number))
        return newest

    def _new_name(self, key: str) -> str:
        """Return a name that is free in the summary, `metrics.json`, where "/" means nesting."""
        name = safe_name(key, _NOT_IN_PATHS, _NAME_LENGTH)
        *parents, last = name.split("/")
        place = self.tracker.summary
        for parent in parents:
            place = place.get(parent, {}) if isinstance(place, dict) else None
        taken = not isinstance(place, dict) or isinstance(place.get(last), dict)
        # The columns of a table are "step", perhaps "timestamp", and the last part of the name.
        if taken or last in ("step", "timestamp"):
            return hashed_name(name.replace("/", "_"), key, _NAME_LENGTH)
        return name

    @on_main_process
    def rewind(self, step: int) -> None:
        """Remove the values of a step and later ones."""
        live, folder = self.tracker, Path(self.tracker.dir)
        cut_tables(folder, step)
        live.summary = summary(folder)
        live.step = live.summary.get("step", 0)
        live.make_summary()
        live.step = step

    @on_main_process
    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy a checkpoint and add it to DVC; step and values are with it in `dvc.yaml`."""
        metadata = {**({} if step is None else {"step": step}), **lasting(values)}
        with dvc_alone():
            where = _artifact_name(name), Path(path), metadata
            problem = self._parts.use(lambda fast: fast.store_checkpoint(*where)) if self.tracker else None
        if problem != "":
            self.drop("checkpoint", path, problem or "the installed DVCLive's artifacts are not known here")

    @on_main_process
    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint's copy and its entry in `dvc.yaml`."""
        self._parts.use(lambda fast: fast.delete_checkpoint(_artifact_name(name)))

    @on_main_process
    def flush(self) -> None:
        """Bring `metrics.json`, `dvc.yaml`, the report and DVC Studio up to date."""
        live, coming = self.tracker, self.tracker.step
        # As `Live.end` does it: what is stored is the step of the last values, from which a resumed run counts on.
        live.step = live.summary.get("step", coming)
        live.sync()
        live.step = coming

    def identity(self) -> dict[str, Any]:
        """Return the folder and the place of `dvc.yaml`, from any working directory, and the experiment's name."""
        if self.native is None:
            return {}
        file = self.native.dvc_file if self.init_kwargs.get("dvcyaml", True) else None
        return {
            "dir": os.path.abspath(self.native.dir),
            "dvcyaml": None if file is None else os.path.abspath(file),
            "resume": True,
            "exp_name": self._parts.use(LivePath.experiment) or self.init_kwargs.get("exp_name"),
        }

    @on_main_process
    def finish(self) -> None:
        """End the `Live`."""
        if self.native is not None:
            with dvc_alone():
                live, self.native = self.native, None
                live.end()


def _columns(moment: float, timestamp: bool = False, plot: bool = True) -> tuple[tuple[int, ...], bool]:
    """Return what is before the step in each row, and whether there are rows."""
    return ((int(moment * 1000),) if timestamp else ()), plot


def _artifact_name(name: str) -> str:
    if _ARTIFACT.fullmatch(name) and len(name) <= _NAME_LENGTH:
        return name
    return hashed_name(re.sub(r"[^A-Za-z0-9]+", "-", name).lstrip("-") or "checkpoint", name, _NAME_LENGTH)
