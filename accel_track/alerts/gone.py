"""Alerts of runs whose machine is gone, companion and all: a collector of their mirrors sends what nobody else can."""

from __future__ import annotations

import contextlib
import threading
import time

from accel_track.alerts.evaluation import Evaluation
from accel_track.alerts.noted import Note, Notes
from accel_track.alerts.rules import alert_rules
from accel_track.alerts.services import Services, wanted
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo, outcome_noted
from accel_track.journal.reader import JournalReader
from accel_track.outcome import CRASHED
from accel_track.records import Alert, Metrics

_TEXT = "nothing has come from it for long: its machine is gone, or has no connection"


class GoneRuns:
    """The alerts on the ends of runs of which nobody else has told the services, sent once.

    Sent alerts are noted in the copy of the run, so that another collector on this machine sends nothing twice.

    Args:
        place: What to call the mirror in messages.

    Raises:
        MissingPackageError: There are services, and apprise is not installed.
        ValueError: `ACCEL_TRACK_NOTIFY` holds no address.
    """

    def __init__(self, place: str) -> None:
        """Find the services."""
        self._services = Services(place, self._note_sent) if wanted() else None
        self._lock = threading.Lock()
        self._under_way: dict[str, tuple[RunDirectory, str]] = {}

    def look(self, run: RunDirectory) -> None:
        """Send the alerts of a run that is gone, if it is.

        Args:
            run: The copy of a mirrored run, as it is now.

        Raises:
            JournalError: It is damaged.
            OSError: It cannot be read.
        """
        info = run.load()
        if self._services is None or not info.alerts or outcome_noted(info) is not None or run.is_live():
            return
        raised = Evaluation(alert_rules(info.alerts)).ended(CRASHED, info.starts)
        if not raised:
            return
        had = {one.sent for one in Notes(run.rank()).read()} | _recorded(run)
        for alert in raised:
            key = f"{run.path} {alert.id}"
            with self._lock:
                if alert.id in had or key in self._under_way:
                    continue
                self._under_way[key] = run, alert.id
            self._services.send(key, _about(alert, info))

    def _note_sent(self, key: str) -> None:
        run, id_ = self._under_way[key]
        with contextlib.suppress(OSError):
            Notes(run.rank()).append(Note(time.time(), sent=id_))

    def close(self, timeout: float) -> None:
        """End; services get what is left, in that time at most."""
        if self._services is not None:
            self._services.close(timeout)


def _recorded(run: RunDirectory) -> set[str]:
    """Return the ids of the alerts that the run's own companion has raised."""
    records = iter(JournalReader(run.rank()))
    return {one.alert.id for one in records if isinstance(one, Metrics) and one.alert is not None}


def _about(alert: Alert, info: RunInfo) -> Alert:
    name = f"{info.project}/{info.name or info.run_id}"
    return Alert(f"{name}: {alert.title}", _TEXT, alert.level, alert.rule, alert.id)
