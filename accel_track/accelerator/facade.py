"""The front door for plain training loops: devices and processes from Lightning Fabric, tracking from a `Run`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, overload

from accel_track.absent import ACCELERATOR, ARGUMENTS, refuse
from accel_track.accelerator.checkpointing import Checkpointing
from accel_track.accelerator.checkpoints import STATE
from accel_track.accelerator.handlers import (
    DataLoaderConfiguration,
    GradientAccumulationPlugin,
    Handlers,
    KwargsHandler,
)
from accel_track.accelerator.launch import told
from accel_track.accelerator.reduction import Reduction, reduced
from accel_track.begin import run_to_continue
from accel_track.configuration import ProjectConfiguration
from accel_track.errors import behind, warn
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import new_run_id
from accel_track.media.calls import AlertLevel, MediaCalls
from accel_track.options import Options, Settings, takes_options
from accel_track.outcome import Outcome, Status, outcome_of
from accel_track.registry import LogWith, select
from accel_track.resume import Mark, find_marks, is_free, mark_checkpoint
from accel_track.run import Run, no_arguments, no_tracker
from accel_track.trackers.base import GeneralTracker
from accel_track.values.plain import check_name

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from accel_track.monitors.watch import Watched


def _accumulation(plugin: GradientAccumulationPlugin | None, steps: int) -> GradientAccumulationPlugin:
    """Return how gradients are accumulated, from the arguments of an `Accelerator`."""
    if plugin is None:
        return GradientAccumulationPlugin(int(told("GRADIENT_ACCUMULATION_STEPS", "1")) if steps == 1 else steps)
    if not isinstance(plugin, GradientAccumulationPlugin):
        message = (
            "`gradient_accumulation_plugin` takes a GradientAccumulationPlugin of accel_track.utils; "
            f"got {type(plugin).__name__}."
        )
        raise TypeError(message)
    if steps != 1:
        message = "give `gradient_accumulation_steps` or `gradient_accumulation_plugin`, not both."
        raise ValueError(message)
    return plugin


def _loaders(configuration: DataLoaderConfiguration | None, *, split_batches: bool) -> DataLoaderConfiguration:
    """Return how data loaders are prepared, from the arguments of an `Accelerator`."""
    if configuration is None:
        return DataLoaderConfiguration(split_batches)
    if not isinstance(configuration, DataLoaderConfiguration):
        message = (
            "`dataloader_config` takes a DataLoaderConfiguration of accel_track.utils; "
            f"got {type(configuration).__name__}."
        )
        raise TypeError(message)
    return replace(configuration, split_batches=True) if split_batches else configuration


_PROJECT = "accel_track"
"""Name of a project that has neither a name nor a folder."""


@takes_options
class Accelerator(Checkpointing, MediaCalls):
    """Trackers and training helpers for a plain training loop.

    One process by default; started by `torchrun` it joins the process group. Trackers run on the main process only;
    elsewhere every tracking call does nothing.

    Args:
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend. None tracks nothing.
        project_dir: Folder for checkpoints and for trackers that store locally.
        project_config: More about folders; its `project_dir` counts when the argument is None.
        mixed_precision: None or "no", "fp16" or "bf16".
        gradient_accumulation_steps: How many batches one optimizer step takes its gradients from; see `accumulate`.
        cpu: Whether to use the CPU even where there is a GPU.
        device_placement: Whether `prepare` moves models and batches to the device.
        split_batches: As in `dataloader_config`.
        dataloader_config: How data loaders are prepared, a `DataLoaderConfiguration`.
        gradient_accumulation_plugin: How gradients are accumulated, in place of `gradient_accumulation_steps`.
        step_scheduler_with_optimizer: Whether prepared schedulers step with the optimizer; else at each call.
        kwargs_handlers: Arguments of Fabric's strategy, process group, loss scaler and autocast:
            `DistributedDataParallelKwargs`, `InitProcessGroupKwargs`, `GradScalerKwargs`, `AutocastKwargs`.
        deepspeed_plugin: None. DeepSpeed, FSDP and Megatron-LM are refused.
        fsdp_plugin: None, as `deepspeed_plugin`.
        megatron_lm_plugin: None, as `deepspeed_plugin`.
        **options: `delivery` to `keep`, the same for all front doors; see
            [`Options`][accel_track.options.Options].

    Each of `delivery` to `keep` is, when None, taken from a variable: `ACCEL_TRACK_DELIVERY`, ….
    In a `with` block, the block's end is the training's, and an exception that leaves it is how it ended.

    Where `accelerate launch` has started the program, what it was told of precision, accumulation steps and the CPU
    takes the place of the defaults.

    Raises:
        ValueError: An unknown tracker or precision, fewer than 1 accumulation step, or no folder for a tracker that
            needs one.
        TypeError: `log_with` or `kwargs_handlers` holds something else.
        NotImplementedError: A sharded strategy is asked for.
        MissingPackageError: A backend that is named is not installed; with `delivery="none"`, it need not be.
    """

    other_arguments = ARGUMENTS

    def __init__(
        self,
        log_with: LogWith = None,
        project_dir: str | os.PathLike[str] | None = None,
        project_config: ProjectConfiguration | None = None,
        mixed_precision: str | None = None,
        gradient_accumulation_steps: int = 1,
        cpu: bool = False,
        device_placement: bool = True,
        split_batches: bool = False,
        dataloader_config: DataLoaderConfiguration | None = None,
        gradient_accumulation_plugin: GradientAccumulationPlugin | None = None,
        step_scheduler_with_optimizer: bool = True,
        kwargs_handlers: list[KwargsHandler] | None = None,
        deepspeed_plugin: None = None,
        fsdp_plugin: None = None,
        megatron_lm_plugin: None = None,
        **options: Unpack[Options],
    ) -> None:
        """Choose devices and, under `torchrun`, join the group; check `log_with`."""
        refuse(deepspeed_plugin=deepspeed_plugin, fsdp_plugin=fsdp_plugin, megatron_lm_plugin=megatron_lm_plugin)
        self._settings = Settings.of(**options)
        configuration = project_config or ProjectConfiguration()
        if project_dir is not None:
            configuration.set_directories(project_dir)
        self._selected = select(log_with, configuration.logging_dir, missing=self._settings.missing)
        super().__init__(
            configuration,
            str(mixed_precision or told("MIXED_PRECISION", "no")),
            _accumulation(gradient_accumulation_plugin, gradient_accumulation_steps),
            _loaders(dataloader_config, split_batches=split_batches),
            Handlers.of(kwargs_handlers),
            cpu=cpu or told("USE_CPU", "false").lower() == "true",
            device_placement=device_placement,
            step_scheduler_with_optimizer=step_scheduler_with_optimizer,
        )
        self._run: Run | None = None
        self._ended: list[GeneralTracker] = []
        self._loaded: Mark | None = None
        self._begun: tuple[str, str | None] = ("", None)
        self._warned = False

    @property
    def project_dir(self) -> str | os.PathLike[str] | None:
        """Folder of the project."""
        return self.project_configuration.project_dir

    @property
    def logging_dir(self) -> str | os.PathLike[str] | None:
        """Folder for trackers that store locally."""
        return self.project_configuration.logging_dir

    @property
    def trackers(self) -> list[GeneralTracker]:
        """The trackers, in the order of `log_with`; none before `init_trackers` and off the main process.

        After `end_training` they are those of the run that has ended, whose native objects are gone. With
        `delivery="process"` or "none", stand-ins take the place of trackers that run elsewhere: `log`, media and
        artifacts go to the journal, and from there to that tracker.
        """
        return list(self._ended if self._run is None else self._run.trackers)

    @property
    def run(self) -> Run | None:
        """The run that goes on; None where there is none, and in processes that do not log."""
        return self._run

    def init_trackers(
        self,
        project_name: str | None = None,
        config: Any = None,
        init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        run_name: str | None = None,
    ) -> None:
        """Start the trackers, or nothing while a run of the same project, name and configuration goes on.

        With another project, name or configuration, that run ends first, with a warning. A run without a configuration
        takes the first one that is given later.

        Args:
            project_name: Name of the project (some backends call it experiment); must do as a folder name. None: the
                name of the folder `project_dir`, or without one "accel_track". A tracker that was passed as an instance
                keeps its own.
            config: Hyperparameters: a dictionary, dataclass, namespace or OmegaConf node, possibly nested.
            init_kwargs: Constructor arguments by tracker name, e.g. `{"wandb": {"entity": "team"}}`.
            run_name: Name of the run in every backend and of its folder, `<logging directory>/<project>/<run>`. Where
                another run of the project has it, `-2`, `-3`, … is put behind it. Default: made from the run's id.

        Raises:
            ValueError: A name cannot be used, or `init_kwargs` names a tracker that this run does not have.
            TypeError: `config` or `init_kwargs` is of another form.
            NotConfiguredError: A backend named in `log_with` lacks its credentials.
            UnwritableDirectoryError: The logging directory cannot be written to.
            ResumeError: `resume="must"`, and there is no run to continue or another process is logging to it.
            Exception: A tracker could not be started; those that were are finished again.
        """
        if not (self.is_main_process or self._settings.all_ranks):
            return
        project_name = self._default_project() if project_name is None else project_name
        run = self._run
        if run is not None and (what := self._another(run, project_name, run_name, config)) is not None:
            warn(f"init_trackers: this is another {what}, so the run {run.name!r} ends, and a new one begins.")
            self._end(None)
        if self._run is None:
            self._ended, self._begun = [], (project_name, run_name)
            project_name = check_name(project_name, "project_name")
            place = (new_run_id(), self._to_continue(project_name, run_name) if self.is_main_process else None)
            run_id, resumed = self.fabric.broadcast(place) if self._settings.all_ranks else place
            self._run = Run(
                self._selected,
                project=project_name,
                name=run_name,
                distinct=True,
                directory=self.logging_dir,
                init_kwargs=init_kwargs,
                config=config,
                settings=self._settings,
                rank=self.process_index,
                run_id=run_id,
                resumed=resumed,
                exits_on_sigterm=True,
            )
        elif config is not None:
            self._run.store_configuration(config)

    def _default_project(self) -> str:
        folder = "" if self.project_dir is None else os.path.basename(os.path.abspath(self.project_dir))
        return folder or _PROJECT

    def _another(self, run: Run, project: str, name: str | None, config: Any) -> str | None:
        """Return what in a call of `init_trackers` differs from the run that goes on, or None."""
        if project != self._begun[0]:
            return "project"
        if name not in (None, self._begun[1]):
            return "run name"
        return None if run.has_configuration(config) else "configuration"

    def _to_continue(self, project: str, name: str | None) -> RunDirectory | None:
        """Return the run directory of the run to continue, or None."""
        loaded, self._loaded = self._loaded, None  # the next training is another one
        settings = self._settings
        may = settings.resume != "never" and settings.keeps_journal
        if may and loaded is not None and is_free(loaded.run, must=settings.resume == "must"):
            return loaded.run
        return run_to_continue(settings, self.logging_dir, project, name)

    def save_state(self, output_dir: str | os.PathLike[str] | None = None, safe_serialization: bool = True) -> str:
        """Save everything prepared or registered, the random states, and which run the state belongs to.

        With a folder, this may be called on the main process alone, whose random states are saved then. Without one,
        call it on all processes.

        Args:
            output_dir: Folder; may be left out with `automatic_checkpoint_naming`.
            safe_serialization: Without effect: the file is always one of tensors and plain data, as torch writes it.

        Returns:
            The folder.

        Raises:
            ValueError: No folder, and no automatic naming.
            FileExistsError: The next automatic folder exists already.
        """
        folder = super().save_state(output_dir, safe_serialization)
        if self.is_main_process and self._run is not None and self._run.run_directory is not None:
            mark_checkpoint(os.path.join(folder, STATE), [Mark(self._run.run_directory, None)])
        return folder

    def load_state(self, input_dir: str | os.PathLike[str] | None = None) -> str:
        """Restore what `save_state` saved, into objects prepared in the same order; call this on all processes.

        Called before `init_trackers`, it makes `init_trackers` continue the run in which the state was saved.

        Args:
            input_dir: Folder; left out with `automatic_checkpoint_naming`, the newest checkpoint is taken.

        Returns:
            The folder.

        Raises:
            ValueError: No folder, and no automatic naming.
            FileNotFoundError: There is no checkpoint there.
        """
        folder = super().load_state(input_dir)
        self._loaded = next(iter(find_marks(os.path.join(folder, STATE))), None)
        current = None if self._run is None else self._run.run_directory
        if self._loaded is not None and current is not None and self._settings.resume != "never":
            if self._loaded.run.path.samefile(current.path):
                self._run.rewind(None)  # type: ignore[union-attr]
            else:
                path = self._loaded.run.path
                warn(f"this state belongs to {path}; to continue that run, load it before init_trackers.")
        return folder

    def log(
        self,
        values: dict[str, Any],
        step: int | None = None,
        log_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        reduce: Reduction | None = None,
    ) -> None:
        """Log values with all trackers.

        Args:
            values: Names to numbers, texts, tensors or arrays of one element, or dictionaries of these.
            step: Training step, 0 or more; a float without a fraction counts as its integer.
            log_kwargs: More arguments by tracker name for that tracker's `log`.
            reduce: "mean", "sum" or "max" of each number over all processes is logged instead of this process's. Then
                the call is collective: make it on all processes, with the same names in the same order.

        Raises:
            TypeError: `values` is no dictionary with string keys, or `step` no integer.
            ValueError: `step` is negative, or `reduce` is another text.
            Exception: A tracker's own error, with `on_error="raise"`.
        """
        if reduce is not None:
            values = reduced(self.fabric if self.num_processes > 1 else None, values, reduce)
        if self._run is not None:  # on the main process only
            self._run.log(values, step, log_kwargs)
        else:
            self._warn_of_nothing()

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        no_arguments(kwargs)
        self.log(values, step)

    def _log_artifact(self, path: str | os.PathLike[str], name: str | None, about: dict[str, Any]) -> None:
        if self._run is not None:
            self._run.log_artifact(path, name, **about)
        else:
            self._warn_of_nothing()

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise an alert, as [`Run.alert`][accel_track.run.Run.alert] does; on the main process only."""
        if self._run is not None:
            self._run.alert(title, text, level)
        else:
            self._warn_of_nothing("alert")

    def watch(
        self, model: Any, log: Watched | None = "gradients", every: int = 100, *, log_freq: int | None = None
    ) -> None:
        """Log histograms of a module's gradients and parameters, as [`Run.watch`][accel_track.run.Run.watch] does.

        Within `accumulate`, gradients are looked at where a window ends. On processes without a run, nothing is done.

        Args:
            model: The module, prepared or not; it is not kept alive.
            log: "gradients", "parameters" or "all"; None: nothing.
            every: How many backward passes there are from one to the next that is looked at.
            log_freq: Another word for `every`.

        Raises:
            TypeError: `model` is no module.
            ValueError: `log` or `every` is something else.
        """
        if self._run is None:
            self._warn_of_nothing("watch")
        elif log is not None:
            from accel_track.monitors.watch import Watch, interval

            accumulation = self._accumulation
            self._run.add_watch(Watch(model, log, interval(every, log_freq), whole=lambda: accumulation.sync))

    def unwatch(self, model: Any = None) -> None:
        """Take histograms of a module no longer, or of none."""
        if self._run is not None:
            self._run.unwatch(model)

    def _warn_of_nothing(self, call: str = "log") -> None:
        if self._selected and not self._warned and self.is_main_process:
            self._warned = True
            message = f"nothing is logged: call `init_trackers` before `{call}`, and `end_training` after the last one."
            warn(message)

    @overload
    def get_tracker(self, name: str, unwrap: Literal[False] = False) -> GeneralTracker: ...
    @overload
    def get_tracker(self, name: str, unwrap: bool) -> Any: ...
    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return the tracker of a name, or with `unwrap` its SDK's own object.

        Off the main process, an object on which every attribute and call does nothing.

        Raises:
            ValueError: No tracker has that name.
            NotStartedError: With `unwrap`, the run has ended, or the tracker is in another process.
        """
        if self._run is not None:
            return self._run.get_tracker(name, unwrap)
        if not self.is_main_process:
            return no_tracker(unwrap)
        for tracker in self._ended:
            if tracker.name == name:
                return tracker.tracker if unwrap else tracker
        message = f"no tracker {name!r}: call `init_trackers` first."
        raise ValueError(message)

    def end_training(self, status: Status | None = None) -> None:
        """Finish the trackers, if there are any. At the interpreter's exit, this happens by itself.

        Args:
            status: How the training ended. Default: "finished", or in an `except` or `finally` block what the exception
                says: "interrupted" for Ctrl-C, "preempted" for SIGTERM, else "failed".
        """
        self._end(None if status is None else Outcome(status))

    def _end(self, outcome: Outcome | None) -> None:
        if self._run is not None:
            self._ended = self._run.trackers
            try:
                self._run.finish(outcome)  # a tracker may log meanwhile
            finally:
                self._run = None

    def __repr__(self) -> str:
        """Tell the processes, the precision, accumulation, and what is logged where."""
        names = ", ".join(one.name for one in self._selected) or "nothing"
        run = "" if self._run is None else f" to the run {self._run.name!r}"
        steps = f"gradient_accumulation_steps={self.gradient_accumulation_steps}"
        return f"{type(self).__name__}({', '.join([*self.state.told(), steps])}; logs with {names}{run})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say of a name of Hugging Face Accelerate's that is not here what to use."""
            if name in ACCELERATOR:
                message = f"Accelerator has no {name!r}: {ACCELERATOR[name]}."
                raise AttributeError(message)
            return object.__getattribute__(self, name)  # the error as it was, also one of a property

    def __enter__(self) -> Self:
        """Return the accelerator, whose training ends with the block."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the training, by the block's exception if there is one."""
        with behind(error):
            self._end(outcome_of(error))
