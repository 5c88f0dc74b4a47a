"""The watcher of a run: a thread of the companion process, which reads the journal, raises alerts and sends them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

import msgspec

from accel_track.alerts.evaluation import Evaluation
from accel_track.alerts.noted import Note, Notes
from accel_track.alerts.rules import alert_rules
from accel_track.alerts.services import Services, wanted
from accel_track.errors import WORKER_NAME, AccelTrackError
from accel_track.journal.directory import RunDirectory
from accel_track.journal.entries import Entry, Position, ShortEntries, next_seq
from accel_track.journal.info import outcome_noted
from accel_track.journal.reader import BATCH, JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.outcome import Outcome
from accel_track.records import Alert, Metrics, Rewind

LOOK = 0.2
"""Seconds between two looks at the journal."""


class Watched(msgspec.Struct, frozen=True):
    """The brief of a watcher.

    Attributes:
        rules: The rules, as texts.
        segment: Number of the segment with which the process that trains begins.
        start: How often a process has begun to log to the run, that one included.
    """

    rules: tuple[str, ...]
    segment: int
    start: int


class Watching:
    """The watch of one rank's journal, from the beginning of the process that trains.

    A watcher that is started again, since its process was killed, looks at the whole journal anew; the notes keep it
    from raising or sending an alert a second time.

    Args:
        run: The run directory.
        rank: Whose journal.
        watched: What to watch for.
    """

    def __init__(self, run: RunDirectory, rank: int, watched: Watched) -> None:
        """Read the notes."""
        self._run, self._rank, self._watched = run, rank, watched
        self._folder = run.rank(rank)
        self._evaluation = Evaluation(alert_rules(watched.rules))
        self._reader = JournalReader(self._folder, Position(max(0, watched.segment)))
        self._notes = Notes(self._folder)
        noted = list(self._notes.read())
        self._raised = {one.raised.id: one for one in noted if one.raised is not None}
        self._sent = {one.sent for one in noted if one.sent}
        self._told: set[str] = set()
        """Ids of the alerts that were given to services, or need not be."""
        self._recorded: set[str] = set()
        """Ids of the alerts of rules that are in the journal."""
        info = run.load()
        self._services = Services(f"{info.project}/{info.name or info.run_id}", self._note_sent) if wanted() else None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._outcome: Outcome | None = None
        self._thread = threading.Thread(target=self._watch, name=f"{WORKER_NAME}alerts", daemon=True)

    @property
    def problem(self) -> str | None:
        """The problem of a service, or None."""
        return None if self._services is None else self._services.problem

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            self._look()

    def _look(self) -> None:
        with self._lock, contextlib.suppress(OSError, AccelTrackError):  # the disk's, for the time being
            if self._outcome is None:
                self._read()
                if self._evaluation.due() and outcome_noted(self._run.load()) is None:
                    self._raise(self._evaluation.silent())

    def _read(self) -> None:
        """Look at what has come since."""
        while entries := self._reader.read(BATCH):
            self._reader.had = next_seq(entries)
            if not isinstance(entries, ShortEntries) or self._evaluation.looks_at_values:
                self._evaluate(entries)

    def _evaluate(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            record = entry.record
            if isinstance(record, Rewind):
                self._evaluation.rewound()
            elif isinstance(record, Metrics) and record.alert is None:
                self._raise(self._evaluation.logged(record))
            elif isinstance(record, Metrics) and record.alert is not None and record.alert.rule:
                self._recorded.add(record.alert.id)
            elif isinstance(record, Metrics) and record.alert is not None and not record.only:
                self._tell(str(record.seq), record.alert)

    def _raise(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            if alert.id not in self._raised:
                note = self._raised[alert.id] = Note(time.time(), alert)
                with contextlib.suppress(OSError):
                    self._notes.append(note)
            self._tell(alert.id, alert)

    def _tell(self, id: str, alert: Alert) -> None:  # noqa: A002 - the word of alerts
        """Give an alert to the services, unless they had it."""
        if self._services is not None and id not in self._sent and id not in self._told:
            self._services.send(id, alert)
        self._told.add(id)

    def _note_sent(self, id: str) -> None:  # noqa: A002 - as above
        with contextlib.suppress(OSError):
            self._notes.append(Note(time.time(), sent=id))

    def conclude(self, outcome: Outcome) -> None:
        """Look at the rest, raise what the end raises, and note that this was done; once.

        Args:
            outcome: How the run has ended.
        """
        with self._lock:
            if self._outcome is None:
                with contextlib.suppress(OSError, AccelTrackError):
                    self._read()
                self._outcome = outcome
                self._raise(self._evaluation.ended(outcome, self._watched.start))
                with contextlib.suppress(OSError):
                    self._notes.append(Note(time.time(), ended=self._watched.start))

    def record(self, timeout: float) -> None:
        """Append to the journal what the process that trains could not: it was killed, or has ended before.

        Args:
            timeout: How long to wait for that process to let go of the run, in seconds.
        """
        end = time.monotonic() + timeout
        with self._lock:
            while self._unrecorded():
                with contextlib.suppress(OSError, AccelTrackError):
                    if (lock := self._run.claim_run()) is not None:
                        try:
                            self._record()
                        finally:
                            lock.release()
                        return
                if time.monotonic() >= end:
                    return
                time.sleep(LOOK)

    def _unrecorded(self) -> list[Note]:
        with contextlib.suppress(OSError, AccelTrackError):
            self._read()
        return [one for key, one in self._raised.items() if key in self._told - self._recorded]

    def _record(self) -> None:
        left = self._unrecorded()
        writer = JournalWriter(self._folder, self._rank, first_seq=self._run.acknowledged(self._rank))
        for note in left:
            if (alert := note.raised) is not None:
                writer.metrics(alert.values, None, {}, note.time, alert=alert)
                self._recorded.add(alert.id)
        writer.sync()
        writer.close()

    def close(self, timeout: float) -> None:
        """End; services get what is left, in that time at most."""
        self._over.set()
        if self._services is not None:
            self._services.close(timeout)
