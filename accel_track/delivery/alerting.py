"""The alerts of a run in its own process, also those of the companion's rules: to the journal and the terminal."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from pathlib import Path

from accel_track.alerts.limits import Limit
from accel_track.alerts.noted import Notes
from accel_track.alerts.services import MOST
from accel_track.alerts.telling import show_alert
from accel_track.delivery.keeper import keeper
from accel_track.delivery.process.parent import Companions
from accel_track.journal.forked import EndedJournal, ForkedJournal
from accel_track.journal.writer import JournalWriter
from accel_track.outcome import Outcome
from accel_track.records import Alert

SETTLE = 10.0
"""Seconds that the end of a run waits for the companion, which may be starting still, to look at the last records."""


class Alerting:
    """The alerts of this process: they are appended to its journal and shown.

    Args:
        folder: The rank's folder.
        journal: A method that returns the journal; its object, which owns this one, is not kept alive.
        companions: Where rules are watched.
        sends: Whether there are services to send alerts to.
    """

    def __init__(
        self, folder: Path, journal: Callable[[], JournalWriter | ForkedJournal], companions: Companions, *, sends: bool
    ) -> None:
        """Do nothing yet."""
        self._journal = weakref.WeakMethod(journal)
        self._companions, self._sends = companions, sends
        self._notes = Notes(folder)
        self._notes.skip()
        self._limit = Limit(MOST)
        self._watches = False
        self._ended = 0

    def watch(self) -> None:
        """Start a companion that watches the run, once; the keeper looks after a watched run even while it is idle."""
        if not self._watches and self._companions.watch():
            self._watches = True
            keeper.add(self.look)

    def alert(self, alert: Alert, only: str = "", moment: float | None = None) -> None:
        """Append an alert, and show it unless it is for one tracker alone."""
        if (journal := self._journal()) is None:
            return
        if moment is None or not isinstance(journal(), EndedJournal):  # the companion's may come while the run ends
            journal().metrics(alert.values, None, {}, moment, only=only, alert=alert)
        if only:
            return
        if self._sends:
            self.watch()
        if self._limit.passes():
            show_alert(alert, more=self._limit.release())

    def look(self) -> None:
        """Take over what rules have raised since."""
        for note in self._notes.read():
            self._ended = note.ended or self._ended
            if note.raised is not None:
                self.alert(note.raised, moment=note.time)

    def settle(self, outcome: Outcome, timeout: float) -> None:
        """Ask the companion to look at the last records and the end, and take over the alerts that it raises.

        Args:
            outcome: How the run ends.
            timeout: How long to wait for that, in seconds; it takes a moment.
        """
        if not self._watches:
            return
        end = time.monotonic() + timeout
        self._companions.conclude(outcome)
        while not self._ended and time.monotonic() < end and self._companions.is_watched:
            time.sleep(0.01)
            self.look()

    def end(self) -> None:
        """Look no more."""
        keeper.remove(self.look)
