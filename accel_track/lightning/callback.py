"""A Lightning callback that tracks a Trainer without being its logger."""

from __future__ import annotations

import os
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from accel_track.delivery.settings import Delivery, Durability, OnError
from accel_track.lightning.logger import AccelTrackLogger
from accel_track.registry import LogWith


class AccelTrackCallback(Callback):
    """Logs a Trainer's metrics and hyperparameters with any set of trackers.

    The Trainer's `logger` stays what it is. Where it is (or has) an `AccelTrackLogger`, the callback's trackers join
    that logger's run and get what the logger gets; nothing is logged twice. Otherwise the callback keeps a run of its
    own, which goes on over several Trainer calls until `finish` or the interpreter's exit. A Trainer with
    `fast_dev_run` is not tracked.

    Args:
        log_with: As for `AccelTrackLogger`. Default: TensorBoard, or nothing more where there is an AccelTrackLogger.
        name: Name of the project.
        version: Name or number of the run. Default: the next free number.
        save_dir: Folder for everything local. Default: the Trainer's `default_root_dir`.
        prefix: Put before metric names, joined by "-".
        config: More hyperparameters.
        init_kwargs: Constructor arguments by tracker name.
        delivery: As for `AccelTrackLogger`, as are the rest; they count for a run of the callback's own.
        on_error: As for `AccelTrackLogger`.
        strict: As for `AccelTrackLogger`.
        start_timeout: As for `AccelTrackLogger`.
        finish_timeout: As for `AccelTrackLogger`.
        durability: As for `AccelTrackLogger`.
        redact: As for `AccelTrackLogger`.
    """

    def __init__(
        self,
        log_with: LogWith = None,
        name: str = "lightning_logs",
        version: int | str | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        prefix: str = "",
        config: dict[str, Any] | None = None,
        init_kwargs: dict[str, dict[str, Any]] | None = None,
        delivery: Delivery | None = None,
        on_error: OnError | None = None,
        strict: bool | None = None,
        start_timeout: float | None = None,
        finish_timeout: float | None = None,
        durability: Durability | None = None,
        redact: bool | None = None,
    ) -> None:
        """Check the arguments; nothing starts yet."""
        super().__init__()
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
            delivery,
            on_error,
            strict,
            start_timeout,
            finish_timeout,
            durability,
            redact,
        )
        self.logger: AccelTrackLogger | None = None
        """The logger that holds the run: the Trainer's or the callback's own; None until a Trainer call begins."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Join the Trainer's AccelTrackLogger, or begin (or continue) a run and follow the Trainer's metrics."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it outside the class
            return
        self.logger = next((one for one in trainer.loggers if isinstance(one, AccelTrackLogger)), None)
        if self.logger is not None:
            self.logger.add(self._own, with_trackers=self._trackers_given)
            return
        if not self._save_dir_given:
            self._own._save_dir = trainer.default_root_dir  # noqa: SLF001 - known only now
        self.logger = self._own
        _ = self._own.experiment
        _follow(trainer, self._own)
        hyperparameters = _hyperparameters(trainer, pl_module)
        if hyperparameters:
            self._own.log_hyperparams(hyperparameters)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop following the Trainer and flush; the run stays open."""
        self._end_call(trainer, "success")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop following the Trainer and flush; the run stays open."""
        self._end_call(trainer, "failed")

    def _end_call(self, trainer: Trainer, status: str) -> None:
        if self.logger is self._own:
            _unfollow(trainer)
            self._own.finalize(status)

    def finish(self) -> None:
        """End the callback's own run now; it would end at the interpreter's exit."""
        self._own.finish()


def _follow(trainer: Trainer, logger: AccelTrackLogger) -> None:
    """Hand the logger every metric that the Trainer's own loggers would get, without its being among them.

    Lightning has no hook for this: callbacks run before metrics are complete (the module's own `on_train_epoch_end`
    may log after a callback's), and `logged_metrics` does not tell old values from new ones. Everything passes through
    `_LoggerConnector.log_metrics`, which also chooses the step; it sees one more logger for as long as it runs.
    """
    connector = trainer._logger_connector  # noqa: SLF001
    inner = type(connector).log_metrics

    def log_metrics(*args: Any, **kwargs: Any) -> None:
        loggers = trainer.loggers
        trainer.loggers = [*loggers, logger]
        try:
            inner(connector, *args, **kwargs)
        finally:
            trainer.loggers = loggers

    connector.log_metrics = log_metrics  # type: ignore[method-assign]


def _unfollow(trainer: Trainer) -> None:
    vars(trainer._logger_connector).pop("log_metrics", None)  # noqa: SLF001


def _hyperparameters(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Return the hyperparameters that Lightning would give to a logger."""
    datamodule = getattr(trainer, "datamodule", None)
    sources = [one for one in (module, datamodule) if one is not None and one._log_hyperparams]  # noqa: SLF001
    merged = {key: value for source in sources for key, value in source.hparams_initial.items()}
    merged.pop("_class_path", None)  # LightningCLI's own
    return merged
