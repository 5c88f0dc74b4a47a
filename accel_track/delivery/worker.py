"""The worker: one thread that delivers one run to one tracker, from the journal."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from accel_track.delivery.artifacts import deliverable
from accel_track.delivery.base import hand_over
from accel_track.delivery.ledger import Ledger, shown
from accel_track.delivery.media import KeptMedia
from accel_track.delivery.retry import Deadline, DeadlineReachedError, retrying
from accel_track.delivery.sources import Source, UnreadableError, earlier
from accel_track.delivery.staging import kept_file
from accel_track.delivery.suspects import Part, Suspects
from accel_track.errors import WORKER_NAME, HalfStoredError, NotStartedError, warn
from accel_track.journal.cursor import Cursor
from accel_track.journal.entries import Entry, ShortEntries, next_seq
from accel_track.journal.reader import BATCH
from accel_track.outcome import FINISHED
from accel_track.records import (
    AnyRecord,
    Artifact,
    Checkpoint,
    Metrics,
    Rewind,
    is_call,
    is_for,
    names_without_form,
    replayable,
    stand_ins,
)
from accel_track.rules import Reshaper, Rules
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.errors import is_ours
from accel_track.values.arrays import PLAIN

ResultT = TypeVar("ResultT")

SHORTEST, LONGEST = 0.005, 0.5
"""Seconds between two looks for new records: as long as `WANTED` of them take, within these bounds."""

_LONGEST_REST = 3600.0
"""Seconds for which a thread that stays sleeps at once."""

WANTED = 300
"""How many records a look should find: what a look costs is theirs together, and its code is no more in the caches."""

ACKNOWLEDGE = 1.0
"""Seconds between two flushes of a tracker, or ten times as long as the last one took."""


class _ForkedError(BaseException):
    """A tracker's call has returned in a child process of this one."""


class Worker:
    """A worker: it starts a tracker, hands it records in order, acknowledges the flushed ones, and finishes it.

    Errors that are not a record's fault are waited for, as long as the deadline allows, with the cursor in place: those
    that may pass, those of the connection or the run, those of this package, and what is the same for record after
    record. A record that fails alone, while its neighbours pass, is quarantined, in a file. Nothing here runs on the
    caller's thread but `start`, `drain` and `close`.

    Args:
        tracker: The tracker. If somebody has started it already, it is joined.
        source: Where records come from, at the cursor's position.
        cursor: Where to store how far it got.
        quarantine: Where to store what the backend refuses.
        note: Gets, in the worker's thread, the identity of the tracker's run: before the start where that is planned,
            and once the tracker is started.
        clock: Returns monotonic seconds.
        name: What to call the tracker, where several of a run have the same name.
        rules: What of the run the tracker gets, unless its cursor has got on; None: what the cursor says.
        folder: The folder of the rank; None: the one that the cursor is in.
    """

    def __init__(
        self,
        tracker: GeneralTracker,
        source: Source,
        cursor: Path,
        quarantine: Path,
        note: Callable[[GeneralTracker, dict[str, Any]], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
        name: str | None = None,
        rules: Rules | None = None,
        folder: Path | None = None,
    ) -> None:
        """Read the cursor; nothing runs yet."""
        self.tracker = tracker
        self.name = name or tracker.name
        self.source = source
        self.ledger = Ledger(tracker, cursor, quarantine, rules)
        self._reshape: Reshaper | None = None
        self.failure: BaseException | None = None
        """The error that ended the tracker's start or the worker itself, or the first record's refusal."""
        self.stalled: BaseException | None = None
        """The error that is being waited for."""
        self.trouble: BaseException | None = None
        """The error that is being waited for, where it will hardly pass by itself."""
        self.waits_to_start = False
        """Whether the start, too, waits for what will hardly pass: where nobody is told any more."""
        self.unfinished = False
        """Whether the tracker could not be finished."""
        self.last_error: str | None = None
        self.deadline = Deadline(clock)
        self._suspects = Suspects()
        self._takes = False
        """Whether the tracker has taken a record."""
        self._tried_at = clock()
        self._said, self._waiting, self._told = "", False, set[str]()
        self._seen = 0
        """Number of the next record that was not looked at."""
        self.running = False
        """Whether the tracker is started and not finished."""
        self.over = threading.Event()
        """Set when nothing more will be delivered."""
        self.finish_after: Worker | None = None
        self.outcome = FINISHED
        """The outcome of the run, for the tracker; set before `close`."""
        self._folder = folder or cursor.parents[1]
        self._media = KeptMedia(self._folder)
        self._note = note
        self._clock = clock
        self._closing = False
        self._pause = 0.1
        self._progress = threading.Condition()
        self._wanted = -1
        self._joined = tracker.started
        self._pid = os.getpid()
        self._acknowledged_at = clock()
        self._flush_took = 0.0
        self._flush_failed = False
        self._complete = False
        self._resting = False
        self._at_rest = False
        self._thread: threading.Thread | None = None

    @property
    def cursor(self) -> Cursor:
        """The cursor of the records that the tracker has acknowledged."""
        return self.ledger.cursor

    @property
    def durable(self) -> Cursor:
        """The cursor of the acknowledged records that stay with the backend, whatever happens to the process now."""
        return self.ledger.durable

    @property
    def missing(self) -> int:
        """The number of records that the tracker can no longer get, since they are nowhere."""
        return self.source.missing

    def store_again(self) -> None:
        """Store the cursor once more: its file is gone."""
        self.ledger.store_again()

    # -- the caller's side --------------------------------------------------------------------------------------------

    def start(self, timeout: float) -> None:
        """Run the thread, and wait until the tracker is started, has failed to, or has to be tried again."""
        self.tracker.users += 1
        self._live()
        self._wait(lambda: self.running or self.over.is_set() or self.stalled is not None, timeout)

    def _live(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"{WORKER_NAME}{self.name}", daemon=True)
        self._thread.start()

    @property
    def resting(self) -> bool:
        """Whether the worker was told to rest, and not to wake."""
        return self._resting

    def may_rest(self, seq: int) -> bool:
        """Return whether all records before `seq` are acknowledged, or nothing more will be."""
        return self.over.is_set() or (self.running and not self._closing and self.cursor.seq >= seq)

    def rest(self) -> None:
        """Let the thread give back the tracker's files and end, or wait if the tracker is bound to it."""
        if not self.over.is_set():
            self._resting = True
            self.deadline.wake()

    def wait_for_rest(self, timeout: float) -> None:
        """Wait until that is done."""
        if self._resting and (thread := self._thread) is not threading.current_thread():
            self._wait(lambda: self._at_rest or self.over.is_set(), timeout)
            if thread is not None and not self.tracker.thread_bound:
                thread.join(timeout)

    def wake(self) -> None:
        """Deliver again, in another thread where the one before has ended."""
        with self._progress:
            self._resting = self._at_rest = False
            begin = self._thread is None and not self.over.is_set()
            if begin:
                self._live()
        self.deadline.wake()

    def drain(self, seq: int, timeout: float) -> bool:
        """Wait until all records before `seq` are delivered and flushed; say whether they are.

        Gives up at once while the backend is being waited for or cannot flush, and in the worker's own thread.
        """
        if threading.current_thread() is self._thread:
            return False
        self._wanted = max(self._wanted, seq)
        self.deadline.wake()
        self._flush_failed = False
        self._wait(
            lambda: (
                self.cursor.seq >= seq
                or self.over.is_set()
                or (self._stuck(seq) and not self._closing)
                or (self._flush_failed and self.ledger.given >= seq)
            ),
            timeout,
        )
        return self.cursor.seq >= seq

    def _stuck(self, seq: int) -> bool:
        """Return whether nothing before `seq` gets through for now."""
        if self._suspects.held and not self._suspects.many:
            return self._seen >= seq
        return self.stalled is not None

    def close(self, timeout: float) -> None:
        """Deliver the present records and finish the tracker, in that time at most; returns at once."""
        self._closing = True
        self.deadline.set(timeout)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        with self._progress:
            self._progress.wait_for(condition, timeout)

    def _tell(self) -> None:
        with self._progress:
            self._progress.notify_all()

    # -- the worker's side --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        rests = False
        try:
            if self.running:
                self.ledger.begin(anew=True)
            if self.running or (self._begin() and self._call(self._take_up_rules, self.cursor.seq)):
                rests = not self._deliver()
        except DeadlineReachedError as error:
            if error.__cause__ is not None:
                self.last_error = shown(error.__cause__)
            if self.running:
                with contextlib.suppress(DeadlineReachedError, _ForkedError, HalfStoredError):
                    self._acknowledge()  # what was taken before
        except _ForkedError:
            return
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to; an SDK may call sys.exit
            self.failure = self.failure or error
            self.last_error = shown(error)
            warn(f"{self.name}: delivery has stopped ({shown(error)}); {KEPT}")
        finally:
            if os.getpid() == self._pid and not rests:
                self._end()
            self.__dict__.pop("_repeat", None)  # it holds this worker, which could be freed in a full collection only

    def _begin(self) -> bool:
        if not self._joined:
            self.tracker.forget()
            self._note_identity(planned=True)
            try:
                self._call(self.tracker.start)
            except (DeadlineReachedError, _ForkedError):
                raise
            except Exception as error:  # noqa: BLE001 - raised by the caller of `start`
                self.failure = error
                self.last_error = shown(error)
                return False
        self.ledger.begin()
        try:
            self._note_identity(planned=False)
        finally:
            self.running = True
            self._tell()
        return True

    def _take_up_rules(self, seq: int) -> bool:
        """Make ready to apply the tracker's rules to the record of a number: some depend on those before that count."""
        if (rules := self.cursor.rules) is not None:
            self._reshape = Reshaper(rules, self.name)
            for record in earlier(self._folder, seq) if rules.every > 1 else ():
                self._reshape(record)
        return True

    def _note_identity(self, *, planned: bool) -> None:
        try:
            identity = self.tracker.planned_identity() if planned else self.tracker.identity()
            if identity or not planned:
                self._note(self.tracker, identity)
        except Exception as error:  # noqa: BLE001 - a custom tracker's `identity` or `page`
            warn(f"{self.name}: its run cannot be continued by `accel-track sync` ({shown(error)}).")

    def _deliver(self) -> bool:
        """Deliver until the run ends; False: until it rests."""
        chunk, found = max(BATCH, self.tracker.batch_size), 0
        while True:
            closing = self._closing
            entries = self._read(chunk)
            if isinstance(entries, ShortEntries):
                self._hand_over(entries, self.tracker.batch_size)
            else:
                for together, group in groupby(entries, lambda entry: is_call(entry.record)):
                    self._hand_over(list(group), self.tracker.batch_size if together else 1)
            self._seen = max(self._seen, next_seq(entries))
            if not entries:
                self._settle(closing=closing)
            if not self._suspects.held:
                self.ledger.position = self.source.position
            if self._due() or self._wanted > self.cursor.seq or (closing and not entries):
                self._acknowledge()
            if closing and not entries:
                self._complete = True
                return True
            if self._resting and not entries and self._rests():
                return False
            found += len(entries)
            if len(entries) < chunk and not closing:
                self._pause = min(LONGEST, max(SHORTEST, self._pause * WANTED / max(found, WANTED / 2)))
                self.deadline.wait(self._pause)
                found = 0

    def _read(self, most: int) -> Sequence[Entry]:
        try:
            return self.source.read(most)
        except UnreadableError:
            return self._call(self.source.read, most)

    def _rests(self) -> bool:
        """Give back what the tracker holds; say whether the thread ends."""
        if self.tracker.users == 1:
            try:
                self.tracker.rest()
            except Exception as error:  # noqa: BLE001 - a custom tracker's
                warn(f"{self.name}: could not give back its files ({shown(error)}).")
        with self._progress:
            if not self._resting:  # woken meanwhile
                return False
            self._at_rest = True
            self._progress.notify_all()
            if not self.tracker.thread_bound:
                self._thread = None
                return True
        while self._resting and not self._closing:
            self.deadline.wait(_LONGEST_REST)
        return False

    def _hand_over(self, entries: Sequence[Entry], size: int) -> None:
        for begin in range(0, len(entries), size):
            as_they_are = self._reshape is None and not self._suspects.held
            if size >= len(entries) > 1 and isinstance(entries, ShortEntries) and as_they_are:
                self._send_short(entries)
            else:
                self._send(entries[begin : begin + size])
            if self.deadline.left <= 0:
                self._acknowledge()
                raise DeadlineReachedError
            if self._due():
                self._acknowledge()

    def _due(self) -> bool:
        return self._clock() - self._acknowledged_at >= max(ACKNOWLEDGE, 10 * self._flush_took)

    def _send(self, entries: Sequence[Entry]) -> None:
        """Hand over a batch, in halves where it fails; in the end, single ones are suspects."""
        # Repetitions are of the very same objects: trackers know by them what of a batch they have taken.
        self._send_parts([self._part(entry) for entry in entries])

    def _send_short(self, entries: ShortEntries) -> None:
        """Hand over a batch of records in short, as such; in halves as others where it fails."""
        if self._refusal(entries.records) is None:
            self.stalled = None
            self.ledger.give_all(entries)
        else:
            parts, middle = [Part(entry, entry.record) for entry in entries], len(entries) // 2
            self._send_parts(parts[:middle], parts[middle:])

    def _send_parts(self, *parts: list[Part]) -> None:
        groups = [*reversed(parts)]
        while groups:
            if not (group := groups.pop()):
                continue
            if len(group) > 1 and self._suspects.held:  # one by one: it may be the backend that fails
                groups += [group[1:], group[:1]]
                continue
            ready = [part.whole for part in group if part.whole is not None]
            error = self._refusal(ready) if ready else None
            if error is None and (ready or not self._suspects.held):
                self._taken(group)
            elif len(group) > 1:
                middle = len(group) // 2
                groups += [group[middle:], group[:middle]]
            else:
                self._suspects.add(group[0], error)
                if self._suspects.many:
                    groups.append(self._wait_for_suspects())

    def _refusal(self, records: Sequence[AnyRecord]) -> Exception | None:
        """Hand records over; return the error with which that fails, where it is not waited for."""
        try:
            self._call(hand_over, self.tracker, records, self._folder)
        except (DeadlineReachedError, _ForkedError):
            raise
        except HalfStoredError:
            self._acknowledge()  # what was taken before
            raise
        except Exception as error:  # noqa: BLE001 - any error that does not pass
            self.trouble = error
            self.last_error = shown(error)
            return error
        self._takes, self.trouble = True, None
        return None

    def _taken(self, group: Sequence[Part]) -> None:
        """Note that a batch is delivered, and that suspects before it are guilty."""
        for part, error in self._suspects.release():
            if error is None:
                self.ledger.give([part])
            else:
                self._set_aside(part.entry, error)
        self.stalled = None
        if group:
            self.ledger.give(group)

    def _wait_for_suspects(self) -> list[Part]:
        """Wait, then try the first suspect again; where it is taken now, return the others, to be sent again."""
        self._stall(self._suspects.errors[0])
        self.deadline.wait(self._suspects.pause)
        if self.deadline.left <= 0:
            raise DeadlineReachedError from self._suspects.errors[0]
        return self._try_suspects()

    def _try_suspects(self) -> list[Part]:
        first = self._suspects.held[0].part
        self._tried_at = self._clock()
        if first.whole is not None and (error := self._refusal([first.whole])) is not None:
            self._suspects.failed_again(error)
            return []
        others = [one.part for one in self._suspects.release()[1:]]
        self._taken([first])
        return others

    def _settle(self, *, closing: bool) -> None:
        """Try suspects again behind which there is nothing, now and then; at the end, until it is clear what they are.

        Raises:
            DeadlineReachedError: It is not, by then.
        """
        while closing and self._suspects.held:
            if self._suspects.guilty(taken=self._takes):
                self._taken([])
            else:
                self._send_parts(self._wait_for_suspects())
        if self._suspects.held and self._clock() - self._tried_at >= self._suspects.pause:
            self._stall(self._suspects.errors[0])
            self._send_parts(self._try_suspects())

    def _part(self, entry: Entry) -> Part:
        """Return a record, and what of it can be delivered."""
        record: AnyRecord | None = entry.record
        if not is_for(entry.record, self.name, self.tracker.name):
            return Part(entry, None, foreign=True)
        if self._reshape is not None:
            if type(record) is Rewind:
                self._call(self._take_up_rules, entry.record.seq)
            record = self._reshape(entry.record)
        if record is None:
            return Part(entry, None, foreign=True)
        if isinstance(record, Checkpoint) and record.path and kept_file(self._folder, record.path) is None:
            return Part(entry, None)  # its copy was deleted when the trackers of that time had it
        if isinstance(record, Artifact) and deliverable(self._folder, record) is None:
            self._warn_of_artifact(record)
            return Part(entry, None)
        if type(record) is Metrics and not PLAIN.issuperset(map(type, record.values.values())):
            stored, record = record, self._call(self._media.whole, record)
            if record is not stored:
                self._warn_of_lost_media(stored, record)
        whole = replayable(record)
        return Part(entry, whole, () if whole is record else names_without_form(record))

    def _warn_of_lost_media(self, stored: Metrics, record: AnyRecord) -> None:
        others = {name for name, _ in stand_ins(stored.values)} | self._told
        for name, what in stand_ins(record.values):
            if name not in others:
                self._told.add(name)
                others.add(name)
                warn(f"{self.name}: dropped {name!r}: {what}. Further ones of this name are counted silently.")

    def _warn_of_artifact(self, record: Artifact) -> None:
        what = record.name or os.path.basename(record.path)
        warn(
            f"{self.name}: the artifact {what!r} is gone or has changed since it was logged, and is left out; give "
            "`copy=True` for files that do not stay as they are."
        )

    @cached_property
    def _repeat(self) -> Callable[..., Any]:
        return retrying(transient=self._is_waited_for, deadline=self.deadline, before_retry=self._stall)

    def _call(self, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
        try:
            result: ResultT = self._repeat(self._in_this_process, function, *arguments)
        finally:
            self.stalled = next(iter(self._suspects.errors), None)
        if self._waiting and self.stalled is None:  # the error has passed
            self._waiting, self.last_error = False, None if self.failure is None else shown(self.failure)
        return result

    def _is_waited_for(self, error: BaseException) -> bool:
        if not isinstance(error, Exception) or isinstance(error, HalfStoredError):
            return False
        # A tracker that another run is still starting will be there.
        waits = isinstance(error, UnreadableError) or (self._joined and isinstance(error, NotStartedError))
        if waits or self.tracker.is_transient(error):
            return True
        if not self.running and not self.waits_to_start:  # the caller of `start` is told
            return False
        return is_ours(error) or self.tracker.concerns_run(error)

    def _in_this_process(self, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
        try:
            return function(*arguments)
        finally:
            if os.getpid() != self._pid:
                raise _ForkedError

    def _stall(self, error: BaseException) -> None:
        if not (isinstance(error, UnreadableError) or self.tracker.is_transient(error)):
            self.trouble = error
        self.last_error = shown(error)
        if not self._waiting and self._said != self.last_error:
            self._said = self.last_error
            warn(f"{self.name}: {self.last_error}; {self._advice(error)}it is tried again, {KEPT}")
        self.stalled, self._waiting = error, True
        self.ledger.counts.retried += 1
        self._tell()

    def _advice(self, error: BaseException) -> str:
        if is_ours(error):
            return "a fault of accel_track, or an SDK that it does not know; try another version of either; "
        if self.tracker.concerns_run(error):
            return "check credentials, address, and whether the run is still there; "
        return "it is the same for record after record; " if len(self._suspects.held) > 1 else ""

    def _set_aside(self, entry: Entry, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
            self.last_error = shown(error)
            warn(
                f"{self.name}: refused a record ({self.last_error}); it and further ones are quarantined in "
                f"{self.ledger.quarantine}, and delivery goes on."
            )
        self.ledger.refuse(entry, error)

    def _acknowledge(self) -> None:
        """Flush the tracker, then advance the cursor: what it says was delivered is where the backend keeps it."""
        begun = self._clock()
        if self.ledger.given != self.cursor.seq:
            try:
                self._call(self.tracker.flush)
            except (DeadlineReachedError, _ForkedError, HalfStoredError):
                raise
            except Exception as error:  # noqa: BLE001 - a later flush may succeed; until then the cursor stays
                self._flush_failed = True
                if self.failure is None:
                    self.failure = error
                    self.last_error = shown(error)
                    warn(f"{self.name}: could not flush ({self.last_error}); {KEPT}")
            else:
                self.ledger.acknowledge(self.source.damaged())
        self._acknowledged_at = self._clock()
        self._flush_took = self._acknowledged_at - begun
        self._tell()

    def _end(self) -> None:
        finished = False
        try:
            if self.finish_after is not None:
                self.finish_after.over.wait(max(0.0, self.deadline.left))
            self.tracker.users -= 1
            if self.running and (self._complete or self.deadline.left > 0):
                if self.tracker.users == 0:
                    self.tracker.outcome = self.outcome
                    self._call(self.tracker.finish)
                finished = True
        except _ForkedError:
            return
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to; an SDK may call sys.exit
            self.failure, self.unfinished = self.failure or error, True
            self.last_error = shown(error.__cause__ if isinstance(error, DeadlineReachedError) else error)
            warn(f"{self.name}: could not be finished ({self.last_error}); {KEPT}")
        finally:
            if finished:
                self.ledger.conclude(self.outcome.status)
            elif self.running:
                self.ledger.give_up()
            self.running = False
            self.over.set()
            self._tell()


KEPT = "its records are kept in the journal."


def finish_in_order(workers: Sequence[Worker]) -> None:
    """Finish trackers that capture the terminal in reverse order; for workers that are not closing yet."""
    later = None
    for worker in reversed(workers):
        if worker.tracker.wraps_terminal:
            worker.finish_after, later = later, worker
