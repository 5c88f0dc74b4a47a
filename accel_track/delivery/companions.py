"""The companions of a run: which trackers go to them, and all that a run asks of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from accel_track.delivery.companion import Companion, Remote
from accel_track.delivery.settings import Settings
from accel_track.errors import DeliveryError, warn
from accel_track.journal.directory import RunDirectory
from accel_track.outcome import Outcome
from accel_track.trackers.base import GeneralTracker


class Companions:
    """The companion processes of this process: one for each time that trackers were added.

    Args:
        run: The run directory.
        rank: Number of this process.
        settings: How to deliver.
    """

    def __init__(self, run: RunDirectory, rank: int, settings: Settings) -> None:
        """Start none yet."""
        self._run, self._rank, self._settings = run, rank, settings
        self._all: list[Companion] = []
        self._told: set[str] = set()

    @property
    def remotes(self) -> list[Remote]:
        """The trackers in them."""
        return [remote for companion in self._all for remote in companion.remotes]

    def take(
        self,
        trackers: Sequence[GeneralTracker],
        init_kwargs: Mapping[str, Mapping[str, Any]],
        instances: Collection[str],
        describe: Callable[[str, Mapping[str, Any]], None],
    ) -> Sequence[GeneralTracker]:
        """Start a companion with the trackers that can be in another process; return the others.

        Args:
            trackers: Not started.
            init_kwargs: What the user gave for their constructors, by name.
            instances: Names of those that the user constructed, which stay here.
            describe: Notes in the run directory how to make a tracker again.

        Raises:
            DeliveryError: With `strict`, one of them cannot be started.
        """
        if self._settings.delivery != "process":
            return trackers
        companion = Companion(self._run, self._rank, len(self._all), self._settings)
        left = [tracker for tracker in trackers if tracker.name in instances or tracker.needs_terminal]
        for tracker in trackers:
            if tracker not in left:
                kwargs = init_kwargs.get(tracker.name, {})
                try:
                    companion.hand(tracker.name, type(tracker), kwargs)
                except ValueError as error:
                    warn(f"{tracker.name}: delivered in a thread, not in the companion process: {error}.")
                    left.append(tracker)
                else:
                    describe(tracker.name, kwargs)
        if not companion.remotes:
            return left
        if (problem := self._problem() or companion.start()) is not None:
            warn(f"no companion process ({problem}); its trackers are delivered in threads of this process.")
            return trackers
        if self._settings.strict and (problem := companion.started(self._settings.start_timeout)) is not None:
            companion.stop()
            raise DeliveryError(problem)
        self._all.append(companion)
        return left

    def _problem(self) -> str | None:
        if os.name == "nt":
            return "not on Windows"
        return None if (self._run.path / "run.json").exists() else "there is no run directory"

    def look(self) -> None:
        """Tell what their trackers are waiting for; start those again that have crashed."""
        for companion in self._all:
            companion.look()

    def end(self, outcome: Outcome) -> None:
        """Have them deliver what is left, and end."""
        for companion in self._all:
            companion.end(outcome)

    def raise_failure(self, kept: str) -> None:
        """Raise the first failure of a tracker of theirs that was not raised yet.

        Args:
            kept: Where the records are.

        Raises:
            DeliveryError: There is one.
        """
        for remote in self.remotes:
            if remote.failed and remote.name not in self._told:
                self._told.add(remote.name)
                message = f"{remote.name}: {remote.last_error}; what was logged is in {kept}."
                raise DeliveryError(message)

    def going_on(self) -> list[str]:
        """Return a sentence for each that is still at work."""
        return [sentence for companion in self._all if (sentence := companion.going_on) is not None]
