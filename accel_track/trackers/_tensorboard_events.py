"""What a folder of event files ends with, for a run that goes on in it."""

from __future__ import annotations

from collections import deque
from pathlib import Path

_MOST = 50_000

Key = tuple[str, int, float]
"""Tag, step and wall-clock time of a value."""


def newest_values(folder: Path) -> set[Key]:
    """Return the last 50,000 values of the newest event file: what was delivered and perhaps not acknowledged.

    A process that was killed may have written more than it knew, and those values are handed over again.
    """
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    files = sorted(folder.glob("events.out.tfevents.*"))
    found: deque[Key] = deque(maxlen=_MOST)
    if files:
        for event in LegacyEventFileLoader(str(files[-1])).Load():
            found.extend((value.tag, event.step, event.wall_time) for value in event.summary.value)
    return set(found)
