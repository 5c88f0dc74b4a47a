"""The interception of a Trainer's logging: the callback gets what the loggers get, without being among them."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer

from accel_track.lightning.logger import AccelTrackLogger


class _Follower(NamedTuple):
    logger: AccelTrackLogger
    in_call: bool


def follow(trainer: Trainer, callback: Callback, logger: AccelTrackLogger) -> None:
    """Hand the logger what the Trainer's own loggers would get, without its being among them.

    Lightning has no hook for metrics: callbacks run before the metrics are complete (the module's own
    `on_train_epoch_end` may log after a callback's), and `logged_metrics` does not tell old values from new ones.
    Everything passes through `_LoggerConnector.log_metrics`, which also chooses the step; while it runs, the Trainer
    has the followers' loggers, too.
    Trials of tuners, which put the Trainer's callbacks aside, are left out, as they are for loggers.

    Args:
        trainer: A Trainer in the setup of a call.
        callback: The callback that follows the Trainer; others may, too.
        logger: The logger that gets everything.
    """
    _followers(trainer)[callback] = _Follower(logger, in_call=True)
    trainer._logger_connector.log_metrics = partial(_log_metrics, trainer)  # type: ignore[method-assign]  # noqa: SLF001
    signals = trainer._signal_connector  # noqa: SLF001
    signals._slurm_sigusr_handler_fn = partial(_requeue, trainer)  # type: ignore[method-assign]  # noqa: SLF001
    for one in trainer.checkpoint_callbacks:
        if hasattr(one, "_save_checkpoint"):
            vars(one)["_save_checkpoint"] = partial(_save_checkpoint, one, trainer)


def _followers(trainer: Trainer) -> dict[Callback, _Follower]:
    found: dict[Callback, _Follower] = vars(trainer).setdefault("_accel_track_followers", {})
    return found


def _log_metrics(trainer: Trainer, *args: Any, **kwargs: Any) -> None:
    connector, loggers = trainer._logger_connector, trainer.loggers  # noqa: SLF001
    present = [one for callback, one in _followers(trainer).items() if callback in trainer.callbacks]  # type: ignore[attr-defined]  # Lightning sets it outside the class
    trainer.loggers = [*loggers, *(one.logger for one in present if one.in_call)]
    try:
        type(connector).log_metrics(connector, *args, **kwargs)
    finally:
        trainer.loggers = loggers


def _requeue(trainer: Trainer, *args: Any) -> None:
    """Do as Lightning does for its own loggers before it has SLURM start the job again."""
    for one in _followers(trainer).values():
        if one.in_call:
            one.logger.finalize("finished")
    signals = trainer._signal_connector  # noqa: SLF001
    type(signals)._slurm_sigusr_handler_fn(signals, *args)  # noqa: SLF001


def _save_checkpoint(callback: Any, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
    """Tell the loggers of a checkpoint, as Lightning's ModelCheckpoint tells the Trainer's own loggers."""
    type(callback)._save_checkpoint(callback, *args, **kwargs)  # noqa: SLF001
    for one in _followers(trainer).values():
        one.logger.after_save_checkpoint(callback)


def unfollow(trainer: Trainer, callback: Callback, *, saving: bool) -> None:
    """Leave the Trainer as it was, once no callback follows it.

    Args:
        trainer: A Trainer in the teardown of a call.
        callback: The callback that followed it.
        saving: Whether a ModelCheckpoint may still save, as after an exception; the logger is then still told.
    """
    followers = _followers(trainer)
    one = followers.pop(callback, None)
    if saving and one is not None:
        followers[callback] = one._replace(in_call=False)
    if not any(one.in_call for one in followers.values()):
        vars(trainer._logger_connector).pop("log_metrics", None)  # noqa: SLF001
        vars(trainer._signal_connector).pop("_slurm_sigusr_handler_fn", None)  # noqa: SLF001
    for saver in trainer.checkpoint_callbacks if not followers else ():
        vars(saver).pop("_save_checkpoint", None)


def hyperparameters(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Return the hyperparameters that Lightning would give to a logger."""
    datamodule = getattr(trainer, "datamodule", None)
    sources = [one for one in (module, datamodule) if one is not None and one._log_hyperparams]  # noqa: SLF001
    merged = {key: value for source in sources for key, value in source.hparams_initial.items()}
    merged.pop("_class_path", None)  # LightningCLI's own
    return merged
