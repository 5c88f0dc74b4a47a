"""A terminal: a program in it, what is on its screen, and keys."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

import pyte

from tests.support import warm

_BEGIN = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
"""Makes the terminal the program's own, so that Ctrl-C reaches it."""


class Terminal:
    """Runs Python code in a pseudo-terminal of its own.

    Args:
        code: The code.
        arguments: Its command line.
        columns: Width of the terminal.
        lines: Height of the terminal.
        more: More variables of its environment.
    """

    def __init__(self, code: str, *arguments: object, columns: int = 80, lines: int = 24, **more: str) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.output = b""
        """All that the program has written."""
        self._file, own = pty.openpty()
        self.resize(columns, lines)
        self.settings = termios.tcgetattr(own)
        variables = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN + code, *map(str, arguments)],
            stdin=own,
            stdout=own,
            stderr=own,
            env={**variables, **warm.coverage, "TERM": "xterm-256color", **more},
            start_new_session=True,
        )
        self._own = own

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    def press(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def until(self, condition: Callable[[str], Any], seconds: float = 60.0) -> str:
        """Wait until the screen is as wanted; return it."""
        end = time.monotonic() + seconds
        while not condition(self.text):
            assert time.monotonic() < end, f"not within {seconds:g} s:\n{self.text}"
            self._read(0.05)
        return self.text

    def end(self, seconds: float = 60.0) -> int:
        """Wait for the program's end; return its exit code."""
        end = time.monotonic() + seconds
        while (code := self.process.poll()) is None:
            assert time.monotonic() < end, f"it did not end within {seconds:g} s:\n{self.text}"
            self._read(0.05)
        self._read(0.0)
        return code

    @property
    def is_restored(self) -> bool:
        """Whether the terminal is as it was before the program: its settings, the normal screen, the cursor."""
        leave, enter, show, hide = (
            self.output.rfind(code) for code in (b"\x1b[?1049l", b"\x1b[?1049h", b"\x1b[?25h", b"\x1b[?25l")
        )
        return termios.tcgetattr(self._own) == self.settings and leave > enter > -1 and show > hide > -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._file)
        os.close(self._own)

    def _read(self, seconds: float) -> None:
        while select.select([self._file], [], [], seconds)[0]:
            data = os.read(self._file, 65536)
            self.output += data
            self._stream.feed(data)
            seconds = 0.0
