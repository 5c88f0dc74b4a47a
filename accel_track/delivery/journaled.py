"""Journaled delivery: the calling thread writes a record; workers, here or in a companion, do the rest."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from filelock import BaseFileLock

from accel_track.alerts.services import wanted
from accel_track.alerts.watching import Watched
from accel_track.delivery.alerting import SETTLE, Alerting
from accel_track.delivery.artifacts import checksums, logged, name_of
from accel_track.delivery.base import Place, Plan, unknown_tracker
from accel_track.delivery.gpu import Arriving
from accel_track.delivery.inline import say_who
from accel_track.delivery.keeper import keeper
from accel_track.delivery.locks import Locks
from accel_track.delivery.looking import looks
from accel_track.delivery.media import Encoding, KeptMedia, media_notes
from accel_track.delivery.mirroring import Mirroring
from accel_track.delivery.noted import Noted, owned, running_again
from accel_track.delivery.process.parent import Companions
from accel_track.delivery.pruning import prune_in_background
from accel_track.delivery.report import Delivering, closing_report, show, wait_for
from accel_track.delivery.sources import LiveSource
from accel_track.delivery.staging import Staging
from accel_track.delivery.upkeep import Upkeep
from accel_track.delivery.worker import Worker
from accel_track.delivery.workers import Workers
from accel_track.errors import JournalError, ResumeError, warn
from accel_track.files import make_private
from accel_track.folders import command_line
from accel_track.journal.cursor import begun, load, save
from accel_track.journal.directory import RunDirectory
from accel_track.journal.forked import EndedJournal, ForkedJournal
from accel_track.journal.writer import JournalWriter
from accel_track.mirror.earlier import fetch_rank
from accel_track.mirror.store import Store
from accel_track.options import Settings
from accel_track.outcome import Outcome
from accel_track.records import Alert
from accel_track.redaction import redacted_command
from accel_track.registry import known_names, tracker_class
from accel_track.rules import Rules
from accel_track.sigterm import sigterm_held_back
from accel_track.trackers.base import GeneralTracker
from accel_track.values.capture import Captured, captured
from accel_track.values.plain import storable
from accel_track.values.structures import reason
from accel_track.watchdog.watch import Watch

_SETTLE = 5.0
"""The wait of `flush` and `settle`, in seconds: records that are pending by then are safe in the journal."""

_CHANGING = (
    "log: {!r} holds a {}, of which no copy can be made: what is delivered is what it will be then. Log a new object "
    "in each call."
)
_IN_COMPANION = "runs in another process (delivery='process'); use delivery='thread' to call it."
_IN_SYNC = "runs in `accel-track sync` only (delivery='none'); use delivery='thread' to call it."
_SOON = 0.1
"""The time for which the keeper waits for the end of a run before it looks after the others, in seconds."""

IDLE = 5.0
"""Seconds without a record after which a run rests, once all is delivered."""


class JournaledDelivery:
    """A journal, and a worker for each tracker.

    Args:
        settings: How to deliver.
        place: Where the journal is.

    Raises:
        ResumeError: Another process is logging to the run that is to be continued.
    """

    runs_trackers = True

    def __init__(self, settings: Settings, place: Place) -> None:
        """Make the run directory, or go on in it, and begin the journal; a disk that takes nothing is a warning."""
        directory, project, name, rank, run_id, resumed, distinct, parent = place
        self.trackers: list[GeneralTracker] = []
        self._apart: dict[str, str] = {}
        self._settings = settings
        self._rank = rank
        store = None if settings.mirror is None else Store(settings.mirror)  # before anything is touched
        sends = not rank and wanted()  # as above
        self._changing: set[str] = set()
        self._objects: set[str] = set()
        command = redacted_command(sys.argv) if settings.redact else list(sys.argv)
        own = resumed is None or (rank > 0 and not resumed.path.exists())
        new = RunDirectory.new(directory, project, name, command, run_id, parent)
        self.directory = resumed if resumed is not None and not own else new
        name, alive = self._take_place(name, command, own=own, distinct=distinct)
        self.name = name
        self._mirror = None if store is None else self._mirrored(store, continued=resumed is not None)
        self.journal: JournalWriter | ForkedJournal = JournalWriter(
            self.directory.rank(rank), rank, settings.durability, first_seq=self.directory.acknowledged(rank)
        )
        self.again = self.journal.again
        self._arriving = Arriving(self.journal.metrics)
        self._staging = Staging(self.directory.rank(rank), durable=settings.durability == "power")
        self._media = KeptMedia(self.directory.rank(rank), durable=settings.durability == "power")
        self._encoding = Encoding(self._media.files)
        if not own:
            self._media.files.find_waiting()
        self._companions = Companions(self.directory, rank, settings, self._watched(sends=sends))
        self._alerting = Alerting(self.directory.rank(rank), self._this_journal, self._companions, sends=sends)
        self._locks = Locks(self.directory, rank, alive)
        self._workers = Workers(self._locks)
        self._upkeep = Upkeep(self.directory, self.journal, self._locks.take_in_new_folder)
        self._noted = Noted(self._upkeep.update, rank)
        if self._mirror is not None:
            self._noted.mirror(self._mirror.shown)
            self._mirror.wake()
        self._outcome: Outcome | None = None
        self._rest_is_wanted = False
        self._last_look = (0, time.monotonic())
        self._deadline: float | None = None
        self._ended: JournalWriter | None = None
        """The journal once the end has begun: the workers and the companions read its rest, and nothing is added."""
        self._is_alone, self._completing = False, threading.Lock()
        self._then: Callable[[], None] = _nothing
        self._watch = self._begun_watch(self.journal)
        self.journal.on_wake = self._woken
        keeper.add(self._look)
        _open_runs.add(self)
        if rank == 0 and settings.keep != "all":
            prune_in_background(self.directory, settings.kept_seconds)

    def _take_place(
        self, name: str, command: list[str], *, own: bool, distinct: bool
    ) -> tuple[str, BaseFileLock | None]:
        """Make the run directory, or go on in it; return the run's name, and the lock that says that it goes on.

        Raises:
            ResumeError: Another process is logging to the run.
        """
        alive: BaseFileLock | None = None
        try:
            if own:
                name = self.directory.make(distinct=distinct).name or name
            if self._rank == 0:
                alive = self.directory.claim_run()
                if not own and alive is None:
                    message = f"{self.directory.path}: another process is logging to this run; end that one first."
                    raise ResumeError(message)
                if not own or self._settings.all_ranks:  # another rank may have been first
                    self.directory.update(partial(owned if own else running_again, command))
        except OSError as error:
            warn(
                f"journal: cannot write to {self.directory.path} ({error.strerror}); records are delivered from memory "
                "until it can be written to."
            )
        return name, alive

    def _mirrored(self, store: Store, *, continued: bool) -> Mirroring:
        """Return the thread that copies the run to a store; fetch the files of a continued run that are not here."""
        if continued:
            fetch_rank(store, self.directory, self._rank)
        self._is_continued = continued
        return Mirroring(store, self.directory, self._rank, self._settings.mirror_interval, self._delivered_here)

    def _watched(self, *, sends: bool) -> Watched | None:
        """Return the watch that a companion keeps on the run, on rank zero: for rules, or for alerts to send."""
        rules = tuple(one.text for one in self._settings.alerts)
        if self._rank or not (rules or sends) or not isinstance(self.journal, JournalWriter):
            return None
        starts = 1
        with contextlib.suppress(OSError, JournalError):
            starts = self.directory.load().starts
        return Watched(rules, self.journal.number, starts)

    def _this_journal(self) -> JournalWriter | ForkedJournal:
        return self.journal

    def _begun_watch(self, journal: JournalWriter) -> Watch | None:
        if not self._settings.autopsy:
            return None
        return Watch(self.directory.rank(self._rank), journal, keeper, self._settings.stall_after)

    def add(self, plans: Sequence[Plan]) -> None:
        """Start a worker for each tracker; it begins with the run's first record.

        Raises:
            Exception: A tracker's own error in `start`, unless it may pass by itself and `strict` is false.
        """
        if isinstance(self.journal, ForkedJournal):
            return
        self.wake()
        self._note_rules([plan.name for plan in plans])
        plans = self._companions.take(plans, self._noted.describe)
        if self._settings.alerts and not self._rank:
            self._noted.alerts([one.text for one in self._settings.alerts])
            self._alerting.watch()
        end = time.monotonic() + self._settings.start_timeout
        for plan in plans:
            tracker = plan.tracker
            if tracker is None:
                continue
            same = sum(one.name == tracker.name for one in self.trackers)
            name = f"{tracker.name}-{same + 1}" if same else tracker.name
            if not self._locks.claim(name) or self._is_delivered_elsewhere(name):
                warn(f"{name}: another process delivers this run to it already; it is left out here.")
                continue
            worker = self._worker(tracker, name, self.journal)
            self._noted.describe(name, plan.kwargs, instance=plan.is_instance)
            if plan.is_instance and name not in known_names():
                self._objects.add(name)
            self.trackers.append(tracker)
            self._workers.append(worker)
            worker.start(max(0.0, end - time.monotonic()))
            self._check_start(worker)
        self.journal.keeps_objects = bool(self._workers)

    def _is_delivered_elsewhere(self, name: str) -> bool:
        """Return whether another process delivers a continued run to a tracker from the mirror."""
        if self._mirror is None or not self._is_continued or not self._mirror.is_claimed(name):
            return False
        self._locks.release(name)
        return True

    def _delivered_here(self) -> dict[str, bool]:
        """Return the names of the trackers to which this process and its companions deliver, and which go on."""
        return {one.name: not one.over.wait(0) for one in self._everyone}

    def _worker(self, tracker: GeneralTracker, name: str, journal: JournalWriter) -> Worker:
        cursor, quarantine = self.directory.cursor(name, self._rank), self.directory.quarantine(name, self._rank)
        source = LiveSource(journal, load(cursor))
        rules = self._settings.rules.get(name, self._settings.rules.get(tracker.name))
        return Worker(tracker, source, cursor, quarantine, partial(self._noted.identity, name), name=name, rules=rules)

    def _note_rules(self, names: Sequence[str]) -> None:
        """Keep the rules of trackers in their cursors, where other processes find them."""
        for name in [one for one in names if one in self._settings.rules]:
            path, rules = self.directory.cursor(name, self._rank), self._settings.rules[name]
            cursor = begun(path, rules)
            if (cursor.rules or Rules()) != rules:
                warn(
                    f"{name}: goes on with the rules with which its delivery began ({cursor.rules or Rules()}); "
                    f'"accel-track sync --to {name} --from-start" delivers all anew by others.'
                )
            elif not cursor.seq:
                with contextlib.suppress(OSError):  # a full disk: workers of this process have them in memory
                    make_private(path.parent)
                    save(path, cursor)

    def _check_start(self, worker: Worker) -> None:
        error, name = worker.failure or worker.stalled, worker.name
        if worker.running:
            return
        if error is not None and (worker.over.is_set() or self._settings.strict):
            self.trackers.remove(worker.tracker)
            self._workers.remove(worker)
            anew = command_line("accel-track", "sync", self.directory.path, "--to", name, "--from-start")
            gone = f"; if the backend's run that it continues is gone, deliver to a new one first: {anew}"
            say_who(error, worker.tracker, gone if worker.cursor.seq else "")
            raise error
        if error is None:
            message = f"{name}: has not started within {self._settings.start_timeout:g} s"
            if self._settings.strict:
                message += "; give it more time with `start_timeout`."
                raise TimeoutError(message)
            warn(f"{message}; it is waited for in the background, its records are kept in the journal.")
        worker.waits_to_start = True

    @property
    def apart(self) -> dict[str, str]:
        """Why a tracker of the run is not in this process, by the names of those that are not."""
        return {**self._apart, **dict.fromkeys((one.name for one in self._companions.remotes), _IN_COMPANION)}

    @property
    def not_started(self) -> list[GeneralTracker]:
        """The trackers of this process that have not started yet."""
        return [one.tracker for one in self._workers if not one.running]

    def configure(self, values: dict[str, Any], *, environment: bool = False, only: str = "") -> None:
        """Append hyperparameters, or where the program runs."""
        self.journal.config(values, environment=environment, only=only)

    def captured(self, values: Any, kwargs: Any) -> Captured:
        """Return the values of a call of `log`, with copies of objects if there are workers that deliver them."""
        return captured(values, kwargs, copies=bool(self._workers))

    def log(self, call: Captured, step: int | None) -> None:
        """Append values."""
        for kind, name in call.changing.items():
            if kind not in self._changing:
                self._changing.add(kind)
                warn(_CHANGING.format(name, kind), 4)
        if call.media and isinstance(self.journal, JournalWriter):
            self._media.keep(call)
            self._encoding.begin()
        if not self._arriving.take(call, step):
            self.journal.metrics(call.values, step, call.kwargs, unread=call.unread, only=call.only)
        if self._settings.on_error == "raise":
            self.raise_failure()

    def rewind(self, step: int) -> None:
        """Append a rewind: the run goes on from an earlier step."""
        self.journal.rewind(step)

    def checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Append a checkpoint, whose files are linked or copied into the run directory, or the end of one."""
        if isinstance(self.journal, JournalWriter):
            kept = self._staging.keep(path) if path else ""
            self._staging.waiting(self.journal.checkpoint(name, kept, step, storable(values)), kept)
        else:
            self.journal.metrics(values, step, {})

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
        """Append an artifact, whose files are copied or linked into the run directory where `copy` says so."""
        if not isinstance(self.journal, JournalWriter):
            self.journal.metrics(values, step, {})
            return
        try:
            found = logged(path, self._staging, copy)
        except (OSError, ValueError) as error:
            self.lost(name_of(name, path), error, only)
            return
        self.journal.artifact(name, found.path, kind, step, storable(values), found.files, only)
        self._encoding.begin(checksums(self._staging.folder, found))

    def alert(self, alert: Alert, only: str = "") -> None:
        """Append an alert, and show it; services get it from the companion process."""
        self._alerting.alert(alert, only)

    def lost(self, name: str, error: Exception, only: str = "") -> None:
        """Append a note of a value that could not be read."""
        self.journal.metrics({}, None, {}, unread={name: reason(error)}, only=only)

    def conclude(self, outcome: Outcome | None) -> None:
        """Store how the run has ended if nothing else follows; None: it is running again."""
        if isinstance(self.journal, JournalWriter):
            self._outcome = outcome
            if self._watch is not None:
                self._watch.conclude(outcome)
            self._noted.conclude(outcome)

    @property
    def logged(self) -> int:
        """Number of the next record."""
        return self.journal.next_seq

    def flush(self) -> None:
        """Wait until the trackers have stored what was logged, but not longer than 5 seconds."""
        self._drain()

    def settle(self, name: str) -> None:
        """Wait until a tracker is started and has had what was logged, but not longer than 5 seconds."""
        self.wake()  # for what is done with the tracker now
        self._drain(name)

    def _drain(self, name: str | None = None) -> None:
        if isinstance(self.journal, JournalWriter):
            self._arriving.arrive(wait=True)
            self._workers.drain(self.journal.next_seq, _SETTLE, name=name)

    # -- an idle run --------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Give back threads, files and locks as soon as all is delivered; the next record takes them again."""
        self._rest_is_wanted = True
        if self._try_to_rest():
            self._workers.wait_for_rest(_SETTLE)
            keeper.wait_until_idle(_SETTLE)

    def _try_to_rest(self) -> bool:
        journal = self.journal
        if not isinstance(journal, JournalWriter):
            return False
        with journal.held() as free:
            if not free or journal.resting or self._deadline is not None or not self._all_is_delivered(journal):
                return journal.resting
            journal.rest()
            self._workers.rest()
            self._media.files.forget_spares()
            # Of a run that is idle in the middle of something, nobody may think that it has ended.
            self._locks.rest(alive=self._outcome is None or bool(self._companions.remotes))
            if self._mirror is not None:
                self._mirror.rest(over=self._outcome is not None)
            keeper.remove(self._look)
            if not journal.resting:  # a signal handler has logged meanwhile
                self._woken()
            return journal.resting

    def _all_is_delivered(self, journal: JournalWriter) -> bool:
        seq = journal.next_seq
        journal.forget(self._workers.acknowledged)
        return (
            not (journal.kept or self._arriving.is_waiting or self._staging.is_waiting or self._encoding.is_busy)
            and self._workers.may_rest(seq)
            and all(remote.cursor.taken >= seq for remote in self._companions.remotes)
        )

    def wake(self) -> None:
        """End a rest.

        Raises:
            ResumeError: Another process, or another front door of this one, has continued the run meanwhile.
        """
        if isinstance(self.journal, JournalWriter):
            self.journal.wake()

    def _woken(self) -> None:
        self._locks.take_again()
        self._rest_is_wanted = False
        self._last_look = (0, time.monotonic())
        self._workers.wake()
        if self._mirror is not None:
            self._mirror.wake()
        if self._watch is not None:
            self._watch.wake()
        keeper.add(self._look)

    # -- the end ------------------------------------------------------------------------------------------------------

    @sigterm_held_back()  # a launched process is terminated as soon as another one has failed
    def finish(self, outcome: Outcome) -> None:
        """Deliver the remaining records and finish the trackers, in `finish_timeout` at most; tell what is pending."""
        if self._begin_end(outcome):
            self.complete()
            if self._settings.on_error == "raise":
                self.raise_failure()

    def end_alone(self, outcome: Outcome, then: Callable[[], None]) -> None:
        """End the run like `finish`, without anybody who waits for the end.

        Args:
            outcome: How the run ended.
            then: Called at the end.
        """
        self._then, self._is_alone = then, True
        if not self._begin_end(outcome):
            then()
        elif all(
            one.over.wait(_SOON) for one in self._everyone
        ):  # as where all is delivered; else `_look` completes it
            self.complete()

    def _begin_end(self, outcome: Outcome) -> bool:
        if not isinstance(self.journal, JournalWriter):
            return False
        end = time.monotonic() + self._settings.finish_timeout
        try:
            self.wake()
        except ResumeError:  # it is for those who continue it to end it
            _open_runs.discard(self)
            if self._watch is not None:
                self._watch.conclude(outcome)
            return False
        self._arriving.arrive(wait=True)
        self._upkeep.look(self._workers, self._companions.remotes)
        if not self._is_alone:
            self._workers.drain_own(self.journal, self._settings.finish_timeout / 2)
        self._alerting.settle(outcome, min(SETTLE, self._settings.finish_timeout) if not self._is_alone else _SOON)
        self.conclude(outcome)
        # What another thread logged from here on, nobody would deliver: those who do so end behind the present records.
        self._ended, arriving = self.journal, self._arriving
        self.write_no_more(EndedJournal())
        arriving.arrive(wait=True)
        self._deadline = end
        self._workers.close(outcome, end - time.monotonic())
        self._companions.end(outcome)
        return True

    @property
    def _everyone(self) -> list[Delivering]:
        return [*self._workers, *self._companions.remotes]

    def complete(self) -> None:
        """Wait for the end that has begun; give everything back and say what is not delivered."""
        journal = self._ended
        if self._deadline is None or journal is None:
            return
        wait_for(self._everyone, journal.next_seq, self._deadline - time.monotonic())
        self._encoding.end(self._deadline - time.monotonic())
        with self._completing:
            if self not in _open_runs:
                return
            _open_runs.discard(self)
            keeper.remove(self._look)
            self._alerting.end()
            self._companions.look()
            self._upkeep.look(self._workers, self._companions.remotes)
            journal.close()
            if self._mirror is not None:
                self._mirror.end(0.0 if self._is_alone else self._deadline - time.monotonic())
            self._release_staged()
            self._locks.release_run()
            self._workers.release()
            going_on = self._companions.going_on()
            notes = media_notes(self._media.files) + ([] if self._mirror is None else self._mirror.notes())
            pages = looks(self.directory, [one.tracker for one in self._workers]).values()
            show(closing_report(self.directory.path, self._everyone, journal, going_on, self._objects, notes, pages))
            self._ended = None
            then, self._then = self._then, _nothing
            then()

    def write_no_more(self, instead: ForkedJournal) -> None:
        """Send later records to the journal's stand-in."""
        self.journal, self.again, self._arriving = instead, instead.again, Arriving(instead.metrics)

    def leave_to_parent(self) -> None:
        """Log nothing more, in a forked child."""
        _left_behind.append(self._arriving)
        self._ended = None
        self.write_no_more(ForkedJournal())

    def no_tracker(self, name: str) -> Exception:
        """Return the error that says which trackers there are."""
        return unknown_tracker(name, [*(one.name for one in self.trackers), *self.apart])

    def raise_failure(self) -> None:
        """Raise the first failure of a tracker that was not raised yet.

        Raises:
            DeliveryError: There is one.
        """
        kept = os.fspath(self.directory.path)
        self._workers.raise_failure(kept)
        self._companions.raise_failure(kept)

    def _look(self) -> None:
        """Once a second: have the disk store the journal, release what no worker needs, and let an idle run rest."""
        journal = self._ended or self.journal
        if not isinstance(journal, JournalWriter):
            return
        self._arriving.arrive(wait=False)
        self._upkeep.look(self._workers, self._companions.remotes)
        self._release_staged()
        self._companions.look()
        if any(one.resting for one in self._workers):
            with journal.held() as free:
                if free and not journal.resting:  # else another thread has let the run rest meanwhile
                    self._workers.wake()
        seq, now = journal.next_seq, time.monotonic()
        if self._deadline is not None:
            over = all(one.over.wait(0) for one in self._everyone) and not self._encoding.is_busy
            if self._is_alone and (over or now >= self._deadline):
                self.complete()
        elif seq != self._last_look[0]:
            self._last_look = (seq, now)
        elif self._rest_is_wanted or now - self._last_look[1] >= IDLE:
            self._try_to_rest()

    def _release_staged(self) -> None:
        """Delete the copies of checkpoints that every tracker of this process has."""
        if not self._staging.is_waiting:
            return
        handled = [worker.ledger.given for worker in self._workers]
        handled += [remote.cursor.taken for remote in self._companions.remotes]
        if handled:
            self._staging.release(min(handled))


class JournalOnly(JournaledDelivery):
    """A journal for `accel-track sync`; no tracker runs here."""

    runs_trackers = False

    def add(self, plans: Sequence[Plan]) -> None:
        """Note how to make each tracker."""
        for plan in plans:
            self._noted.describe(plan.name, plan.kwargs, instance=plan.is_instance)
            if not self._rank or _runs_on_all_ranks(plan.name):
                self._apart[plan.name] = _IN_SYNC
        self._note_rules([plan.name for plan in plans])
        super().add([])


def _runs_on_all_ranks(name: str) -> bool:
    """Return whether `accel-track sync` gives a tracker what others than rank 0 have logged."""
    try:
        return not tracker_class(name).main_process_only
    except (ImportError, TypeError, ValueError):  # not here
        return False


def _nothing() -> None:
    pass


_open_runs: weakref.WeakSet[JournaledDelivery] = weakref.WeakSet()


_left_behind: list[Arriving] = []
"""Of the parent process: to free a GPU's copies is a call of CUDA, which no forked child may make."""


def _after_fork() -> None:
    for delivery in _open_runs:
        delivery.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
