"""The ending of an Aim run: the one that was told last, by a good end's report or by a message."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from accel_track.outcome import Outcome, Status
from accel_track.trackers.aim.containers import Container

_MESSAGES = "__log_records"
_ENDS: Mapping[str, Status] = {"failed": "failed", "interrupted": "interrupted", "preempted": "preempted"}
_GOOD = re.compile(r"-finished-(\d{1,12}\.\d{1,6})-")
"""In the name of a file of Aim's, which says that the run has reported a good end, and when."""


def ending(meta: Container, check_ins: Path, run: str) -> Outcome | None:
    """Return the outcome of a run that is over; None if nothing tells it.

    Args:
        meta: The run's container of what is known about it.
        check_ins: The folder of the repository's reports.
        run: The run's hash.
    """
    names = (one.name for one in check_ins.glob(f"{glob.escape(run)}-*"))
    reports = ((float(found[1]), Outcome()) for name in names if (found := _GOOD.search(name)))
    told = [*reports, *_messages(meta)]
    return max(told, key=lambda item: item[0])[1] if told else None


def _messages(meta: Container) -> Iterator[tuple[float, Outcome]]:
    """Yield time and outcome of the last message, if accel_track's tracker has left it."""
    for context in meta.value("contexts") or ():
        last = meta.value("traces", context, _MESSAGES, "last")
        if last is not None:
            word, _, reason = str(last.storage["message"]).partition(": ")
            if word in _ENDS:
                yield float(last.storage["timestamp"]), Outcome(_ENDS[word], reason or None)
