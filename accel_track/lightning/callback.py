"""AccelTrackCallback: a Lightning callback that tracks a Trainer, with or without an AccelTrackLogger."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer

from accel_track.delivery.keeper import every
from accel_track.errors import warn
from accel_track.lightning.checkpoints import CheckpointUploads, LogCheckpoints
from accel_track.lightning.interception import follow, hyperparameters, unfollow
from accel_track.lightning.logger import AccelTrackLogger
from accel_track.lightning.media import only_where_logged
from accel_track.lightning.names import DEFAULT
from accel_track.lightning.run_choice import INSIDE, marks_in
from accel_track.lightning.samples import SampleMedia, ValidationSamples
from accel_track.media.calls import AlertLevel, MediaCalls
from accel_track.monitors.environment import describe_environment
from accel_track.monitors.machine import SystemMetrics
from accel_track.monitors.training import Throughput, gradient_norm, learning_rates, summarize
from accel_track.options import Options, takes_options
from accel_track.registry import LogWith

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from accel_track.monitors.watch import Watched


@takes_options
@only_where_logged
class AccelTrackCallback(Callback, MediaCalls):
    """A Lightning callback that logs a Trainer's metrics, hyperparameters and checkpoints, and its machine's load.

    The Trainer keeps its `logger`. If that is an `AccelTrackLogger`, or a list with one, the callback's trackers join
    the logger's run, and nothing is logged twice. Otherwise the callback has a run of its own, which goes on over
    several Trainer calls until `finish` or the interpreter's exit. Learning rates, the norm of gradients and the
    throughput are logged every `log_every_n_steps` of the Trainer. A Trainer with `fast_dev_run` is not tracked.

    An option that is None, such as `delivery`, has the value of its variable, `ACCEL_TRACK_DELIVERY`, or its default.

    Args:
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these. Default: "tensorboard" for a
            run of the callback's own; no further tracker for the run of an AccelTrackLogger.
        name: Name of the project, as for [`AccelTrackLogger`][accel_track.AccelTrackLogger].
        version: Name or number of the run. Default: the next free number.
        save_dir: Folder for everything local. Default: the Trainer's `default_root_dir`.
        prefix: Prefix of metric names, joined to them with "-".
        config: Hyperparameters besides those of the module and the data module.
        init_kwargs: Constructor arguments by tracker name.
        log_checkpoints: Which files of ModelCheckpoint go to the trackers that keep checkpoints: "best", "last", "all",
            or False for none. A file that Lightning deletes is deleted in the backends that can do so.
        log_learning_rate: Whether to log each optimizer's learning rates, as `lr-<optimizer>`.
        log_gradient_norm: Whether to log the norm of all gradients before each optimizer's step, as `gradient_norm`.
        log_throughput: Whether to log samples per second, batches per second and seconds per step, as `throughput/…`.
        log_system: Whether to log the use of CPU, memory and GPUs, as `system/…`. A thread measures them.
        system_interval: Seconds between two measurements of the machine, above 0.
        log_summary: Whether to store the module's size and layers with the hyperparameters, as `model`.
        log_environment: Whether to store commit, command line, packages and machine, as `environment`; a continued run
            adds `environment_2`, …. They go to the hyperparameters, or to a backend's own place for them, such as tags.
        log_samples: Number of samples of each validation of a classifier to log, with target and prediction, as
            `validation/samples`; a `validation/confusion_matrix` and a table `validation/classes` come with them. Or a
            function that returns the values to log by name, such as media: its arguments are the Trainer, the module,
            the first batch of a validation and the return value of `validation_step` for it.
        class_names: Names of the classes for `log_samples`. Default: the attribute `class_names` of the module or of
            the data module, else numbers.
        **options: The options of all front doors, such as `delivery`, for a run of the callback's own; see
            [`Options`][accel_track.options.Options].
    """

    def __init__(
        self,
        log_with: LogWith = None,
        name: str | None = DEFAULT,
        version: int | str | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        prefix: str = "",
        config: dict[str, Any] | None = None,
        init_kwargs: dict[str, dict[str, Any]] | None = None,
        *,
        log_checkpoints: LogCheckpoints | bool = False,
        log_learning_rate: bool = True,
        log_gradient_norm: bool = False,
        log_throughput: bool = True,
        log_system: bool = True,
        system_interval: float = 15.0,
        log_summary: bool = True,
        log_environment: bool = True,
        log_samples: int | SampleMedia | None = None,
        class_names: Sequence[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Check the arguments; nothing starts yet.

        Raises:
            ValueError: `log_checkpoints`, `system_interval` or `log_samples` has an unknown value.
            Exception: The errors of `AccelTrackLogger`.
        """
        super().__init__()
        if log_checkpoints not in (False, "best", "last", "all"):
            message = f"`log_checkpoints` must be False, 'best', 'last' or 'all'; got {log_checkpoints!r}."
            raise ValueError(message)
        if not system_interval > 0:
            message = f"`system_interval` must be a number of seconds above 0; got {system_interval!r}."
            raise ValueError(message)
        if log_samples and not callable(log_samples) and not (type(log_samples) is int and log_samples > 0):
            message = f"`log_samples` must be a number of samples, 1 or more, a function, or None; got {log_samples!r}."
            raise ValueError(message)
        self._trackers_given = log_with is not None
        self._save_dir_given = save_dir is not None
        self._own = AccelTrackLogger(
            "tensorboard" if log_with is None else log_with,
            name,
            version,
            save_dir,
            prefix,
            config,
            init_kwargs,
            **options,
        )
        self.logger: AccelTrackLogger | None = None
        """The logger that has the run, the Trainer's or the callback's own; None until a Trainer call begins."""
        self._uploads = CheckpointUploads(log_checkpoints) if isinstance(log_checkpoints, str) else None
        self._learning_rate = log_learning_rate
        self._gradient_norm = log_gradient_norm
        self._throughput = Throughput() if log_throughput else None
        self._system_interval = system_interval if log_system else None
        self._summary = log_summary
        self._environment = log_environment
        self._is_tracked = True
        self._samples = ValidationSamples(log_samples, class_names) if log_samples else None
        self._watched: list[tuple[weakref.ref[nn.Module], Watched, int]] = []
        self._restored: list[str] = []
        self._described: str | None = None
        self._others: list[AccelTrackCallback] = []
        self._clear()

    def _clear(self) -> None:
        self._in_call = False
        self._over: threading.Event | None = None
        self._system: dict[str, float] | None = None
        self._norms: dict[str, Any] = {}

    # -- the run ------------------------------------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Join the Trainer's AccelTrackLogger, or begin (or continue) a run and follow the Trainer's metrics."""
        self.logger = None
        self._is_tracked = not trainer.fast_dev_run  # type: ignore[attr-defined]  # Lightning sets it outside the class
        if not self._is_tracked:
            return
        self._in_call = True
        self.logger = next((one for one in trainer.loggers if isinstance(one, AccelTrackLogger)), None)
        self._others = []
        if self.logger is not None:
            self.logger.add(self._own, with_trackers=self._trackers_given)
            callbacks = trainer.callbacks  # type: ignore[attr-defined]  # as above
            self._others = [one for one in callbacks[: callbacks.index(self)] if isinstance(one, AccelTrackCallback)]
        else:
            self._begin(trainer, pl_module)
        if trainer.is_global_zero and self.logger is not None:
            self._observe(self.logger)
            self._begin_watches()

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._save_dir_given:
            self._own.save_dir = trainer.default_root_dir  # known only now
        self.logger = self._own
        _ = self._own.experiment
        follow(trainer, self, self._own)
        values = hyperparameters(trainer, pl_module)
        if values:
            self._own.log_hyperparams(values)

    def _observe(self, logger: AccelTrackLogger) -> None:
        uploads = self._uploads if self._does("_uploads") else None
        if uploads is not None and uploads.saved not in logger.checkpoint_listeners:
            logger.checkpoint_listeners.append(uploads.saved)
        if self._system_interval is not None and self._does("_system_interval"):
            self._over, meter = threading.Event(), SystemMetrics(logger.save_dir)
            self._meter = every(self._system_interval, partial(self._measure, meter, self._over), self._over)

    def watch(
        self,
        model: nn.Module,
        log: Watched | None = "gradients",
        every: int = 100,
        log_graph: bool = True,
        *,
        log_freq: int | None = None,
    ) -> None:
        """Log histograms of a module's gradients and parameters in this and later Trainer calls.

        Args:
            model: The LightningModule, or a part of it. The watch does not keep it alive.
            log: "gradients", "parameters", "all", or None for no histograms.
            every: Backward passes from one set of histograms to the next, 1 or more.
            log_graph: Without effect, an argument of `WandbLogger.watch`.
            log_freq: Another name of `every`, as in `WandbLogger`.

        Raises:
            TypeError: `model` is not a module.
            ValueError: `log` or `every` has an unknown value.
        """
        from accel_track.monitors.watch import bare, check, interval

        if log is not None:
            check(model, log, passes := interval(every, log_freq))
            self.unwatch(model)
            self._watched.append((weakref.ref(bare(model)), log, passes))
            if self._in_call:
                self._begin_watches()

    def unwatch(self, model: nn.Module | None = None) -> None:
        """End the watch of a module, and log the histograms that it has taken.

        Args:
            model: The module. Default: all watched modules.
        """
        from accel_track.monitors.watch import bare

        self._watched = [one for one in self._watched if model is not None and one[0]() is not bare(model)]
        if self.logger is not None:
            self.logger.unwatch(model)

    def _begin_watches(self) -> None:
        for reference, log, passes in self._watched:
            if (model := reference()) is not None and self.logger is not None:
                self.logger.watch(model, log, passes)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with the watched modules themselves, for processes that Lightning spawns."""
        watched = [(reference(), *how) for reference, *how in self._watched]
        return {**self.__dict__, "_watched": [one for one in watched if one[0] is not None]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        vars(self).update(state)
        self._watched = [(weakref.ref(model), *how) for model, *how in state["_watched"]]

    def _does(self, what: str) -> bool:
        """Return whether this callback takes a measurement: it is the first in its run that is asked to."""
        return [one for one in (*self._others, self) if getattr(one, what)][:1] == [self]

    def _learning_rates(self, trainer: Trainer) -> dict[str, Any]:
        """Return the learning rates that no LearningRateMonitor gives to the same run under the same name."""
        rates = learning_rates(trainer)
        if self.logger is not self._own:
            for one in trainer.callbacks:  # type: ignore[attr-defined]  # as above
                if any(kind.__name__ == "LearningRateMonitor" for kind in type(one).__mro__):
                    rates = {name: rate for name, rate in rates.items() if name not in getattr(one, "lrs", ())}
        return rates

    def _measure(self, meter: SystemMetrics, over: threading.Event) -> None:
        values = meter.sample()
        if not over.is_set():
            self._system = values

    def _describe(self, trainer: Trainer) -> None:
        """Store the program's environment, once per run and after the user's own hyperparameters."""
        if not self._does("_environment") or self.logger is None or not trainer.is_global_zero:
            return
        run = self.logger.open()
        if self._described != run.run_id:
            self._described = run.run_id
            run.store_environment(describe_environment(redact=run.settings.redact))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the module's size and the environment; compare the checkpoint's run with this one."""
        if self.logger is None or not trainer.is_global_zero:
            return
        if self._does("_summary"):
            self.logger.log_hyperparams({"model": summarize(pl_module)})
        self._describe(trainer)
        earlier, run = self._restored, self.logger.open().run_id
        if earlier and run not in earlier:
            warn(
                f"the checkpoint belongs to the run {', '.join(earlier)}, and this is logged to another, {run}. To "
                "continue that run, give its `save_dir` and `version`."
            )
        self._restored = []

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop following the Trainer and flush; the run stays open."""
        self._end_call(trainer, "success")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop following the Trainer and flush; the run stays open."""
        self._end_call(trainer, "failed")

    def _end_call(self, trainer: Trainer, status: str) -> None:
        if self._over is not None:
            self._over.set()
            self._meter.join(1.0)  # the thread outlives the call only in the middle of a long measurement
        self._clear()
        if self._throughput is not None:
            self._throughput.pause()
            self._throughput.values()
        if self.logger is None:
            return
        if self._uploads is not None and self._uploads.saved in self.logger.checkpoint_listeners:
            self._uploads.end(self.logger.open())
            if status == "success":  # else ModelCheckpoint may save once more, after this callback was told
                self.logger.checkpoint_listeners.remove(self._uploads.saved)
        if self.logger is self._own:
            unfollow(trainer, self, saving=status != "success")
            self._own.finalize(status)

    def finish(self) -> None:
        """End the callback's own run now instead of at the interpreter's exit."""
        self._own.finish()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the runs of a checkpoint in the checkpoint itself.

        They are not in the callback's state, which several callbacks would have to keep under names of their own.
        """
        if self.logger is not None and (marks := self.logger.marks()):
            checkpoint[INSIDE] = [{"run": os.fspath(one.run.path.absolute()), "step": one.step} for one in marks]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember the runs of the checkpoint."""
        self._restored = [one.run.path.name for one in marks_in(checkpoint)]

    # -- media --------------------------------------------------------------------------------------------------------

    def _logs_here(self) -> bool:
        if self.logger is None and self._is_tracked:
            warn("AccelTrackCallback: nothing is logged before a Trainer's call has begun.", stacklevel=3)
        return self.logger is not None and self.logger._logs_here()  # noqa: SLF001 - of one mechanism

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        if self.logger is not None:
            self.logger._log_media(values, step, **kwargs)  # noqa: SLF001 - as above

    def _log_artifact(self, path: str | os.PathLike[str], name: str | None, about: dict[str, Any]) -> None:
        if self.logger is not None:
            self.logger._log_artifact(path, name, about)  # noqa: SLF001 - as above

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
        if self._logs_here() and self.logger is not None:
            self.logger.alert(title, text, level)

    # -- measurements -------------------------------------------------------------------------------------------------

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin to time a step."""
        if self._throughput is not None and self.logger is not None:
            self._throughput.batch_started()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Take the norm of the optimizer's gradients."""
        if self._does("_gradient_norm") and self._is_due(trainer):
            parameters = (one for group in optimizer.param_groups for one in group["params"])
            number = trainer.optimizers.index(optimizer) if optimizer in trainer.optimizers else 0
            self._norms["gradient_norm" if number == 0 else f"gradient_norm-{number}"] = gradient_norm(parameters)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the measurements that are due."""
        if self.logger is None:
            return
        if self._throughput is not None:
            self._throughput.batch_ended(batch)
        values: dict[str, Any] = {}
        if self._is_due(trainer):
            values, self._norms = self._norms, {}
            if self._does("_learning_rate"):
                values |= self._learning_rates(trainer)
            if self._throughput is not None and self._does("_throughput"):
                values |= self._throughput.values()
        self._log(trainer, values)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the environment."""
        self._describe(trainer)

    on_predict_start = on_test_start

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the time of a validation out of the throughput; store the environment."""
        self._describe(trainer)
        if self._throughput is not None:
            self._throughput.pause()
        if self._samples is not None:
            self._samples.begin()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log the last measurement of the machine; take samples."""
        self._log(trainer, {})
        if self._takes_samples(trainer):
            self._samples.add(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)  # type: ignore[union-attr]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the samples."""
        if self._takes_samples(trainer):
            self._log(trainer, self._samples.values(trainer, pl_module))  # type: ignore[union-attr]

    def _takes_samples(self, trainer: Trainer) -> bool:
        return self.logger is not None and not trainer.sanity_checking and self._does("_samples")

    def on_test_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Log the last measurement of the machine."""
        self._log(trainer, {})

    on_predict_batch_end = on_test_batch_end

    def _is_due(self, trainer: Trainer) -> bool:
        """Return whether values are logged with the current batch, which then ends an optimizer's step."""
        if trainer.fit_loop._should_accumulate() and trainer.lightning_module.automatic_optimization:  # noqa: SLF001
            return False
        return self.logger is not None and trainer._logger_connector.should_update_logs  # noqa: SLF001 - as LearningRateMonitor

    def _log(self, trainer: Trainer, values: dict[str, Any]) -> None:
        if self._system is not None:
            values, self._system = {**values, **self._system}, None
        if values and self.logger is not None and trainer.is_global_zero:
            step = trainer.fit_loop.epoch_loop._batches_that_stepped  # noqa: SLF001 - the step of everything else
            self.logger.log_metrics(values, step)
