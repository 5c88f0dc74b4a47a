"""AccelTrackLogger: a Lightning logger on top of trackers."""

from __future__ import annotations

import os
import sys
import time
import weakref
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.loggers import Logger

from accel_track.errors import behind, log_error, warn
from accel_track.folders import expanded
from accel_track.lightning.arguments import HINTS, named, no_models, with_native
from accel_track.lightning.experiments import Elsewhere, Experiments, NoOpExperiment
from accel_track.lightning.fitting import ends_accumulation, step_of_batch
from accel_track.lightning.likeness import TRACKERS, Likeness
from accel_track.lightning.media import only_where_logged
from accel_track.lightning.names import DEFAULT, Names
from accel_track.lightning.run_choice import run_name
from accel_track.lightning.trainer_calls import call_being_set_up
from accel_track.lightning.trainer_run import Session
from accel_track.media.calls import AlertLevel, MediaCalls
from accel_track.noop import NoOp
from accel_track.options import Options, Settings, takes_options
from accel_track.outcome import FINISHED, Status, outcome_of, outcome_with
from accel_track.registry import LogWith, select
from accel_track.resume import Mark, mark_checkpoint
from accel_track.run import Run, no_arguments, no_tracker
from accel_track.state import process_index
from accel_track.trackers.base import GeneralTracker
from accel_track.values.plain import check_config

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self, Unpack

    from accel_track.monitors.watch import Watched


_SECONDS_BETWEEN_SAVES = 30.0


def _be_recognised() -> None:
    """Make `Trainer.log_dir` an AccelTrackLogger's `log_dir`, as it is for Lightning's TensorBoardLogger and CSVLogger.

    Lightning has two import names with classes of their own; this covers those that the program has imported.
    """
    for name in ("lightning.pytorch.loggers", "pytorch_lightning.loggers"):
        if (loggers := sys.modules.get(name)) is not None:
            loggers.CSVLogger.register(AccelTrackLogger)


@takes_options
@only_where_logged
class AccelTrackLogger(Logger, MediaCalls):
    """A Lightning logger over any set of trackers: `Trainer(logger=AccelTrackLogger("mlflow"))` or `Fabric(loggers=…)`.

    The run begins when Lightning first needs it, and goes on over `fit`, `validate`, `test` and `predict` until
    `finish`, the end of a `with` block, or the interpreter's exit. Rank zero alone logs, unless `all_ranks` is set.
    Every backend calls the project (or experiment) `name`, and the run after its version.

    An option that is None, such as `delivery`, has the value of its variable, `ACCEL_TRACK_DELIVERY`, or its default.

    Args:
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend.
        name: Name of the project, and of its folder. "a/b" is a folder in a folder, and the project "a-b" in the
            backends. None or "" stands for no folder, and the project "lightning_logs" in the backends.
        version: Number or name of the run. "" stands for no folder of the run's own, and a name made from the run's
            id. Default: the next free number in `save_dir`/`name`.
        save_dir: Folder for everything local, checkpoints included. Default: the working directory.
        prefix: Prefix of metric names, joined to them with "-" as by Lightning's loggers.
        config: Hyperparameters besides those of the module and the data module.
        init_kwargs: Constructor arguments by tracker name, such as `{"wandb": {"entity": "team"}}`.
        log_graph: Whether trackers that show a module's graph (TensorBoard) get it; the module needs an
            `example_input_array`.
        project: Name of the project, as in WandbLogger's configurations; `name` is the run's name then.
        experiment_name: Name of the project, as in MLFlowLogger's configurations.
        run_name: Name of the run, as in MLFlowLogger's configurations.
        tracking_uri: MLflow's server or database.
        artifact_location: Place of the artifacts of a new MLflow experiment.
        run_id: Id of the MLflow run to continue.
        offline: Whether wandb, SwanLab and Comet write to this machine only.
        group: Group of the run in wandb, Trackio and SwanLab.
        tags: Tags of the run in wandb, MLflow, ClearML and SwanLab: a list of texts, or a dictionary.
        log_model: False: `AccelTrackCallback(log_checkpoints=…)` logs checkpoints.
        default_hp_metric: Without effect: no "hp_metric" is invented, and the HParams tab does not need one.
        sub_dir: Folder below the run's folder for TensorBoard's and other local files; `log_dir` ends in it.
        **options: The options of all front doors, such as `delivery`; see [`Options`][accel_track.options.Options].

    Raises:
        ValueError: `name` or `version` is unusable as a folder name, `log_with` names an unknown tracker, two arguments
            name the project or the run, `log_model` is not False, or no tracker takes one of `tracking_uri`,
            `artifact_location`, `run_id`, `offline`, `group` and `tags`.
        TypeError: An argument has the wrong type.
        MissingPackageError: The package of a named backend is not installed; `delivery="none"` does not need the
            package.
    """

    other_arguments = HINTS

    def __init__(
        self,
        log_with: LogWith = "tensorboard",
        name: str | None = DEFAULT,
        version: int | str | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        prefix: str = "",
        config: dict[str, Any] | None = None,
        init_kwargs: dict[str, dict[str, Any]] | None = None,
        *,
        log_graph: bool = False,
        project: str | None = None,
        experiment_name: str | None = None,
        run_name: str | None = None,
        tracking_uri: str | None = None,
        artifact_location: str | None = None,
        run_id: str | None = None,
        offline: bool = False,
        group: str | None = None,
        tags: Sequence[str] | Mapping[str, str | float] | None = None,
        log_model: Literal["all"] | bool = False,
        default_hp_metric: bool = True,
        sub_dir: str | os.PathLike[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Check the arguments; nothing starts yet."""
        super().__init__()
        _be_recognised()
        settings = Settings.of(**options)
        no_models(log_model)
        self._names = Names.of(*named(name, version, project, experiment_name, run_name), sub_dir)
        directory = self._shown_dir = os.fspath(expanded(save_dir or os.curdir, "save_dir"))
        selected = select(log_with, directory, missing=settings.missing)
        native = {
            "tracking_uri": tracking_uri,
            "artifact_location": artifact_location,
            "run_id": run_id,
            "offline": offline,
            "group": group,
            "tags": tags,
        }
        self._session = Session(
            settings,
            selected,
            self._names,
            os.path.abspath(directory),
            {} if config is None else check_config(config),
            with_native(init_kwargs, selected, native),
        )
        self._prefix = prefix or ""
        self._log_graph = log_graph
        self._saved_at = 0.0
        self.checkpoint_listeners: list[Callable[[Run, Any], None]] = []
        """Functions that rank zero calls with the run and the ModelCheckpoint after each save."""

    # -- where things are ---------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the project's folder below `save_dir`; empty if the project has none."""
        return self._session.folder

    @property
    def version(self) -> int | str:
        """The version of the run: its number or name. The next free number is looked up once."""
        return self._session.version

    @property
    def run_name(self) -> str:
        """The name of the run and its folder: `version_<number>`, or a version that is a text; "" for no folder."""
        return run_name(self.version)

    @property
    def save_dir(self) -> str:
        """The folder for everything local."""
        return self._shown_dir

    @save_dir.setter
    def save_dir(self, folder: str) -> None:
        self._shown_dir = os.fspath(expanded(folder, "save_dir"))
        self._session.save_dir = os.path.abspath(self._shown_dir)

    @property
    def root_dir(self) -> str:
        """The folder of the project's runs: `save_dir`/`name`."""
        return os.path.join(self.save_dir, self.name)

    @property
    def log_dir(self) -> str:
        """The folder of the run's files: `root_dir`/`run_name`, and `sub_dir` below it if that was given.

        Lightning puts checkpoints below `root_dir`/`run_name`.
        """
        return os.path.join(self.root_dir, self.run_name, *filter(None, [self._names.sub_dir]))

    @property
    def id(self) -> str:
        """The id of the run, which is the name of its run directory."""
        return self._session.run_id

    @property
    def run_id(self) -> str | None:
        """The id of the run in MLflow if MLflow takes part, else the run's own id.

        None off rank zero, and while MLflow cannot be reached.
        """
        if not self._logs_here():
            return None
        run = self.run
        if "mlflow" not in {tracker.name for tracker in run.trackers}:
            return run.run_id
        return run.backend_identity("mlflow").get("run_id")

    @property
    def url(self) -> str | None:
        """The address of the run's page in the first backend that has one; None without a page, and off rank zero."""
        return next(iter(self.run.pages().values()), None) if self._logs_here() else None

    # -- trackers -----------------------------------------------------------------------------------------------------

    def open(self) -> Run:
        """Return the run, and begin it if necessary; for processes that log.

        Raises:
            Exception: The errors of [`Run`][accel_track.run.Run]. An AttributeError becomes a RuntimeError, which
                `hasattr` cannot hide.
        """
        return self._session.open()

    @property
    def run(self) -> Run:
        """The run, which begins with this access if necessary.

        After `finish`, the run that has ended, until the next use of the logger. Off rank zero, an object on which
        every call does nothing.
        """
        return (self._session.ended or self.open()) if self._logs_here() else cast("Run", NoOp())

    def add(self, other: AccelTrackLogger, *, with_trackers: bool = True) -> None:
        """Add the hyperparameters and the trackers of another logger, which has no run itself, to this logger's run.

        A tracker is left out if the run has a tracker of that name.

        Args:
            other: The other logger.
            with_trackers: Whether the trackers of the other logger take part.
        """
        if self._logs_here():
            run = self.open()
            if with_trackers:
                present = {tracker.name for tracker in run.trackers}
                more = [one for one in other._session.selected if one.name not in present]
                kwargs = self._session.arguments(more, other._session.init_kwargs) or {}
                run.add(more, {one.name: kwargs[one.name] for one in more if one.name in kwargs})
            if other._session.config:
                run.store_configuration(other._session.config)

    @property
    def experiment(self) -> Any:
        """The native object of the first tracker, such as a `wandb.Run`, once earlier values are delivered.

        With several trackers, the object also has the attributes of the other native objects that the first one lacks.
        MLflow's object is both its `Run` and an `MlflowClient`. Off rank zero, with `delivery="none"`, and while the
        backend cannot be reached, every call on the object does nothing. With `delivery="process"`, the native object
        is in another process, and every attribute raises an `ElsewhereError`.
        """
        if not self._session.in_call and (call := call_being_set_up()) is not None:
            self._session.set_up(call, here=self._logs_here())
        if not self._logs_here():
            return NoOpExperiment()
        run = self.open()
        if not run.local_trackers:
            return Elsewhere() if run.trackers and run.settings.runs_apart else NoOpExperiment()
        first, *others = run.local_trackers
        native = run.native(first)
        if native is None:
            return NoOpExperiment()
        return Experiments(native, {one.name: partial(run.native, one) for one in others}) if others else native

    @property
    def experiments(self) -> dict[str, Any]:
        """The native objects by tracker name, of the trackers whose backend could be reached; empty off rank zero."""
        run = self.open() if self._logs_here() else None
        found = {} if run is None else {tracker.name: run.native(tracker) for tracker in run.local_trackers}
        return {name: native for name, native in found.items() if native is not None}

    @property
    def trackers(self) -> list[GeneralTracker]:
        """The started trackers; an empty list off rank zero.

        With `delivery="process"` or "none", a stand-in takes the place of a tracker in another process, as in
        [`Accelerator.trackers`][accel_track.Accelerator.trackers].
        """
        return list(self.open().trackers) if self._logs_here() else []

    @overload
    def get_tracker(self, name: str, unwrap: Literal[False] = False) -> GeneralTracker: ...
    @overload
    def get_tracker(self, name: str, unwrap: bool) -> Any: ...
    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return a tracker, or its SDK's own object; off rank zero, an object on which every call does nothing.

        Args:
            name: Name of the tracker, such as "wandb".
            unwrap: Whether to return the SDK's own object, such as a `wandb.Run`, instead of the tracker.

        Raises:
            ValueError: No tracker has that name.
            NotStartedError: With `unwrap`, the backend has not been reached yet.
            ElsewhereError: With `unwrap`, the tracker is in another process.
        """
        return self.open().get_tracker(name, unwrap) if self._logs_here() else no_tracker(unwrap)

    def experiment_of(self, name: str) -> Any:
        """Return the object that `experiment` would be if the logger had this tracker alone.

        Args:
            name: Name of the tracker.

        Raises:
            ValueError: No tracker has that name.
        """
        if not self._logs_here():
            return NoOpExperiment()
        run = self.open()
        tracker = run.get_tracker(name)
        if tracker not in run.local_trackers:
            return Elsewhere() if run.settings.runs_apart else NoOpExperiment()
        return NoOpExperiment() if (native := run.native(tracker)) is None else native

    def like(self, kind: type) -> Any:
        """Return a stand-in for a logger of another class, such as Lightning's `WandbLogger`.

        See [`loggers_like`][accel_track.lightning.likeness.loggers_like].

        Args:
            kind: The class.

        Returns:
            The stand-in; None if no tracker of this logger stands for that class.
        """
        name = TRACKERS.get(kind.__name__)
        run = self._session.run
        names = {*self._session.tracker_names, *(() if run is None else (one.name for one in run.trackers))}
        return Likeness(self, kind, name) if name is not None and name in names else None

    def _logs_here(self) -> bool:
        return process_index() == 0 or self._session.settings.all_ranks

    # -- what Lightning calls -----------------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, Any], step: float | None = None) -> None:
        """Log metrics with all trackers.

        Args:
            metrics: Values by name. The dictionary stays as it is, since Lightning shares it between loggers.
            step: Training step, or None. A fractional step, which the mean of a logged "step" may be, is rounded down.

        Raises:
            TypeError: `metrics` is not a dictionary with string keys.
            ValueError: `step` is negative.
            Exception: With `on_error="raise"`, the error of a tracker.
        """
        run = self._session.run  # there is one only where this process logs
        if run is None:
            if not self._logs_here():
                return
            run = self.open()
        if self._prefix:
            metrics = {self._prefixed(key): value for key, value in metrics.items()}
        run.log(metrics, int(step) if isinstance(step, float) and isfinite(step) else step)

    def log_for(
        self, tracker: str, values: Mapping[str, Any], step: float | None, kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """Log values with one tracker only.

        Args:
            tracker: Name of the tracker.
            values: Values by name, media included.
            step: Training step, as for `log_metrics`.
            kwargs: Arguments of the SDK's own call.
        """
        if self._logs_here():
            values = {self._prefixed(key): value for key, value in values.items()}
            more = {tracker: kwargs} if kwargs else None
            self.open().log(
                values, int(step) if isinstance(step, float) and isfinite(step) else step, more, only=tracker
            )

    def _prefixed(self, name: str) -> str:
        return f"{self._prefix}-{name}" if self._prefix else name

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        no_arguments(kwargs)
        self.log_metrics(values, step)

    def _log_artifact(self, path: str | os.PathLike[str], name: str | None, about: dict[str, Any]) -> None:
        if self._prefix:
            name = self._prefixed(name or os.path.basename(os.path.normpath(path)))
        self.open().log_artifact(path, name, **about)

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise an alert, as [`Run.alert`][accel_track.run.Run.alert] does; on the ranks that log.

        Args:
            title: The event in one line.
            text: Details in Markdown.
            level: "info", "warning" or "error".

        Raises:
            TypeError: `title` or `text` is not a text.
            ValueError: `level` is unknown.
        """
        if self._logs_here():
            self.open().alert(title, text, level)

    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: Mapping[str, Any] | float | None = None,
        step: int | None = None,
    ) -> None:
        """Store hyperparameters; entries that are stored already are left out.

        Args:
            params: A dictionary, namespace, dataclass or OmegaConf node, possibly nested.
            metrics: Values by name that belong to the hyperparameters, or a single value, which is called "hp_metric".
                TensorBoard's HParams tab shows them beside the hyperparameters.
            step: Training step of the metrics. Default: 0.

        Raises:
            TypeError: `params` has another type, or a key that is not a string.
        """
        if process_index() == 0:
            self.open().store_configuration(params)
            if metrics is not None:
                self.log_metrics(metrics if isinstance(metrics, Mapping) else {"hp_metric": metrics}, step or 0)

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Store a module's graph in the trackers that show graphs, if the logger has `log_graph=True`.

        The module is traced on this thread. A module that cannot be traced is a warning.

        Args:
            model: A LightningModule.
            input_array: The input of its `forward`. Default: `model.example_input_array`.
        """
        if not self._log_graph or process_index() != 0:
            return
        local = self.open().local_trackers
        if not local and self._session.settings.runs_apart:
            warn("log_graph: no graph is logged with delivery='process', where the trackers have no module to trace.")
            return
        inputs = getattr(model, "example_input_array", None) if input_array is None else input_array
        if inputs is None:
            warn("log_graph: the module has no `example_input_array`, so its graph cannot be logged.")
            return
        try:
            inputs = move_data_to_device(inputs, model.device)
            for tracker in local:
                self.get_tracker(tracker.name).log_graph(model, inputs)
        except Exception as error:  # of the module's `forward`, or of torch, which cannot trace every module
            if self._session.settings.on_error == "raise":
                raise
            warn(
                f"log_graph: the module cannot be traced, so its graph is not logged ({type(error).__name__}: {error})."
            )

    def watch(
        self,
        model: torch.nn.Module,
        log: Watched | None = "gradients",
        every: int = 100,
        log_graph: bool = True,
        *,
        log_freq: int | None = None,
    ) -> None:
        """Log histograms of a module's gradients and parameters, as [`Run.watch`][accel_track.run.Run.watch] does.

        In a Trainer's `fit`, the histograms have the step of the batch, and gradients are taken at the end of an
        accumulation. Off rank zero, the call does nothing. A Trainer that spawns processes does not hand the watch to
        them: use `AccelTrackCallback.watch` there.

        Args:
            model: The module. The watch does not keep it alive.
            log: "gradients", "parameters", "all", or None for no histograms.
            every: Backward passes from one set of histograms to the next, 1 or more.
            log_graph: Without effect, an argument of `WandbLogger.watch`: `AccelTrackLogger(log_graph=True)` logs
                graphs.
            log_freq: Another name of `every`, as in `WandbLogger`.

        Raises:
            TypeError: `model` is not a module.
            ValueError: `log` or `every` has an unknown value.
        """
        if log is None or not self._logs_here():
            return
        from accel_track.monitors.watch import Watch, interval

        session, prefix = weakref.ref(self._session), f"{self._prefix}-" if self._prefix else ""
        step, whole = partial(step_of_batch, session), partial(ends_accumulation, session)
        self.open().add_watch(Watch(model, log, interval(every, log_freq), prefix=prefix, step=step, whole=whole))

    def unwatch(self, model: torch.nn.Module | None = None) -> None:
        """End the watch of a module, and log the histograms that it has taken.

        Args:
            model: The module. Default: all watched modules.
        """
        if self._session.run is not None:
            self._session.run.unwatch(model)

    def marks(self) -> list[Mark]:
        """Return the marks of a checkpoint that is saved now: the runs that it belongs to, and their next step.

        The runs are those of all AccelTrackLoggers of the Trainer.
        """
        return self._session.marks()

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Note the runs of a checkpoint in a file beside it, so that a `fit` from that checkpoint continues the run.

        Args:
            checkpoint_callback: The ModelCheckpoint that has saved, or a weak proxy of it.
        """
        run = self._session.run
        if run is None or process_index() != 0:
            return
        saved = getattr(checkpoint_callback, "_last_checkpoint_saved", "") or checkpoint_callback.last_model_path
        if saved and (marks := self.marks()):
            mark_checkpoint(saved, marks)
        for listener in self.checkpoint_listeners:
            listener(run, checkpoint_callback)

    def save(self) -> None:
        """Flush inline trackers, at most every 30 seconds: Lightning calls this after every `log_metrics`."""
        run = self._session.run
        if run is not None and not run.settings.keeps_journal:
            now = time.monotonic()
            if now - self._saved_at > _SECONDS_BETWEEN_SAVES:
                self._saved_at = now
                run.flush()

    def finalize(self, status: str) -> None:
        """Flush the trackers at the end of a `fit`, `validate`, `test` or `predict`, and note the outcome.

        The run stays open. In a process that Lightning has launched for this call, the run ends instead, and the
        process of the next call continues it. Errors are logged and not raised, since they would hide the exception
        that ended the training.

        Args:
            status: Lightning's status of the call: "success", "failed" or "interrupted".
        """
        try:
            self._session.end_call(status)
        except Exception as error:  # noqa: BLE001 - reported, see above
            log_error(f"AccelTrackLogger: flushing after {status!r} failed", error)

    def finish(self, status: Status | None = None) -> None:
        """End the run now instead of at the interpreter's exit. The next use of the logger begins another run.

        Until then, `run`, `run_id`, `url`, `version` and the folders are those of the run that has ended.

        Args:
            status: "finished", "failed", "interrupted" or "preempted". Default: Lightning's outcome of the last call,
                else that of the exception that is being handled.
        """
        self._session.finish(outcome_with(status))

    def __enter__(self) -> Self:
        """Return the logger, whose run ends with the block."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the run, by the block's exception if there is one."""
        run, outcome = self._session.run, outcome_of(error)
        # After Ctrl-C, what leaves the block is the SystemExit that Lightning raises behind it.
        told = run is not None and run.outcome not in (None, FINISHED)
        with behind(error):
            self._session.finish(None if told or outcome == FINISHED else outcome)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without listeners, which belong to callbacks; `Session` decides about the rest of a copy."""
        return {**self.__dict__, "checkpoint_listeners": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state, and register the class with Lightning, which may not know it in this process yet."""
        vars(self).update(state)
        _be_recognised()
