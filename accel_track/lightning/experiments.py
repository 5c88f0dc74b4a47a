"""The objects for `logger.experiment`: of one tracker, of several, off rank zero, and of trackers elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lightning.fabric.loggers.logger import _DummyExperiment

from accel_track.errors import ElsewhereError
from accel_track.noop import NoOp


class NoOpExperiment(NoOp, _DummyExperiment):  # type: ignore[misc]  # takes any key, not only an index
    """The `experiment` off rank zero: everything on it does nothing, and Lightning recognises it."""


class Elsewhere:
    """The `experiment` with `delivery="process"`: Lightning may ask for it, but nothing can be called on it."""

    def __getattr__(self, name: str) -> Any:
        """Raise an error that says where the native object is.

        Raises:
            ElsewhereError: Always, but for special methods.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        message = f"`experiment.{name}`: the native object is in another process (delivery='process'); use 'thread'."
        raise ElsewhereError(message)


class Experiments:
    """The `experiment` of several trackers: the first one's native object, with what only others have.

    `isinstance` takes it for the first one, which gets every attribute, index and assignment that it knows. What it
    does not have is looked up in the others, in their order.

    Args:
        first: The first tracker's native object.
        others: By the trackers' names, what returns the others' native objects; None if there is none now.
    """

    def __init__(self, first: Any, others: Mapping[str, Callable[[], Any]]) -> None:
        """Ask the others for nothing yet."""
        vars(self).update(_first=first, _others=others)

    @property  # type: ignore[misc]  # a class attribute for mypy
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The class of the first one's native object."""
        return type(self._first)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the first object, or else of another.

        Raises:
            AttributeError: None has it.
        """
        first, others = vars(self)["_first"], vars(self)["_others"]
        try:
            return getattr(first, name)
        except AttributeError as error:
            if not name.startswith("_"):
                for native in (other() for other in others.values()):
                    if native is not None and hasattr(native, name):
                        return getattr(native, name)
            message = f"neither {type(first).__name__} nor the native object of {' or '.join(others)} has {name!r}."
            raise AttributeError(message) from error

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the first object."""
        setattr(self._first, name, value)

    def __getitem__(self, key: Any) -> Any:
        """Return the first one's."""
        return self._first[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set the first one's."""
        self._first[key] = value
