"""Stand-ins for Lightning's own loggers, for code that asks which kind of logger it has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from accel_track.lightning.media import only_where_logged
from accel_track.media.calls import AlertLevel, MediaCalls

if TYPE_CHECKING:
    from accel_track.lightning.logger import AccelTrackLogger

LoggerT = TypeVar("LoggerT")

TRACKERS = {
    "AimLogger": "aim",
    "CometLogger": "comet_ml",
    "DVCLiveLogger": "dvclive",
    "MLFlowLogger": "mlflow",
    "SwanLabLogger": "swanlab",
    "TensorBoardLogger": "tensorboard",
    "WandbLogger": "wandb",
}
"""The tracker that does what a logger of another library does, by the names of the loggers' classes."""


def loggers_like(loggers: Any, kind: type[LoggerT]) -> list[LoggerT]:
    """Return the loggers of a class, with a stand-in for each AccelTrackLogger that has the tracker for that class.

    Code that looks for a `WandbLogger` among `trainer.loggers` finds wandb's tracker of an AccelTrackLogger this way:
    `isinstance` takes the stand-in for a `WandbLogger`, and its `experiment` is the `wandb.Run`.

    Args:
        loggers: A Trainer or a module, whose attribute `loggers` is read; a logger; or several loggers.
        kind: A class of loggers, such as Lightning's `WandbLogger`.
    """
    several = getattr(loggers, "loggers", loggers)
    found: list[Any] = []
    for one in several if isinstance(several, Iterable) else [several]:
        like = getattr(one, "like", None)
        if callable(like) and not issubclass(type(one), kind):
            found += [stand_in] if (stand_in := like(kind)) is not None else []
        elif isinstance(one, kind):
            found.append(one)
    return found


@only_where_logged
class Likeness(MediaCalls):
    """One tracker of an AccelTrackLogger as a logger of another class, for which `isinstance` takes it.

    `experiment` is that tracker's native object. Metrics and media go to that tracker and no other. Any other attribute
    is looked up in the AccelTrackLogger, then in the native object, as for WandbLogger's `watch`.

    Args:
        logger: The logger.
        kind: The class that the stand-in passes for.
        tracker: Name of the tracker.
    """

    def __init__(self, logger: AccelTrackLogger, kind: type, tracker: str) -> None:
        """Start nothing."""
        self._logger, self._kind, self._tracker = logger, kind, tracker

    @property  # type: ignore[misc]  # a class attribute for mypy
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The class that was asked for."""
        return self._kind

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the logger, else of the native object.

        Raises:
            AttributeError: Neither has that attribute.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._logger if hasattr(type(self._logger), name) else self.experiment, name)

    @property
    def experiment(self) -> Any:
        """The tracker's native object, as `logger.experiment` of a logger that has this tracker alone."""
        return self._logger.experiment_of(self._tracker)

    def _logs_here(self) -> bool:
        return self._logger._logs_here()  # noqa: SLF001 - of one mechanism

    def log_metrics(self, metrics: Mapping[str, Any], step: float | None = None) -> None:
        """Log metrics with this tracker."""
        self._logger.log_for(self._tracker, metrics, step)

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        self._logger.log_for(self._tracker, values, step, kwargs)

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise an alert with this tracker alone."""
        if self._logs_here():
            self._logger.open().alert(title, text, level, only=self._tracker)

    def _log_artifact(self, path: str | os.PathLike[str], name: str | None, about: dict[str, Any]) -> None:
        self._logger._log_artifact(path, name, {**about, "only": self._tracker})  # noqa: SLF001 - as above
