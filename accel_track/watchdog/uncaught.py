"""Exceptions that nobody caught, as texts: that of the program, and those that ended threads of it."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable

from accel_track.texts import clean

_LONGEST = 32_768
"""Characters of a traceback that are kept: the first and the last ones."""


def shown(error: BaseException) -> str:
    """Return an exception's traceback, with those that led to it, without credentials and control characters."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - an exception's own error
        text = type(error).__name__
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}\n…\n{text[-_LONGEST // 2 :]}"
    return "".join(f"{clean(line)}\n" for line in text.splitlines())


def last_uncaught() -> BaseException | None:
    """Return the exception that Python has printed last since nobody caught it, or None."""
    found = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return found if isinstance(found, BaseException) else None


_told: list[Callable[[str, BaseException], None]] = []
_before: Callable[[threading.ExceptHookArgs], object] | None = None


def tell(call: Callable[[str, BaseException], None]) -> None:
    """Call a function with the name of each thread that an exception ends, and the exception, before others are."""
    global _before
    _told.append(call)
    if threading.excepthook is not _hook:
        _before, threading.excepthook = threading.excepthook, _hook


def tell_no_more(call: Callable[[str, BaseException], None]) -> None:
    """Undo `tell`."""
    global _before
    if call in _told:
        _told.remove(call)
    if not _told and threading.excepthook is _hook and _before is not None:
        threading.excepthook, _before = _before, None


def _hook(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        for one in _told.copy():
            one("?" if args.thread is None else args.thread.name, args.exc_value)
    (_before or threading.__excepthook__)(args)
