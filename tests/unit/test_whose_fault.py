"""Whose fault an error is: the record's (quarantined), the connection's or the run's (waited for), or ours (never refused)."""

import json
import random
import struct
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from accel_track.delivery.report import status_of_worker
from accel_track.delivery.settings import Settings
from accel_track.delivery.sources import LiveSource, StoredSource
from accel_track.delivery.suspects import FEW
from accel_track.delivery.worker import Worker
from accel_track.errors import AccelTrackWarning, DeliveryError, HalfStoredError
from accel_track.journal import cursor as cursors
from accel_track.journal.writer import JournalWriter
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import FaultyTracker, RecordingTracker
from accel_track.trackers.errors import concerns_record, concerns_run, is_ours, is_transient
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from tests.support.waiting import until

FOLDER = Path("run/rank-00000")
CURSOR, QUARANTINE = FOLDER / "cursors/t.json", FOLDER / "quarantine/t.jsonl"
LONG = 30


class AnsweredError(Exception):
    """An error as SDKs raise it that ask a server."""

    def __init__(self, status):
        super().__init__(f"answered {status}")
        self.response = SimpleNamespace(status_code=status)


class Backend(RecordingTracker):
    """Stores steps, 1000 at once, all or none; `fault(steps)` returns the error of a request, or None."""

    batch_size = 1000

    def __init__(self, fault=lambda _: None, durable_flush=True):
        super().__init__()
        self.fault, self.durable_flush = fault, durable_flush
        self.requests, self.stored = 0, []

    def log_batch(self, records):
        self.requests += 1
        steps = [record.step for record in records]
        if (error := self.fault(steps)) is not None:
            raise error
        self.stored += steps


def once_more(seconds, error):
    """A fault that passes after a time."""
    end = time.monotonic() + seconds
    return lambda _: error if time.monotonic() < end else None


def write(count):
    journal = JournalWriter(FOLDER)
    for _ in range(count):
        journal.metrics({"loss": 0.5}, journal.next_seq, {})
    journal.close()


def worker_of(tracker, source=None):
    return Worker(tracker, source or StoredSource(FOLDER, cursors.load(CURSOR)), CURSOR, QUARANTINE)


def deliver(tracker, timeout=LONG, source=None):
    worker = worker_of(tracker, source)
    worker.start(LONG)
    worker.close(timeout)
    assert worker.over.wait(LONG)
    return worker


def quarantined():
    return [json.loads(line)["seq"] for line in QUARANTINE.read_text().splitlines()] if QUARANTINE.exists() else []


@pytest.mark.parametrize("status", [401, 403, 404, 407])
def test_what_the_whole_run_is_refused_for_is_waited_for(status):
    write(600)
    with pytest.warns(AccelTrackWarning, match=f"answered {status}; check credentials, address, and whether") as warned:
        worker = deliver(tracker := Backend(once_more(0.7, AnsweredError(status))))
    assert tracker.stored == list(range(600))
    assert tracker.requests < 12
    assert quarantined() == []
    assert len(warned) == 1
    assert (worker.failure, worker.trouble, worker.cursor.delivered) == (None, None, 600)


@pytest.mark.parametrize("error", [ValueError("no such experiment"), RuntimeError("closed"), AnsweredError(400)])
def test_what_is_the_same_for_record_after_record_is_waited_for(error):
    write(600)
    with pytest.warns(AccelTrackWarning, match="it is the same for record after record") as warned:
        deliver(tracker := Backend(once_more(0.9, error)))
    assert tracker.stored == list(range(600))
    assert tracker.requests < 40
    assert quarantined() == []
    assert len(warned) == 1


def test_what_does_not_pass_is_pending_at_the_end_and_comes_later():
    write(600)
    with pytest.warns(AccelTrackWarning):
        worker = deliver(tracker := Backend(lambda _: AnsweredError(400)), timeout=0.8)
    assert tracker.requests < 40
    assert (worker.cursor.seq, quarantined(), worker.last_error) == (0, [], "AnsweredError: answered 400")
    deliver(again := Backend())
    assert again.stored == list(range(600))


@pytest.mark.parametrize("bad", [{0}, {5}, {19}, {3, 4}, set(range(FEW + 2)), {0, 7, 8, 19}])
@pytest.mark.parametrize("error", [ValueError("bad value"), RuntimeError("bad value")])
def test_records_that_fail_while_their_neighbours_pass_are_set_aside(bad, error):
    write(20)
    with pytest.warns(AccelTrackWarning) as warned:
        worker = deliver(tracker := Backend(lambda steps: error if bad.intersection(steps) else None))
    assert tracker.stored == [step for step in range(20) if step not in bad]
    assert any("refused a record" in str(one.message) for one in warned)
    assert quarantined() == sorted(bad)
    assert (worker.cursor.delivered, worker.cursor.quarantined, worker.cursor.seq) == (20 - len(bad), len(bad), 20)


def test_the_only_record_is_refused_for_what_it_holds_alone():
    for error, refused in ((ValueError("bad"), 1), (AnsweredError(422), 1), (RuntimeError("down?"), 0)):
        write(1)
        with pytest.warns(AccelTrackWarning):
            worker = deliver(Backend(lambda _, error=error: error), timeout=0.2)
        told = status_of_worker(worker, worker.cursor.seq + 1 - refused)
        assert (told.delivered, told.pending, told.not_replayable) == (0, 1 - refused, 0)
        assert told.quarantined == worker.cursor.quarantined
        assert len(quarantined()) == worker.cursor.quarantined


def test_a_record_that_fails_alone_waits_for_a_neighbour_in_a_run_that_goes_on():
    journal = JournalWriter(FOLDER)
    tracker = Backend(lambda steps: RuntimeError("odd") if 1 in steps else None)
    worker = worker_of(tracker, LiveSource(journal, cursors.Cursor()))
    worker.start(LONG)
    for _ in range(2):
        journal.metrics({"loss": 0.5}, journal.next_seq, {})
    assert not worker.drain(2, 5)
    assert (worker.cursor.quarantined, isinstance(worker.trouble, RuntimeError)) == (0, True)
    with pytest.warns(AccelTrackWarning, match="refused a record"):
        journal.metrics({"loss": 0.5}, journal.next_seq, {})
        assert worker.drain(3, 5)
    assert (worker.cursor.quarantined, worker.cursor.delivered, tracker.stored) == (1, 2, [0, 2])
    worker.close(LONG)
    assert worker.over.wait(LONG)
    journal.close()


def test_a_record_alone_is_tried_again_now_and_then():
    journal = JournalWriter(FOLDER)
    tracker = Backend(once_more(0.3, RuntimeError("odd")))
    worker = worker_of(tracker, LiveSource(journal, cursors.Cursor()))
    worker.start(LONG)
    with pytest.warns(AccelTrackWarning, match="odd; it is tried again"):
        journal.metrics({"loss": 0.5}, 0, {})
        until(lambda: worker.drain(1, 0.2))
    assert (tracker.stored, worker.cursor.quarantined) == ([0], 0)
    worker.close(LONG)
    assert worker.over.wait(LONG)
    journal.close()


def test_what_may_be_stored_in_part_ends_the_delivery_with_the_cursor_in_place():
    write(1500)
    half = HalfStoredError("half")
    with pytest.warns(AccelTrackWarning, match="delivery has stopped"):
        worker = deliver(tracker := Backend(lambda steps: half if 1200 in steps else None))
    assert (worker.failure, quarantined()) == (half, [])
    assert (tracker.stored, tracker.requests) == (list(range(1000)), 2)
    assert (cursors.load(CURSOR).seq, cursors.load(CURSOR).delivered) == (1000, 1000)
    deliver(again := Backend())
    assert again.stored == list(range(1000, 1500))


def test_what_a_flush_finds_lost_is_never_acknowledged():
    """An SDK's thread tells of a loss once; a later flush that succeeds brings nothing back."""
    write(40)

    class Loses(Backend):
        told = 0

        def flush(self):
            self.told += 1
            if self.told == 1:
                raise HalfStoredError("its thread has lost something")

    with pytest.warns(AccelTrackWarning, match="delivery has stopped .*lost something"):
        worker = deliver(Loses())
    assert isinstance(worker.failure, HalfStoredError)
    assert (cursors.load(CURSOR).seq, cursors.load(CURSOR).delivered, quarantined()) == (0, 0, [])


def test_a_fault_of_our_own_puts_nothing_into_quarantine(tmp_path):
    write(40)
    tracker = TensorBoardTracker("run", tmp_path)
    worker = worker_of(tracker)
    worker.start(LONG)
    assert tracker.native is not None
    native, tracker.native = tracker.native, SimpleNamespace()  # type: ignore[assignment] - a part was renamed
    with pytest.warns(AccelTrackWarning, match="a fault of accel_track, or an SDK that it does not know"):
        worker.close(LONG)
        until(lambda: worker.stalled is not None)
        tracker.native = native
        assert worker.over.wait(LONG)
    assert (worker.cursor.delivered, quarantined()) == (40, [])


def test_the_start_raises_refusals_and_waits_for_them_where_nobody_is_told():
    error = AnsweredError(401)
    settings = Settings.of(finish_timeout=1, start_timeout=0.1)
    with pytest.raises(AnsweredError):
        Run(select(FaultyTracker("start", error=error)), project="p", settings=settings)

    plan = [ConnectionError("down"), error, None]

    class Late(RecordingTracker):
        name = "late"

        def start(self):
            if (problem := plan.pop(0)) is not None:
                raise problem

    with pytest.warns(AccelTrackWarning):
        run = Run(select(tracker := Late()), project="p", settings=Settings.of())
        run.log({"loss": 0.5}, 0)
        run.finish()
    assert [call[1] for call in tracker.calls if call[0] == "log"] == [{"loss": 0.5}]


def test_who_wants_to_be_told_is_told_of_what_is_waited_for():
    run = Run(
        select(Backend(lambda _: AnsweredError(403))),
        project="p",
        settings=Settings.of(on_error="raise", finish_timeout=0.1),
    )
    with pytest.warns(AccelTrackWarning, match="answered 403"):
        run.log({"loss": 0.5}, 0)
        run.flush()
    with pytest.raises(DeliveryError, match="answered 403"):
        run.log({"loss": 0.5}, 1)
    run.finish()


class InvalidURL(Exception):  # noqa: N818 - as requests has it
    pass


class AuthenticationError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionError("refused"), "passes"),
        (AnsweredError(503), "passes"),
        (AnsweredError(429), "passes"),
        *((AnsweredError(status), "run") for status in (401, 402, 403, 404, 405, 407, 410)),
        *((AnsweredError(status), "record") for status in (400, 409, 413, 422)),
        (InvalidURL("x"), "run"),
        (AuthenticationError("key"), "run"),
        *((error, "record") for error in (ValueError("x"), TypeError("x"), KeyError("x"), OverflowError("x"))),
        (struct.error("required argument is not a float"), "record"),
        *((error, "") for error in (RuntimeError("x"), AnsweredError(418), OSError("x"), AttributeError("x"))),
    ],
)
def test_errors_by_their_kind(error, expected):
    found = {"passes": is_transient(error), "run": concerns_run(error), "record": concerns_record(error)}
    assert [name for name, is_so in found.items() if is_so] == ([expected] if expected else [])
    assert not is_ours(error)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("durable", [True, False])
def test_every_record_is_in_one_number_and_stored_where_it_is_said_to_be(seed, durable):
    chance = random.Random(seed)
    count = chance.randrange(1, 60)
    bad = set(chance.sample(range(count), chance.randrange(min(count, 4))))
    plan = [
        chance.choice([None, None, ConnectionError("down"), AnsweredError(401), RuntimeError("odd")]) for _ in range(9)
    ]
    stored: list[int] = []

    def fault(steps):
        if plan and (error := plan.pop()) is not None:
            return error
        return ValueError("bad") if bad.intersection(steps) else None

    write(count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        for timeout in (chance.choice([0.05, 0.3]), LONG):
            worker = deliver(tracker := Backend(fault, durable_flush=durable), timeout)
            stored += tracker.stored if durable or worker.cursor.seq == count else []
            for cursor in (worker.cursor, cursors.load(CURSOR)):
                seen = SimpleNamespace(name="t", durable=cursor, last_error=None, unfinished=False, over=worker.over)
                told = status_of_worker(seen, count)
                assert told.delivered + told.pending + told.quarantined + told.not_replayable == count
                assert told.delivered <= len(set(stored))
    assert sorted({*stored}) == sorted(set(range(count)) - set(quarantined()))
    assert set(quarantined()) <= bad
