"""Private parts of an SDK, hidden from this package as if they were renamed: the SDK itself goes on with them."""

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import reduce
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from accel_track.trackers.fast import FastPath

_GONE = "renamed by the test"


def private_parts(path: type[FastPath]) -> list[str]:
    """Return everything that a fast path names, each attribute on the way too."""
    names = [f"{part}" for part in path.parts]
    return names + sorted({prefix for attribute in path.attributes for prefix in _prefixes(attribute)})


def hide(part: str, native: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a part unknown to accel_track's own code, for all objects of its class.

    Args:
        part: One of `private_parts`.
        native: The SDK's object of which attributes are read.
        monkeypatch: Brings it back.
    """
    module, _, path = part.rpartition(":")
    *before, name = path.split(".")
    owner = reduce(getattr, before, import_module(module) if module else native)
    if isinstance(owner, ModuleType):
        monkeypatch.setattr(owner, "__class__", _hiding_module(name))
    else:
        owner_class = owner if isinstance(owner, type) else type(owner)
        hidden = _Hidden(name, inspect.getattr_static(owner_class, name, None))
        monkeypatch.setattr(owner_class, name, hidden, raising=False)


def _prefixes(attribute: str) -> Iterator[str]:
    names = attribute.split(".")
    before = next((at for at, name in enumerate(names) if name.startswith("_")), 0)  # what is public stays
    yield from (".".join(names[:end]) for end in range(before + 1, len(names) + 1))


def _asked_by_us() -> bool:
    return str(sys._getframe(2).f_globals.get("__name__")).startswith("accel_track.")


def _hiding_module(name: str) -> type[ModuleType]:
    class Hiding(ModuleType):
        def __getattribute__(self, key: str) -> Any:
            if key == name and _asked_by_us():
                raise AttributeError(_GONE)
            return super().__getattribute__(key)

    return Hiding


class _Hidden:
    def __init__(self, name: str, original: Any) -> None:
        self._name, self._original = name, original

    def __get__(self, owner: Any, owner_class: Any) -> Any:
        if _asked_by_us():
            raise AttributeError(_GONE)
        if owner is not None and self._name in getattr(owner, "__dict__", {}):
            return owner.__dict__[self._name]
        get = getattr(type(self._original), "__get__", None)
        return self._original if get is None else get(self._original, owner, owner_class)

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__[self._name] = value


def lost_at(place: int, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method whose call of that number loses the connection, before it does anything."""
    calls = iter(range(10**6))

    def called(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == place:
            raise ConnectionError("lost")
        return method(*args, **kwargs)

    return called
