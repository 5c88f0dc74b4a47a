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
from accel_track.outcome import Outcome, Status, outcome_of, outcome_with
from accel_track.registry import LogWith, select
from accel_track.resume import Mark, find_marks, is_free, mark_checkpoint
from accel_track.run import Run, no_arguments, no_tracker
from accel_track.trackers.base import GeneralTracker
from accel_track.values.plain import check_name

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from accel_track.monitors.watch import Watched


def _accumulation(plugin: GradientAccumulationPlugin | None, steps: int) -> GradientAccumulationPlugin:
    """Return the settings of gradient accumulation, from the arguments of an `Accelerator`."""
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
    """Return the settings of prepared data loaders, from the arguments of an `Accelerator`."""
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
    """Trackers and training helpers for a plain training loop, with the names and arguments of accelerate's class.

    An accelerator is one process by default; a program that `torchrun` has started joins the process group. The main
    process alone logs, and every tracking call on another rank does nothing, unless `all_ranks` is set. A `with` block
    ends the training, and an exception that leaves the block is the reason of the end.

    `accelerate launch` hands over its precision, accumulation steps and choice of the CPU as defaults.

    An option that is None, such as `delivery`, has the value of its variable, `ACCEL_TRACK_DELIVERY`, or its default.

    Args:
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend. None tracks nothing.
        project_dir: Folder for checkpoints and for trackers that store locally.
        project_config: Further folders and the names of checkpoints. Its `project_dir` counts if the argument of that
            name is None.
        mixed_precision: "no", "fp16" or "bf16". Default: "no".
        gradient_accumulation_steps: Number of batches that one optimizer step takes its gradients from; see
            `accumulate`.
        cpu: Whether to use the CPU even if there is a GPU.
        device_placement: Whether `prepare` moves models and batches to the device.
        split_batches: Whether a batch is divided among the processes, as in `dataloader_config`.
        dataloader_config: Settings of prepared data loaders, a `DataLoaderConfiguration`.
        gradient_accumulation_plugin: Settings of gradient accumulation, a `GradientAccumulationPlugin`, in place of
            `gradient_accumulation_steps`.
        step_scheduler_with_optimizer: Whether prepared schedulers step when the optimizer does, rather than at each
            call.
        kwargs_handlers: Arguments of Fabric's strategy, process group, loss scaler and autocast:
            `DistributedDataParallelKwargs`, `InitProcessGroupKwargs`, `GradScalerKwargs`, `AutocastKwargs`.
        deepspeed_plugin: None: DeepSpeed, FSDP and Megatron-LM are not supported.
        fsdp_plugin: None, as `deepspeed_plugin`.
        megatron_lm_plugin: None, as `deepspeed_plugin`.
        **options: The options of all front doors, such as `delivery`; see [`Options`][accel_track.options.Options].

    Raises:
        ValueError: A tracker or the precision is unknown, there is less than 1 accumulation step, or a tracker needs a
            folder and none is given.
        TypeError: An argument, or an entry of `log_with` or `kwargs_handlers`, has the wrong type.
        NotImplementedError: The argument of a sharded strategy is not None.
        MissingPackageError: The package of a named backend is not installed; `delivery="none"` does not need the
            package.
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
        """The folder of the project, or None."""
        return self.project_configuration.project_dir

    @property
    def logging_dir(self) -> str | os.PathLike[str] | None:
        """The folder for trackers that store locally, or None."""
        return self.project_configuration.logging_dir

    @property
    def trackers(self) -> list[GeneralTracker]:
        """The trackers in the order of `log_with`; an empty list before `init_trackers` and off the main process.

        After `end_training`, they are the trackers of the run that has ended, without their native objects. With
        `delivery="process"` or "none", a stand-in takes the place of a tracker in another process: its `log`, media
        and artifacts go to the journal, and from there to the tracker. The same is true of a tracker that has not
        started yet, since its backend cannot be reached or is slow.
        """
        return list(self._ended if self._run is None else self._run.trackers)

    @property
    def run(self) -> Run | None:
        """The current run; None before `init_trackers`, after `end_training`, and in processes that do not log."""
        return self._run

    def init_trackers(
        self,
        project_name: str | None = None,
        config: Any = None,
        init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        run_name: str | None = None,
    ) -> None:
        """Begin a run and start its trackers.

        A second call with the same project, name and configuration changes nothing; with others, the current run ends
        with a warning, and another begins. A run without a configuration takes the first one from a later call.

        Args:
            project_name: Name of the project, which some backends call experiment. The name must be usable as a folder
                name. Default: the name of the folder `project_dir`, or "accel_track" without that folder. A tracker
                that was passed as an instance keeps its own project.
            config: Hyperparameters: a dictionary, dataclass, namespace or OmegaConf node, possibly nested.
            init_kwargs: Constructor arguments by tracker name, such as `{"wandb": {"entity": "team"}}`.
            run_name: Name of the run in every backend, and of its folder `<logging directory>/<project>/<run>`. If
                another run of the project has this name, the new run's name gets the suffix `-2`, `-3`, …. Default: a
                name made from the run's id.

        Raises:
            ValueError: A name is unusable, or `init_kwargs` names a tracker that this run does not have.
            TypeError: `config` or `init_kwargs` has the wrong type.
            NotConfiguredError: A backend that `log_with` names lacks its credentials.
            UnwritableDirectoryError: The logging directory cannot be created or written to.
            ResumeError: With `resume="must"`, there is no run to continue, or another process is logging to that run.
            Exception: A tracker failed to start; the trackers that had started are finished again.
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
        """Return which argument of `init_trackers` differs from the current run, or None."""
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
        """Save all prepared and registered objects, the random states, and a mark of the current run.

        With `output_dir`, the main process may make this call alone, and its random states are the ones saved. Without
        `output_dir`, call this on all processes.

        Args:
            output_dir: Folder for the state. Default: with `automatic_checkpoint_naming`, the next numbered folder.
            safe_serialization: Without effect: torch always writes a file of tensors and plain data.

        Returns:
            The folder.

        Raises:
            ValueError: There is neither `output_dir` nor `automatic_checkpoint_naming`.
            FileExistsError: The next numbered folder exists already.
        """
        folder = super().save_state(output_dir, safe_serialization)
        if self.is_main_process and self._run is not None and self._run.run_directory is not None:
            mark_checkpoint(os.path.join(folder, STATE), [Mark(self._run.run_directory, None)])
        return folder

    def load_state(self, input_dir: str | os.PathLike[str] | None = None) -> str:
        """Restore a state of `save_state` into objects that were prepared in the same order; a collective call.

        `init_trackers`, called afterwards, continues the run in which the state was saved.

        Args:
            input_dir: Folder of the state. Default: with `automatic_checkpoint_naming`, that of the newest one.

        Returns:
            The folder.

        Raises:
            ValueError: There is neither `input_dir` nor `automatic_checkpoint_naming`.
            FileNotFoundError: The folder has no state.
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
            values: Values by name, possibly nested: numbers, texts, tensors, arrays, and media such as
                [`Image`][accel_track.media.Image].
            step: Training step, 0 or more, or None. A float without a fraction counts as its integer.
            log_kwargs: Keyword arguments by tracker name for the trackers' own `log`.
            reduce: "mean", "sum" or "max" logs that of each number over all processes, instead of this process's
                number. The call is collective then: make it on all processes, with the same names in the same order.

        Raises:
            TypeError: `values` is not a dictionary with string keys, or `step` is not an integer.
            ValueError: `step` is negative, or `reduce` is unknown.
            Exception: With `on_error="raise"`, the error of a tracker.
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
        """Raise an alert, as [`Run.alert`][accel_track.run.Run.alert] does; on the main process only.

        Args:
            title: The event in one line.
            text: Details in Markdown.
            level: "info", "warning" or "error".

        Raises:
            TypeError: `title` or `text` is not a text.
            ValueError: `level` is unknown.
        """
        if self._run is not None:
            self._run.alert(title, text, level)
        else:
            self._warn_of_nothing("alert")

    def watch(
        self, model: Any, log: Watched | None = "gradients", every: int = 100, *, log_freq: int | None = None
    ) -> None:
        """Log histograms of a module's gradients and parameters, as [`Run.watch`][accel_track.run.Run.watch] does.

        Within `accumulate`, the watch takes gradients at the end of a window. The call does nothing on a process
        without a run.

        Args:
            model: The module, prepared or not. The watch does not keep it alive.
            log: "gradients", "parameters", "all", or None for no histograms.
            every: Backward passes from one set of histograms to the next, 1 or more.
            log_freq: Another name of `every`.

        Raises:
            TypeError: `model` is not a module.
            ValueError: `log` or `every` has an unknown value.
        """
        if self._run is None:
            self._warn_of_nothing("watch")
        elif log is not None:
            from accel_track.monitors.watch import Watch, interval

            accumulation = self._accumulation
            self._run.add_watch(Watch(model, log, interval(every, log_freq), whole=lambda: accumulation.sync))

    def unwatch(self, model: Any = None) -> None:
        """End the watch of a module, and log the histograms that it has taken.

        Args:
            model: The module. Default: all watched modules.
        """
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
        """Return a tracker, or its SDK's own object; off the main process, an object on which every call does nothing.

        Args:
            name: Name of the tracker, such as "wandb".
            unwrap: Whether to return the SDK's own object, such as a `wandb.Run`, instead of the tracker.

        Raises:
            ValueError: No tracker has that name.
            NotStartedError: With `unwrap`, the run has ended, or the backend has not been reached yet.
            ElsewhereError: With `unwrap`, the tracker is in another process.
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
        """End the run and finish its trackers. Without this call, the run ends with the interpreter.

        Args:
            status: "finished", "failed", "interrupted" or "preempted". Default: "finished"; while an exception is
                handled, "interrupted" for Ctrl-C, "preempted" for SIGTERM, else "failed".
        """
        self._end(outcome_with(status))

    def _end(self, outcome: Outcome | None) -> None:
        if self._run is not None:
            self._ended = self._run.trackers
            try:
                self._run.finish(outcome)  # a tracker may log meanwhile
            finally:
                self._run = None

    def __repr__(self) -> str:
        """Return a line with the processes, the precision, the accumulation steps, the trackers and the run."""
        names = ", ".join(one.name for one in self._selected) or "nothing"
        run = "" if self._run is None else f" to the run {self._run.name!r}"
        steps = f"gradient_accumulation_steps={self.gradient_accumulation_steps}"
        return f"{type(self).__name__}({', '.join([*self.state.told(), steps])}; logs with {names}{run})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raise an AttributeError, which says for a missing name of Hugging Face Accelerate what to use instead."""
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
