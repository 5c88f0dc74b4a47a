"""Stand-ins for a logger's `experiment` where there is no native object."""

from __future__ import annotations

from typing import Any

from lightning.fabric.loggers.logger import _DummyExperiment

from accel_track.errors import NotStartedError
from accel_track.noop import NoOp


class NoOpExperiment(NoOp, _DummyExperiment):  # type: ignore[misc]  # takes any key, not only an index
    """What `experiment` is off rank zero: Lightning recognises it, and everything on it does nothing."""


class Elsewhere:
    """What `experiment` is with `delivery="process"`: Lightning may ask for it, but nothing can be called on it."""

    def __getattr__(self, name: str) -> Any:
        """Say where the native object is.

        Raises:
            NotStartedError: Always, but for special methods.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        message = f"`experiment.{name}`: the native object is in another process (delivery='process'); use 'thread'."
        raise NotStartedError(message)
