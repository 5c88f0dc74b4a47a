"""The evidence: the files in which each process that logs to a run leaves what `accel-track autopsy` reads."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from accel_track.files import make_private, read_file, replace_file
from accel_track.mirror.layout import EVIDENCE
from accel_track.monitors.memory import Memory
from accel_track.texts import json_bytes

LARGEST = 1024 * 1024
"""Bytes of a file of evidence, at most."""
_BEAT = 2048
"""Bytes of `beat.json`: it is written over in place, which a full disk takes."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NUMBER = re.compile(r"\d{8}", re.ASCII)


class Began(msgspec.Struct):
    """The content of `began.json`: who the process is.

    Attributes:
        time: When it began to log, in seconds since 1970-01-01 UTC.
        pid: Number of the process.
        ticks: When the process was started, in clock ticks since the machine was, or None; with `pid`, unique there.
        host: Name of the machine.
        boot: Id of the machine's start, or None.
        thread: Number of the main thread, as stacks have it.
        signal: Signal on which the process writes its stacks, or None.
        faults: Where stacks go after a fatal signal: "here"; or "elsewhere", where the program wants them.
        group: Control group that counts its memory, below `/sys/fs/cgroup`, or None.
        memory: As it was.
    """

    time: float
    pid: int
    ticks: int | None
    host: str
    boot: str | None
    thread: int
    signal: int | None
    faults: str
    group: str | None
    memory: Memory


class Beat(msgspec.Struct):
    """The content of `beat.json`: the last sign of life.

    Attributes:
        time: When it was written, in seconds since 1970-01-01 UTC.
        records: Number of the next record.
        newest: When a record was last seen, or None.
        interval: Median seconds from one record to the next, lately, or None.
        memory: As it was.
        lost: Records that the disk did not take and that are nowhere else.
        waiting: Records that wait in memory for the disk.
        disk_free: Bytes that the disk of the run directory still takes, or None.
        status: How the run has ended for this process, or None.
        reason: What ended it, or None.
    """

    time: float
    records: int
    newest: float | None
    interval: float | None
    memory: Memory
    lost: int = 0
    waiting: int = 0
    disk_free: int | None = None
    status: str | None = None
    reason: str | None = None


class Death(msgspec.Struct):
    """The content of `death.json`, which the companion process writes.

    Attributes:
        time: When it noticed that the process has ended, in seconds since 1970-01-01 UTC.
        status: The exit status as `wait` returns it, or None if the kernel does not tell.
        memory: As it was then.
    """

    time: float
    status: int | None
    memory: Memory


_Document = TypeVar("_Document", Began, Beat, Death)


class Evidence:
    """The folder `rank-…/evidence/<number>` of one process.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        """Touch nothing."""
        self.path = path
        self.stacks, self.children, self.error = (path / f"{one}.txt" for one in ("stacks", "children", "error"))

    @classmethod
    def new(cls, rank: Path) -> Evidence:
        """Make the folder of a process that begins to log.

        Args:
            rank: The rank's folder.

        Raises:
            OSError: It cannot be made.
        """
        make_private(rank / EVIDENCE)
        number = max((int(one.path.name) for one in cls.all(rank)), default=-1)
        while True:
            number += 1
            with contextlib.suppress(FileExistsError):
                (rank / EVIDENCE / f"{number:08d}").mkdir(mode=0o700)
                return cls(rank / EVIDENCE / f"{number:08d}")

    @classmethod
    def all(cls, rank: Path) -> list[Evidence]:
        """Return the folders of all processes of a rank, oldest first."""
        try:
            names = sorted(one for one in os.listdir(rank / EVIDENCE) if _NUMBER.fullmatch(one))
        except OSError:
            return []
        return [cls(rank / EVIDENCE / one) for one in names]

    def note(self, document: Began | Death) -> None:
        """Write `began.json` or `death.json`.

        Raises:
            OSError: It cannot be written.
        """
        replace_file(self._file(type(document)), json_bytes(document))

    def beat(self, beat: Beat) -> None:
        """Write `beat.json` over, in place.

        Raises:
            OSError: It cannot be written.
        """
        data = json_bytes(beat)
        file = os.open(self._file(Beat), os.O_WRONLY | os.O_CREAT | _NO_LINK, 0o600)
        try:
            os.write(file, data.ljust(_BEAT))
        finally:
            os.close(file)

    def load(self, kind: type[_Document]) -> _Document | None:
        """Return a document; None if there is none that can be read."""
        try:
            return msgspec.json.decode(read_file(self._file(kind), LARGEST), type=kind)
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def text(self, path: Path) -> str:
        """Return the content of `stacks`, `children` or `error`; empty if it cannot be read."""
        try:
            return read_file(path, 2 * LARGEST).decode(errors="replace")
        except OSError:
            return ""

    @staticmethod
    def appending(path: Path) -> int:
        """Return a descriptor that appends to `stacks` or `error`.

        Raises:
            OSError: The file cannot be opened.
        """
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK, 0o600)

    def _file(self, kind: type[object]) -> Path:
        return self.path / f"{kind.__name__.lower()}.json"
