"""Settings in environment variables: reading them, and setting them for a block."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

_TRUE, _FALSE = ("y", "yes", "t", "true", "on", "1"), ("n", "no", "f", "false", "off", "0")


def str_to_bool(value: str) -> int:
    """Return 1 for "yes", "true", "on", "y", "t" or "1", and 0 for their opposites, in any case.

    Raises:
        ValueError: Another text.
    """
    text = value.lower()
    if text not in (*_TRUE, *_FALSE):
        message = f"{value!r} is neither true nor false; known are {', '.join((*_TRUE, *_FALSE))}."
        raise ValueError(message)
    return int(text in _TRUE)


def parse_flag_from_env(key: str, default: bool = False) -> bool:
    """Return a variable as true or false, or the default where it is not set."""
    return bool(str_to_bool(os.environ.get(key, str(default))))


def parse_choice_from_env(key: str, default: str = "no") -> str:
    """Return a variable, or the default where it is not set."""
    return os.environ.get(key, str(default))


def get_int_from_env(env_keys: Iterable[str], default: int) -> int:
    """Return the first of several variables that is a number of 0 or more, else the default."""
    for key in env_keys:
        if (value := os.environ.get(key, "")).isdecimal():
            return int(value)
    return default


@contextlib.contextmanager
def clear_environment() -> Iterator[None]:
    """Run a block without any variable; afterwards they are as before."""
    before = dict(os.environ)
    os.environ.clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def patch_environment(**kwargs: object) -> Iterator[None]:
    """Run a block with variables set, by their names in any case; afterwards they are as before."""
    before = {key.upper(): os.environ.get(key.upper()) for key in kwargs}
    os.environ.update({key.upper(): str(value) for key, value in kwargs.items()})
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
