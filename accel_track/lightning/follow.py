"""Follow a Trainer from outside: get what its loggers get, without being among them."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from accel_track.lightning.logger import AccelTrackLogger


def follow(trainer: Trainer, logger: AccelTrackLogger) -> None:
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
    for callback in trainer.checkpoint_callbacks:
        if hasattr(callback, "_save_checkpoint"):
            _follow_checkpoints(callback, logger)


def _follow_checkpoints(callback: Any, logger: AccelTrackLogger) -> None:
    """Tell the logger of each checkpoint, as Lightning's ModelCheckpoint tells the Trainer's own loggers."""
    inner = type(callback)._save_checkpoint  # noqa: SLF001

    def save_checkpoint(*args: Any, **kwargs: Any) -> None:
        inner(callback, *args, **kwargs)
        logger.after_save_checkpoint(callback)

    callback._save_checkpoint = save_checkpoint  # noqa: SLF001


def unfollow(trainer: Trainer) -> None:
    """Leave the Trainer as it was."""
    vars(trainer._logger_connector).pop("log_metrics", None)  # noqa: SLF001
    for callback in trainer.checkpoint_callbacks:
        vars(callback).pop("_save_checkpoint", None)


def hyperparameters(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Return the hyperparameters that Lightning would give to a logger."""
    datamodule = getattr(trainer, "datamodule", None)
    sources = [one for one in (module, datamodule) if one is not None and one._log_hyperparams]  # noqa: SLF001
    merged = {key: value for source in sources for key, value in source.hparams_initial.items()}
    merged.pop("_class_path", None)  # LightningCLI's own
    return merged
