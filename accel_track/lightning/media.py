"""Calls for media on Lightning's side: on the ranks that log only, where nothing else is done for them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from accel_track.media.calls import MediaCalls


class _LogsSomewhere(Protocol):
    def _logs_here(self) -> bool:
        """Return whether this process logs."""


ClassT = TypeVar("ClassT", bound=type[Any])

_CALLS = [name for name in vars(MediaCalls) if name.startswith("log_")]


def only_where_logged(cls: ClassT) -> ClassT:
    """Make a class's calls for media do nothing, not even look at the media, where `_logs_here` is false."""
    for name in _CALLS:
        setattr(cls, name, _only_where_logged(getattr(cls, name)))
    return cls


def _only_where_logged(call: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(call)
    def checked(self: _LogsSomewhere, *args: Any, **kwargs: Any) -> None:
        if self._logs_here():
            call(self, *args, **kwargs)

    return checked
