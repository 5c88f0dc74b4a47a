"""The family of a run: what the trackers of a child get of its parent."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from accel_track.errors import JournalError
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo
from accel_track.registry import tracker_class
from accel_track.trackers.base import GeneralTracker


class Parent(NamedTuple):
    """The parent of a run.

    Attributes:
        run_id: Its id.
        name: Its name.
        identities: What continues the backend runs of its trackers, by the trackers' names.
    """

    run_id: str
    name: str
    identities: Mapping[str, Mapping[str, Any]]

    def link(self, cls: type[GeneralTracker], name: str) -> dict[str, Any]:
        """Return the constructor arguments that make a tracker's new run a child of the parent's."""
        return cls.child_of(self.identities.get(name, {}), self.name)


def inherited(tracker: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor arguments of a parent's tracker, without those that name the parent's run."""
    try:
        own = tracker_class(tracker).of_one_run
    except ImportError:  # it need not be here
        own = GeneralTracker.of_one_run
    return {name: value for name, value in kwargs.items() if name not in own}


def knows_parents(tracker: str) -> bool:
    """Return whether a tracker links a child to its parent, for which it has to know the parent's backend run."""
    try:
        its: Any = tracker_class(tracker).child_of
    except ImportError:  # as above
        return False
    own: Any = GeneralTracker.child_of
    return its.__func__ is not own.__func__


def parent_of(run: RunDirectory, info: RunInfo) -> Parent | None:
    """Return the parent of a run on the disk; None if it has none, or the parent's folder is gone."""
    with contextlib.suppress(JournalError):
        if info.parent is not None:
            its = RunDirectory(run.path.absolute().with_name(info.parent)).load()
            return Parent(
                its.run_id, its.name or its.run_id, {name: one.identity for name, one in its.trackers.items()}
            )
    return None
