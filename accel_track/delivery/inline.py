"""Inline delivery: on the calling thread, straight to the trackers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from accel_track.alerts.telling import show_alert
from accel_track.delivery.artifacts import described, name_of
from accel_track.delivery.base import Place, Plan, give_alert, hand_over, unknown_tracker
from accel_track.delivery.staging import Staging
from accel_track.errors import log_error, warn
from accel_track.options import Settings
from accel_track.outcome import Outcome
from accel_track.records import Alert, AnyRecord, Artifact, Metrics, own_copy, own_values
from accel_track.rules import Reshaper
from accel_track.trackers.base import GeneralTracker
from accel_track.values.capture import Captured, captured
from accel_track.values.passing import PassingMedia
from accel_track.values.structures import reason


class InlineDelivery:
    """Every call goes to every tracker at once, with a copy of the values of its own.

    A tracker that raises does not keep the others from the call; the first error is raised when all have had it, or
    all are warnings with `on_error="warn"`. There is no journal.
    """

    runs_trackers = True
    directory = None

    def __init__(self, settings: Settings, place: Place) -> None:
        """Begin without trackers."""
        self.name = place.name
        self.trackers: list[GeneralTracker] = []
        self._config: dict[str, Any] | None = None
        self._raises = settings.on_error == "raise"
        self._calls = 0
        self._media = PassingMedia()
        self._rules = settings.rules
        self._reshapers: dict[str, Reshaper] = {}

    def add(self, plans: Sequence[Plan]) -> None:
        """Start trackers, or join those that somebody started already, and give them the configuration so far."""
        for tracker in [plan.tracker for plan in plans if plan.tracker is not None]:
            if not tracker.started:
                tracker.forget()
                try:
                    tracker.start()
                except Exception as error:
                    say_who(error, tracker)
                    raise
            tracker.users += 1
            self.trackers.append(tracker)
            if self._config is not None:
                tracker.store_init_configuration(own_values(self._config))

    @property
    def apart(self) -> dict[str, str]:
        """Nothing: all trackers are in this process."""
        return {}

    @property
    def not_started(self) -> list[GeneralTracker]:
        """Nothing: a tracker that does not start is an error."""
        return []

    def configure(self, values: dict[str, Any], *, environment: bool = False, only: str = "") -> None:
        """Give hyperparameters, or where the program runs, to every tracker, or to the one of a name only."""
        if environment:
            self._each(lambda tracker: tracker.store_environment(own_values(values)))
        elif only:
            self._each(lambda tracker: tracker.store_init_configuration(own_values(values)), only)
        else:
            self._config = {**(self._config or {}), **values}
            self._each(lambda tracker: tracker.store_init_configuration(own_values(values)))

    def again(self, values: Any, step: Any) -> bool:
        """Leave the call to `log`."""
        return False

    def captured(self, values: Any, kwargs: Any) -> Captured:
        """Return the values of a call of `log`; they are delivered at once, and need no copies."""
        return captured(values, kwargs, copies=False, waits_for_gpu=True)

    def log(self, call: Captured, step: int | None) -> None:
        """Give values to every tracker, or to the one that they are for."""
        self._media.keep(call)
        record = Metrics(self._calls, time.time(), call.values, step, call.kwargs, call.unread, call.only)
        self._each(partial(self._give, record), call.only)

    def rewind(self, step: int) -> None:
        """Tell every tracker that an earlier step follows."""
        self._each(lambda tracker: tracker.rewind(step))

    def checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Give a checkpoint to every tracker; without a path, what is known of one now, or without that, its end."""
        if path:
            self._each(lambda tracker: tracker.log_checkpoint(name, path, step, dict(values)))
        elif values:
            self._each(lambda tracker: tracker.describe_checkpoint(name, step, dict(values)))
        else:
            self._each(lambda tracker: tracker.delete_checkpoint(name))

    def artifact(
        self,
        path: str,
        name: str,
        kind: str,
        step: int | None,
        values: dict[str, Any],
        copy: bool | None,
        only: str = "",
    ) -> None:
        """Give an artifact to every tracker, or to the one of a name only."""
        try:
            files, whole = described(path)
            if not whole:
                path = os.fspath(self._media.folder / Staging(self._media.folder).keep(path, only=files))
        except (OSError, ValueError) as error:
            self.lost(name_of(name, path), error, only)
            return
        record = Artifact(self._calls, time.time(), values, name, path, kind, step, files, only)
        self._each(partial(self._give, record), only)

    def alert(self, alert: Alert, only: str = "") -> None:
        """Give an alert to every tracker, or to the one of a name only, and show it."""
        if not only:
            show_alert(alert)
        self._each(lambda tracker: give_alert(tracker, alert), only)

    def lost(self, name: str, error: Exception, only: str = "") -> None:
        """Tell every tracker, or the named one only, of a value that could not be read."""
        record = Metrics(self._calls, time.time(), {}, None, {}, {name: reason(error)}, only)
        self._each(partial(self._give, record), only)

    def _give(self, record: Metrics | Artifact, tracker: GeneralTracker) -> None:
        """Hand a tracker its own copy of what it gets of a record."""
        shaped: AnyRecord | None = record
        if (rules := self._rules.get(tracker.name)) is not None:
            shaped = self._reshapers.setdefault(tracker.name, Reshaper(rules, tracker.name))(record)
        if shaped is not None:
            hand_over(tracker, [own_copy(shaped)], Path())

    def raise_failure(self) -> None:
        """Do nothing: each call has raised its own."""

    def no_tracker(self, name: str) -> Exception:
        """Return the error that says which trackers there are."""
        return unknown_tracker(name, [one.name for one in self.trackers])

    @property
    def logged(self) -> int:
        """The number of calls."""
        return self._calls

    def flush(self) -> None:
        """Ask every tracker to store its values."""
        self._each(lambda tracker: tracker.flush())

    def settle(self, name: str) -> None:
        """Return at once: nothing is on its way."""

    def rest(self) -> None:
        """Ask every tracker to give back files that its next call takes again."""
        self._each(lambda tracker: tracker.rest())

    def wake(self) -> None:
        """Do nothing: trackers wake by themselves."""

    def conclude(self, outcome: Outcome | None) -> None:
        """Do nothing: trackers hear of the outcome in `finish`."""

    def finish(self, outcome: Outcome) -> None:
        """Finish each tracker that no other front door still uses."""
        # Last started, first finished: SDKs that capture the terminal each put back what they found there, and in
        # another order Comet's and SwanLab's captures end up calling each other.
        self.trackers.reverse()
        try:
            self._each(partial(_release, outcome))
        finally:
            self._media.forget()

    def end_alone(self, outcome: Outcome, then: Callable[[], None]) -> None:
        """Do the same, then call a function."""
        try:
            self.finish(outcome)
        finally:
            then()

    def complete(self) -> None:
        """Do nothing: nothing goes on in the background."""

    def _each(self, call: Callable[[GeneralTracker], None], only: str = "") -> None:
        failure: Exception | None = None
        self._calls += 1
        for tracker in [one for one in self.trackers if only in ("", one.name)]:
            try:
                call(tracker)
            except Exception as error:  # noqa: BLE001, PERF203 - the others must get the call; raised or logged
                say_who(error, tracker)
                if not self._raises:
                    warn(f"{tracker.name}: {type(error).__name__}: {error}", stacklevel=4)
                elif failure is None:
                    failure = error
                else:
                    log_error(f"{tracker.name}: a call failed", error)
        if failure is not None:
            raise failure


def say_who(error: BaseException, tracker: GeneralTracker, hint: str = "") -> None:
    """Add the tracker's name, and what to do, to the error's traceback, where Python can (from 3.11)."""
    if sys.version_info >= (3, 11):
        error.add_note(f"(accel_track: raised by the tracker {tracker.name!r}{hint})")


def _release(outcome: Outcome, tracker: GeneralTracker) -> None:
    tracker.users -= 1
    if tracker.users == 0:
        tracker.outcome = outcome
        tracker.finish()
