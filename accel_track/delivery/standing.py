"""The standing of a tracker of a run that is on disk, over all ranks whose records it gets."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from accel_track.delivery.report import Line
from accel_track.journal.directory import RunDirectory
from accel_track.registry import tracker_class


@dataclass
class Standing:
    """Where a tracker stands before or after a delivery, over all ranks.

    Attributes:
        name: Name of the tracker.
        line: Its counts.
        obstacle: Why it cannot be or was not delivered to, or None.
        url: Page of the backend run.
    """

    name: str
    line: Line
    obstacle: str | None = None
    url: str | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is pending or refused, and nothing failed."""
        return not (self.line.pending or self.line.refused or (self.line.error and not self.obstacle))

    def __str__(self) -> str:
        """Return one sentence."""
        text = str(self.line)
        if self.line.error and self.line.complete:
            text += f" ({self.line.error})"
        return f"{text}; {self.obstacle}" if self.obstacle else text


def ranks_of(run: RunDirectory, name: str) -> list[int]:
    """Return the ranks whose records a tracker gets: all if it runs on each, with a backend run of its own, or rank 0.

    Args:
        run: The run.
        name: Name of the tracker; of one that is not known here, nothing but rank 0's is taken.
    """
    ranks = run.ranks()
    with contextlib.suppress(Exception):  # a name that nobody knows here, a plugin's error
        return ranks[:1] if tracker_class(name).main_process_only else ranks
    return ranks[:1]


def total_of(name: str, lines: Sequence[Line]) -> Line:
    """Return the counts of several ranks as one."""
    return Line(
        name,
        sum(one.delivered for one in lines),
        sum(one.pending for one in lines),
        sum(one.refused for one in lines),
        sum(one.not_replayable for one in lines),
        sum(one.dropped for one in lines),
        sum(one.unkept for one in lines),
        None,
    )
