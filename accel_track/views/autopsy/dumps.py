"""The stacks that `faulthandler` wrote, as threads and frames.

Source of the format: `Python/traceback.c` and `Modules/faulthandler.c` of CPython.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable
from typing import NamedTuple

from accel_track.errors import WORKER_NAME
from accel_track.watchdog.stacks import STALLED, THREAD

_FATAL = re.compile(r"(?:Fatal Python error|Windows fatal exception): (.{1,200})")
_STALLED = re.compile(rf"{STALLED} (\d{{1,12}}\.\d+) (\d{{1,12}}\.\d+)")
_NAME = re.compile(rf"{THREAD} 0x([0-9a-f]{{1,16}}) (.*)")
_BEGINS = re.compile(r"(Current thread|Thread) 0x([0-9a-f]{1,16})(?: \[(.*)\])? \(most recent call first\):")
_FRAME = re.compile(r'  File "(.*)", line (\d{1,9}|\?\?\?) in (.*)')
_NOT_THE_USERS = re.compile(r"/(?:site|dist)-packages/|/lib/python3[^/]*/|^<|/accel_track/")


class Frame(NamedTuple):
    """A call on a stack.

    Attributes:
        file: Path of the source.
        line: Number of the line, or 0.
        function: Name of the function.
    """

    file: str
    line: int
    function: str

    @property
    def is_users(self) -> bool:
        """Whether the frame is neither Python's, nor an installed package's."""
        installed = _NOT_THE_USERS.search(self.file.replace("\\", "/"))
        return not (installed or self.file.startswith(sysconfig.get_path("stdlib")))

    def __str__(self) -> str:
        """Return the frame in short, with the last two parts of the path."""
        short = "/".join(re.split(r"[\\/]", self.file)[-2:])
        return f"{self.function} ({short}:{self.line})" if self.line else f"{self.function} ({short})"


class Thread(NamedTuple):
    """The stack of a thread.

    Attributes:
        number: As Python numbers threads.
        name: Its name, or empty if that was not written.
        is_current: Whether it had the interpreter: after a fatal signal, the thread that got it.
        frames: The calls, innermost first.
    """

    number: int
    name: str
    is_current: bool
    frames: list[Frame]

    @property
    def is_own(self) -> bool:
        """Whether the thread is one of this package's."""
        return self.name.startswith(WORKER_NAME)


class Dump(NamedTuple):
    """The stacks of a process at one moment.

    Attributes:
        error: What Python calls the fatal error, such as "Segmentation fault"; empty if there was none.
        time: Seconds since 1970-01-01 UTC, where that was written.
        silent: For how many seconds there was no record, where that was written.
        threads: The threads.
    """

    error: str
    time: float | None
    silent: float | None
    threads: list[Thread]

    def thread(self, main: int) -> Thread | None:
        """Return the thread that matters: after a fatal signal the one that got it, else the main one."""
        wanted = (one for one in self.threads if (one.is_current if self.error else one.number == main))
        return next(wanted, None)


def parsed(text: str) -> list[Dump]:
    """Return the dumps in a file of stacks, oldest first; lines of another form are passed over."""
    dumps: list[Dump] = []
    names: dict[int, str] = {}
    frames: list[Frame] | None = None
    for line in text.splitlines():
        if (match := _FRAME.fullmatch(line)) is not None:
            if frames is not None:
                frames.append(Frame(match[1], int(match[2]) if match[2].isdecimal() else 0, match[3]))
        elif (match := _BEGINS.fullmatch(line)) is not None:
            number, frames = int(match[2], 16), []
            if not dumps or number in {one.number for one in dumps[-1].threads}:  # asked for by a signal: no headline
                dumps.append(Dump("", None, None, []))
                names = {}
            name = names.get(number, match[3] or "")
            dumps[-1].threads.append(Thread(number, name, match[1] == "Current thread", frames))
        elif (match := _STALLED.fullmatch(line)) is not None:
            dumps.append(Dump("", float(match[1]), float(match[2]), []))
            names = {}
        elif (match := _FATAL.fullmatch(line)) is not None:
            dumps.append(Dump(match[1], None, None, []))
        elif (match := _NAME.fullmatch(line)) is not None:
            names[int(match[1], 16)] = match[2]
    return dumps


def place(frames: Iterable[Frame]) -> str:
    """Return the place of a thread in a few words: its innermost call and, if that is not the user's, one that is."""
    known = list(frames)
    if not known:
        return ""
    users = next((one for one in known if one.is_users), None)
    return f"{known[0]}" if users in (None, known[0]) else f"{known[0]}, called in {users}"
