"""Follow a Trainer from outside: get what its loggers get, without being among them."""

from __future__ import annotations

from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from accel_track.lightning.logger import AccelTrackLogger


def follow(trainer: Trainer, callback: Callback, logger: AccelTrackLogger) -> None:
    """Hand the logger what the Trainer's own loggers would get, without its being among them.

    Lightning has no hook for metrics: callbacks run before they are complete (the module's own `on_train_epoch_end`
    may log after a callback's), and `logged_metrics` does not tell old values from new ones. Everything passes through
    `_LoggerConnector.log_metrics`, which also chooses the step; it sees one more logger for as long as it runs.
    Trials of tuners, which put the Trainer's callbacks aside, are left out, as they are for loggers.

    Args:
        trainer: In the setup of a call.
        callback: Who follows it.
        logger: Who gets it.
    """
    connector = trainer._logger_connector  # noqa: SLF001
    inner = type(connector).log_metrics

    def log_metrics(*args: Any, **kwargs: Any) -> None:
        loggers = trainer.loggers
        if callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it outside the class
            trainer.loggers = [*loggers, logger]
        try:
            inner(connector, *args, **kwargs)
        finally:
            trainer.loggers = loggers

    connector.log_metrics = log_metrics  # type: ignore[method-assign]
    signals = trainer._signal_connector  # noqa: SLF001
    signals._slurm_sigusr_handler_fn = partial(_requeue, signals, logger)  # type: ignore[method-assign]  # noqa: SLF001
    for one in trainer.checkpoint_callbacks:
        if hasattr(one, "_save_checkpoint"):
            one._save_checkpoint = partial(_save_checkpoint, one, logger)  # noqa: SLF001


def _requeue(signals: Any, logger: AccelTrackLogger, *args: Any) -> None:
    """Do as Lightning does for its own loggers before it has SLURM start the job again."""
    logger.finalize("finished")
    type(signals)._slurm_sigusr_handler_fn(signals, *args)  # noqa: SLF001


def _save_checkpoint(callback: Any, logger: AccelTrackLogger, *args: Any, **kwargs: Any) -> None:
    """Tell the logger of a checkpoint, as Lightning's ModelCheckpoint tells the Trainer's own loggers."""
    type(callback)._save_checkpoint(callback, *args, **kwargs)  # noqa: SLF001
    logger.after_save_checkpoint(callback)


def unfollow(trainer: Trainer, *, saving: bool) -> None:
    """Leave the Trainer as it was.

    Args:
        trainer: In the teardown of a call.
        saving: Whether a ModelCheckpoint may still save, as after an exception; then it still tells the logger.
    """
    vars(trainer._logger_connector).pop("log_metrics", None)  # noqa: SLF001
    vars(trainer._signal_connector).pop("_slurm_sigusr_handler_fn", None)  # noqa: SLF001
    for one in trainer.checkpoint_callbacks if not saving else ():
        vars(one).pop("_save_checkpoint", None)


def hyperparameters(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Return the hyperparameters that Lightning would give to a logger."""
    datamodule = getattr(trainer, "datamodule", None)
    sources = [one for one in (module, datamodule) if one is not None and one._log_hyperparams]  # noqa: SLF001
    merged = {key: value for source in sources for key, value in source.hparams_initial.items()}
    merged.pop("_class_path", None)  # LightningCLI's own
    return merged
