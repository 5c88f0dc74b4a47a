"""The note of a companion on the death of the process that trains, which that could not write."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from accel_track.monitors.memory import KERNEL
from accel_track.watchdog.evidence import Began, Death, Evidence
from accel_track.watchdog.exits import Exit


def note_death(rank: Path, exit_: Exit, pid: int) -> None:
    """Note once how a process ended, and what the kernel counted then; where it left no evidence, nothing.

    Args:
        rank: The rank's folder.
        exit_: Its end.
        pid: Its number.
    """
    now = time.time()
    for evidence in reversed(Evidence.all(rank)):
        began = evidence.load(Began)
        if began is not None and began.pid == pid:
            if evidence.load(Death) is None:
                with contextlib.suppress(OSError):
                    evidence.note(Death(now, exit_.status(), KERNEL.memory(began.group, None)))
            return
