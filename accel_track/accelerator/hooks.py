"""The hooks of an `Accelerator` around its checkpoints, as Hugging Face Accelerate calls them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle


class Hooks:
    """Functions that are called one after another, in the order in which they were added."""

    def __init__(self, registered_by: str) -> None:
        """Begin with none.

        Args:
            registered_by: Name of the method that adds them, for its error.
        """
        self._registered_by = registered_by
        self._hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()

    def add(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Add a function, also one that is there already; the handle's `remove()` takes it away.

        Raises:
            TypeError: It cannot be called.
        """
        from torch.utils.hooks import RemovableHandle

        if not callable(hook):
            message = f"{self._registered_by} takes a function; got {type(hook).__name__}."
            raise TypeError(message)
        handle = RemovableHandle(self._hooks)
        self._hooks[handle.id] = hook
        return handle

    def call(self, *arguments: Any) -> None:
        """Call all functions; the first exception leaves this call."""
        for hook in list(self._hooks.values()):  # a hook may remove itself
            hook(*arguments)
