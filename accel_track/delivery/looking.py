"""The ways to look at a run: the page of each tracker's backend run, or the command that shows it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackError
from accel_track.journal.directory import RunDirectory
from accel_track.trackers.base import GeneralTracker


def looks(run: RunDirectory, trackers: Iterable[GeneralTracker] = ()) -> dict[str, str]:
    """Return by tracker the page of its backend run, else the command with which people look at it, else nothing.

    Args:
        run: The run directory.
        trackers: The trackers that this process has delivered to; others are made by what `run.json` says, not started.
    """
    found: dict[str, str] = {}
    with contextlib.suppress(AccelTrackError, OSError):
        sync, at_hand = Sync(run), {one.name: one for one in trackers}
        for name, stored in sync.info.trackers.items():
            look = stored.url
            with contextlib.suppress(Exception):  # a name that nobody knows here, a plugin's error
                if look is None:
                    look = (at_hand.get(name) or sync.build(name, 0)).look()
            if look is not None:
                found[name] = look
    return found
