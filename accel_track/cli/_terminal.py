"""The terminal of a command that fills the screen: its keys, and its state, put back whatever ends the command."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_KEY = re.compile(rb"\x1b[\[O](?P<arrow>[A-D])|\x1b[\[O][0-?]*[ -/]*[@-~]|(?P<plain>[^\x1b])|\x1b", re.DOTALL)
_ARROWS = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}
_NAMED = {b"\r": "enter", b"\n": "enter"}


def is_interactive() -> bool:
    """Return whether a person can see the screen and press keys."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


@contextlib.contextmanager
def keys_at_once() -> Iterator[None]:
    """Get keys as they are pressed, not shown; Ctrl-C ends the program as ever, Ctrl-Z does nothing.

    SIGTERM and SIGHUP end the program with an exception, so that the terminal is put back.
    """

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = termios.tcgetattr(sys.stdin)
    handlers = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setcbreak(sys.stdin)
        mode = termios.tcgetattr(sys.stdin)
        mode[6][termios.VSUSP] = b"\0"  # else the shell would go on in the middle of the screen
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, mode)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def pressed(seconds: float) -> list[str] | None:
    """Return the keys that are pressed within so many seconds, as soon as there are some; None: it is gone."""
    if not select.select([sys.stdin], [], [], max(0.0, seconds))[0]:
        return []
    data = os.read(sys.stdin.fileno(), 1024)
    return [_name(match) for match in _KEY.finditer(data)] if data else None


def _name(match: re.Match[bytes]) -> str:
    if arrow := match["arrow"]:
        return _ARROWS[arrow]
    plain = match["plain"] or b""
    return _NAMED.get(plain, plain.decode("ascii", "replace"))
