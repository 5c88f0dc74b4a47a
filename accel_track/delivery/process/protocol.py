"""The protocol of a companion: the brief that it gets, and the reports that its parent reads."""

from __future__ import annotations

import contextlib
import pickle
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from accel_track.alerts.watching import Watched
from accel_track.journal.directory import RunDirectory
from accel_track.outcome import Outcome


@dataclass
class Brief:
    """The brief of a companion, sent through a pipe at its start, since a brief may hold credentials.

    Attributes:
        run: The run directory.
        rank: Whose records it delivers.
        stem: How the names of its files begin.
        trackers: By name, a tracker's class and its constructor arguments, pickled.
        patience: How long a tracker may make no progress at the end, in seconds.
        parent: Number of the process that trains.
        path: `sys.path` of that process.
        grouped: Whether other ranks have trackers too.
        mirror: URL of the run's mirror, which is completed behind the last delivery, or None.
        watched: What it watches the run for, or None.
    """

    run: str
    rank: int
    stem: str
    trackers: dict[str, bytes]
    patience: float
    parent: int
    grouped: bool
    mirror: str | None = None
    watched: Watched | None = None
    path: list[str] = field(default_factory=lambda: list(sys.path))


class Concluding(NamedTuple):
    """Sent before the outcome, to have the last alerts raised while the run's own process can still deliver them.

    Attributes:
        outcome: How the run ends.
    """

    outcome: Outcome


class WorkerState(msgspec.Struct):
    """The state of a tracker in the companion.

    Attributes:
        running: Whether it is started and not finished.
        error: What it is waiting for, what it refused, or what has ended it.
        failed: Whether the error is not one that passes by itself.
        unfinished: Whether the backend could not be told of the end.
    """

    running: bool = False
    error: str | None = None
    failed: bool = False
    unfinished: bool = False


class CompanionState(msgspec.Struct):
    """The report of a companion about itself, in `rank-…/<stem>.json`.

    Attributes:
        pid: Number of the process; 0 before the first one.
        starts: How often a companion was started for these trackers.
        over: Whether it has nothing more to do.
        trackers: By name.
        host: Name of the machine.
        watches: Whether it watches the run for alerts.
        problem: What is wrong with a service that gets alerts, or None.
    """

    pid: int = 0
    starts: int = 0
    over: bool = False
    trackers: dict[str, WorkerState] = {}
    host: str = msgspec.field(default_factory=socket.gethostname)
    watches: bool = False
    problem: str | None = None

    @property
    def state(self) -> str:
        """One of "over", "running", "gone" (ended without its work) and "elsewhere" (on another machine)."""
        if self.over or self.host != socket.gethostname():
            return "over" if self.over else "elsewhere"
        import psutil

        try:
            gone = psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
        except (psutil.Error, ValueError):
            gone = True
        return "gone" if gone or self.pid <= 0 else "running"


def state_file(run: RunDirectory, rank: int, stem: str) -> Path:
    """Return the file in which a companion reports."""
    return run.rank(rank) / f"{stem}.json"


def load_state(file: Path) -> CompanionState:
    """Return a companion's last report; an empty one if there is none to read."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(file.read_bytes(), type=CompanionState)
    return CompanionState()


def companion_states(run: RunDirectory) -> list[tuple[int, str, CompanionState]]:
    """Return the reports of a run's companions, each with its rank and the stem of its files."""
    files = ((rank, file) for rank in run.ranks() for file in sorted(run.rank(rank).glob("companion*.json")))
    return [(rank, file.stem, load_state(file)) for rank, file in files]


def portable(cls: type, kwargs: Mapping[str, Any]) -> bytes:
    """Return a tracker's class and arguments for another process.

    Raises:
        ValueError: Another process cannot have them.
    """
    try:
        data = pickle.dumps((cls, dict(kwargs)))
    except Exception as error:  # an argument's own error
        message = f"its arguments cannot be pickled ({type(error).__name__}: {error})"
        raise ValueError(message) from error
    if b"__main__" in data:
        message = "it is, or an argument is, defined in the program's main module, which another process cannot import"
        raise ValueError(message)
    return data
