"""One thread that delivers a journal to one tracker."""

import json
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from accel_track.delivery import worker as worker_module
from accel_track.delivery.sources import LiveSource
from accel_track.delivery.worker import Worker
from accel_track.errors import AccelTrackWarning, JournalError
from accel_track.journal import cursor as cursors
from accel_track.journal.keysets import MARKER
from accel_track.journal.reader import JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.records import Metrics
from accel_track.testing.doubles import FaultyTracker, RecordingTracker
from accel_track.trackers.taken import Taken
from accel_track.values.capture import captured
from tests.support.waiting import until

FOLDER, CURSOR, QUARANTINE = Path("rank-00000"), Path("cursors/t.json"), Path("quarantine/t.jsonl")
LONG = 30.0


class FileSource:
    """A journal on disk, as `accel-track sync` reads it."""

    def __init__(self, cursor):
        self._reader = JournalReader(FOLDER, cursor.position)

    @property
    def position(self):
        return self._reader.position

    def read(self, limit):
        return self._reader.read(limit)

    def damaged(self):
        return sum(damage.length for damage in self._reader.damages)


class BatchTracker(RecordingTracker):
    """Takes several records at once, all or none; refuses those in `poison`; fails as `plan` says, call by call."""

    batch_size = 8

    def __init__(self, poison=(), plan=()):
        super().__init__()
        self.poison, self.plan = set(poison), list(plan)
        self.batches, self.stored, self.durable = [], [], []

    def log_batch(self, records):
        self.batches.append([record.step for record in records])
        if self.plan and (error := self.plan.pop(0)) is not None:
            raise error
        if self.poison.intersection(self.batches[-1]):
            raise ValueError(f"refused one of {self.batches[-1]}")
        self.stored += self.batches[-1]

    def flush(self):
        self.durable = list(self.stored)
        super().flush()


class Steady:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def workers():
    """Make workers; close them at the end."""
    made = []

    def make(tracker, source=None, **kwargs):
        worker = Worker(tracker, source or FileSource(cursors.load(CURSOR)), CURSOR, QUARANTINE, **kwargs)
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close(0.0)
        assert worker.over.wait(LONG) or not worker._thread.is_alive()


def write(count, values=lambda step: {"loss": step / 2}):
    journal = JournalWriter(FOLDER)
    for _ in range(count):
        step = journal.next_seq
        journal.metrics(values(step), step, {})
    journal.close()
    return journal


def deliver(worker, timeout=LONG):
    worker.start(LONG)
    worker.close(timeout)
    assert worker.over.wait(LONG)
    return worker


def steps(tracker):
    return [call[2] for call in tracker.calls if call[0] == "log"]


def test_records_reach_the_tracker_in_their_order_between_start_and_finish(workers):
    journal = JournalWriter(FOLDER)
    journal.config({"lr": 0.1})
    journal.metrics({"loss": 1.0}, 0, {"recording": {"commit": False}, "other": {"x": 1}})
    journal.config({"more": 1})
    journal.metrics({"loss": 0.5}, None, {})
    journal.close()
    worker = deliver(workers(tracker := RecordingTracker()))
    assert tracker.calls == [
        ("start",),
        ("config", {"lr": 0.1}),
        ("log", {"loss": 1.0}, 0, {"commit": False}),
        ("config", {"more": 1}),
        ("log", {"loss": 0.5}, None, {}),
        ("flush",),
        ("finish",),
    ]
    assert (worker.cursor.seq, worker.cursor.delivered, worker.failure, worker.last_error) == (4, 4, None, None)
    assert cursors.load(CURSOR) == worker.cursor
    assert worker.cursor.position == worker.source.position


def test_every_call_is_made_in_the_workers_own_thread(workers):
    write(2)
    seen = set()

    class Tracker(RecordingTracker):
        def __getattribute__(self, name):
            if name in {"start", "log", "flush", "finish"}:
                seen.add((name, threading.current_thread().name))
            return super().__getattribute__(name)

    deliver(workers(Tracker()))
    assert seen == {(name, "accel_track-recording") for name in ("start", "log", "flush", "finish")}


def test_batches_are_full_and_end_where_a_configuration_comes(workers):
    write(20)
    journal = JournalWriter(FOLDER)
    journal.config({"lr": 0.1})
    journal.metrics({"loss": 0.0}, 21, {})
    journal.close()
    worker = deliver(workers(tracker := BatchTracker()))
    assert tracker.batches == [list(range(8)), list(range(8, 16)), [16, 17, 18, 19], [21]]
    assert worker.cursor.delivered == 22


@pytest.mark.parametrize("poison", [[0], [5], [7], [3, 4], [0, 7, 8]])
def test_a_refused_batch_is_halved_down_to_the_guilty_records(workers, poison):
    write(10)
    with pytest.warns(AccelTrackWarning, match="refused a record") as warned:
        worker = deliver(workers(tracker := BatchTracker(poison=poison)))
    assert tracker.stored == [step for step in range(10) if step not in poison]
    assert (worker.cursor.delivered, worker.cursor.quarantined) == (10 - len(poison), len(poison))
    lines = [json.loads(line) for line in QUARANTINE.read_text().splitlines()]
    assert [(line["seq"], line["step"], line["values"]) for line in lines] == [
        (step, step, {"loss": step / 2}) for step in sorted(poison)
    ]
    assert all(line["error"].startswith("ValueError: refused one of [") for line in lines)
    assert (QUARANTINE.stat().st_mode & 0o777, QUARANTINE.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert len(warned) == 1
    assert isinstance(worker.failure, ValueError)
    assert worker.cursor.seq == 10


def test_what_a_file_cannot_hold_does_not_stop_the_delivery(workers):
    journal = JournalWriter(FOLDER)
    worker = workers(tracker := BatchTracker(poison=range(6)), LiveSource(journal, cursors.Cursor()))
    cycle = {}
    cycle["again"] = cycle
    for step, value in enumerate([float("nan"), 2**70, 10**5000, "\ud800", cycle, object(), 1.0]):
        call = captured({"value": value, "again": {2**70: 1}})
        journal.metrics(call.values, step, {}, unread=call.unread)
    with pytest.warns(AccelTrackWarning):
        deliver(worker)
    journal.close()
    assert (worker.cursor.quarantined, worker.cursor.delivered, tracker.stored) == (6, 1, [6])
    lines = [json.loads(line) for line in QUARANTINE.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [0, 1, 2, 3, 4, 5]
    assert lines[1]["values"]["value"] == 2**70


def test_a_transient_error_is_waited_out_and_nothing_is_delivered_twice(workers):
    write(20)
    plan = [ConnectionError("down"), TimeoutError("slow"), None, ConnectionError("down")]
    with pytest.warns(AccelTrackWarning, match="tried again"):
        worker = deliver(workers(tracker := BatchTracker(plan=plan)))
    assert tracker.stored == list(range(20))
    assert tracker.batches[:3] == [list(range(8))] * 3
    assert (worker.cursor.delivered, worker.cursor.retried, worker.cursor.quarantined) == (20, 3, 0)
    assert worker.failure is None
    assert worker.stalled is None


def test_a_transient_error_in_start_and_flush_is_waited_out(workers):
    write(3)

    class Tracker(RecordingTracker):
        tried = 0

        def _fail_at_first(self):
            self.tried += 1
            if self.tried in {1, 3}:
                raise ConnectionError("down")

        def start(self):
            self._fail_at_first()
            super().start()

        def flush(self):
            self._fail_at_first()
            super().flush()

    with pytest.warns(AccelTrackWarning, match="ConnectionError: down"):
        worker = deliver(workers(tracker := Tracker()))
    assert [call[0] for call in tracker.calls] == ["start", "log", "log", "log", "flush", "finish"]
    assert (worker.cursor.retried, worker.last_error) == (2, None)


def test_the_deadline_ends_the_wait_for_a_backend_and_its_records_stay(workers):
    write(3)
    tracker = FaultyTracker("log", error=ConnectionError("down"))
    with pytest.warns(AccelTrackWarning, match="tried again"):
        worker = deliver(workers(tracker), timeout=0.3)
    assert (worker.cursor.seq, worker.cursor.delivered) == (0, 0)
    assert not CURSOR.exists()
    assert worker.last_error == "ConnectionError: down"
    assert ("finish",) not in tracker.calls
    deliver(workers(again := RecordingTracker()))
    assert steps(again) == [0, 1, 2]


def test_a_permanent_error_in_start_ends_the_worker_and_is_there_for_the_caller(workers):
    write(3)
    worker = workers(tracker := FaultyTracker("start", error=ValueError("no such project")))
    worker.start(LONG)
    assert worker.over.wait(LONG)
    assert isinstance(worker.failure, ValueError)
    assert not worker.running
    assert tracker.calls == [("start",)]
    assert tracker.users == 0
    assert not CURSOR.exists()


def test_start_returns_as_soon_as_a_backend_has_to_be_waited_for(workers):
    with pytest.warns(AccelTrackWarning, match="tried again"):
        worker = workers(FaultyTracker("start", error=ConnectionError("down")))
        worker.start(LONG)
    assert isinstance(worker.stalled, ConnectionError) or worker.stalled is None
    assert not worker.running
    assert not worker.over.is_set()


def test_an_error_in_finish_is_told_and_what_was_logged_is_delivered(workers):
    write(2)
    with pytest.warns(AccelTrackWarning, match="could not be finished"):
        worker = deliver(workers(FaultyTracker("finish")))
    assert cursors.load(CURSOR).seq == 2
    assert isinstance(worker.failure, RuntimeError)


def test_sys_exit_in_a_tracker_is_a_failure_like_another(workers):
    write(2)

    class Tracker(RecordingTracker):
        def log(self, values, step=None, **kwargs):
            raise SystemExit(3)

    with pytest.warns(AccelTrackWarning, match="delivery has stopped"):
        worker = deliver(workers(Tracker()))
    assert isinstance(worker.failure, SystemExit)
    assert cursors.load(CURSOR).seq == 0


def test_the_cursor_stays_while_the_tracker_cannot_flush(workers):
    write(3)

    class Tracker(BatchTracker):
        broken = True

        def flush(self):
            if self.broken:
                raise ValueError("disk of the server is full")
            super().flush()

    worker = workers(tracker := Tracker())
    with pytest.warns(AccelTrackWarning, match="could not flush"):
        worker.start(LONG)
        assert not worker.drain(3, LONG)
    assert tracker.stored == [0, 1, 2]
    assert worker.cursor.seq == 0
    assert not CURSOR.exists()
    tracker.broken = False
    assert worker.drain(3, LONG)
    assert cursors.load(CURSOR).seq == 3
    assert tracker.stored == tracker.durable == [0, 1, 2]


def test_the_cursor_on_disk_is_never_ahead_of_what_is_flushed(workers, monkeypatch):
    journal = JournalWriter(FOLDER)
    worker = workers(tracker := BatchTracker(), LiveSource(journal, cursors.Cursor()))
    stored = []

    def save(path, cursor, save=cursors.save):
        stored.append((cursor.seq, len(tracker.durable)))
        save(path, cursor)

    monkeypatch.setattr(cursors, "save", save)
    worker.start(LONG)
    for step in range(200):
        journal.metrics({"loss": 0.0}, step, {})
        if step % 20 == 19:
            assert worker.drain(journal.next_seq, LONG)
    journal.close()
    assert len(stored) >= 10
    assert all(seq <= durable for seq, durable in stored)
    assert [seq for seq, _ in stored] == sorted(seq for seq, _ in stored)


def test_drain_waits_until_what_was_logged_is_flushed(workers):
    journal = JournalWriter(FOLDER)
    worker = workers(tracker := BatchTracker(), LiveSource(journal, cursors.Cursor()))
    worker.start(LONG)
    for step in range(30):
        journal.metrics({"loss": 0.0}, step, {})
    assert worker.drain(30, LONG)
    assert tracker.durable == list(range(30))
    assert cursors.load(CURSOR).seq == 30
    journal.close()


def test_drain_gives_up_at_once_while_a_backend_is_waited_for(workers):
    write(1)
    with pytest.warns(AccelTrackWarning, match="tried again"):
        worker = workers(FaultyTracker("log", error=ConnectionError("down")))
        worker.start(LONG)
        begun = time.monotonic()
        assert not worker.drain(1, LONG)
    assert time.monotonic() - begun < LONG / 2


def test_drain_in_the_workers_own_thread_does_not_wait_for_itself(workers):
    write(1)
    answers = []

    class Tracker(RecordingTracker):
        def log(self, values, step=None, **kwargs):
            answers.append(worker.drain(1, LONG))

    worker = workers(Tracker())
    deliver(worker)
    assert answers == [False]


def test_flushes_are_a_second_apart_or_ten_times_as_long_as_one_takes(workers):
    journal, clock = JournalWriter(FOLDER), Steady()

    class Tracker(BatchTracker):
        def flush(self):
            super().flush()
            clock.now += 0.5

    worker = workers(tracker := Tracker(), LiveSource(journal, cursors.Cursor()), clock=clock)
    worker.start(LONG)

    def flushed_after(seconds, step):
        journal.metrics({"loss": 0.0}, step, {})
        until(lambda: len(tracker.stored) > step)
        before = len(tracker.calls)
        clock.now += seconds
        threading.Event().wait(1.2 * worker_module.LONGEST)
        return len(tracker.calls) > before

    assert not flushed_after(0.9, 0)
    assert flushed_after(0.2, 1)
    assert not flushed_after(4.0, 2)
    assert flushed_after(1.5, 3)
    journal.close()


def test_a_tracker_that_is_started_already_is_joined(workers):
    write(2)
    tracker = RecordingTracker()
    tracker.users = 1
    worker = deliver(workers(tracker))
    assert [call[0] for call in tracker.calls] == ["log", "log", "flush"]
    assert tracker.users == 1
    assert not worker.running


def test_delivery_goes_on_where_an_earlier_worker_ended(workers):
    write(10)
    deliver(workers(BatchTracker()))
    write(5)
    worker = deliver(workers(tracker := BatchTracker()))
    assert tracker.stored == [10, 11, 12, 13, 14]
    assert (worker.cursor.delivered, worker.cursor.seq) == (15, 15)


def test_a_deadline_in_the_middle_of_a_batch_repeats_what_was_not_acknowledged(workers):
    write(16)
    plan = [None, *[ConnectionError("down")] * 1000]
    with pytest.warns(AccelTrackWarning, match="tried again"):
        deliver(workers(first := BatchTracker(plan=plan)), timeout=0.3)
    deliver(workers(second := BatchTracker()))
    assert first.stored == list(range(8))
    assert set(first.durable) | set(second.stored) == set(range(16))
    assert second.stored == list(range(second.stored[0], 16))


def test_what_cannot_be_replayed_is_counted(workers):
    write(4, lambda step: {"loss": 1.0, "picture": object()} if step % 2 else {"picture": object()})
    worker = deliver(workers(tracker := RecordingTracker()))
    assert [call[1] for call in tracker.calls if call[0] == "log"] == [{"loss": 1.0}, {"loss": 1.0}]
    assert (worker.cursor.not_replayable, worker.cursor.delivered, worker.cursor.seq) == (2, 2, 4)
    assert worker.cursor.dropped == {"picture": 2}


def test_what_cannot_be_replayed_is_delivered_in_the_process_that_logged_it(workers):
    journal = JournalWriter(FOLDER)
    worker = workers(tracker := RecordingTracker(), LiveSource(journal, cursors.Cursor()))
    pictures = [object(), object()]
    for picture in pictures:
        journal.metrics({"picture": picture}, None, {})
    deliver(worker)
    journal.close()
    assert [call[1]["picture"] for call in tracker.calls if call[0] == "log"] == pictures
    assert worker.cursor.not_replayable == 0


def test_records_out_of_order_do_not_move_the_cursor_back(workers):
    journal = JournalWriter(FOLDER)
    append = journal._append
    held = []

    def swap(record):
        held.append(record)
        if len(held) == 2:
            append(held[1])
            append(held[0])
        return record.seq

    journal._append = swap
    journal.metrics({"a": 1}, 0, {})
    journal.metrics({"a": 2}, 1, {})
    journal.close()
    worker = deliver(workers(tracker := RecordingTracker()))
    assert steps(tracker) == [1, 0]
    assert worker.cursor.seq == 2


def test_dropped_values_and_damage_are_counted_across_workers(workers):
    write(3)
    file = FOLDER / "00000000.seg"
    data = bytearray(file.read_bytes())
    data[data.index(MARKER + struct.pack("<HI", 0, 0)) + 20] ^= 1  # in the first record
    file.write_bytes(data)

    class Tracker(RecordingTracker):
        def log(self, values, step=None, **kwargs):
            self.drop("loss", values["loss"])

    for dropped, damaged in ((2, True), (3, True)):
        with pytest.warns(AccelTrackWarning, match="dropped 'loss'"):
            worker = deliver(workers(Tracker()))
        assert cursors.load(CURSOR).dropped == {"loss": dropped}
        assert bool(worker.cursor.damaged) is damaged
        write(1)
    assert worker.cursor.damaged < 100


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"seq": "1"}', b'{"offset": -1}', b"\xff"])
def test_a_damaged_cursor_is_told_before_anything_is_delivered(content):
    CURSOR.parent.mkdir()
    CURSOR.write_bytes(content)
    with pytest.raises(JournalError, match=r"t\.json is not a cursor"):
        Worker(RecordingTracker(), FileSource(cursors.Cursor()), CURSOR, QUARANTINE)


def test_a_cursor_that_cannot_be_written_does_not_stop_the_delivery(workers):
    write(3)
    worker = workers(tracker := RecordingTracker())
    CURSOR.parent.write_text("in the way")
    deliver(worker)
    assert steps(tracker) == [0, 1, 2]
    assert worker.cursor.seq == 3


@pytest.mark.filterwarnings("error")
def test_warnings_as_errors_do_not_break_a_worker(workers, caplog):
    write(3)
    worker = deliver(workers(tracker := BatchTracker(poison=[1], plan=[ConnectionError("down")])))
    assert tracker.stored == [0, 2]
    assert worker.cursor.seq == 3
    assert "tried again" in caplog.text
    assert "refused a record" in caplog.text


def test_a_journal_of_a_later_version_stops_one_worker_with_a_warning(workers):
    write(2)
    file = FOLDER / "00000000.seg"
    data = bytearray(file.read_bytes())
    data[8] = 9
    file.write_bytes(data)
    with pytest.warns(AccelTrackWarning, match="delivery has stopped"):
        worker = deliver(workers(RecordingTracker()))
    assert isinstance(worker.failure, JournalError)


def test_the_calls_of_records_that_were_set_aside_are_forgotten() -> None:
    taken, made = Taken(), []
    for seq in range(1500):
        record = Metrics(seq, 0.0, {"loss": 0.5}, None)
        for _ in range(2):
            with suppress(ValueError), taken.within(record):
                taken.part("first", lambda seq=seq: made.append(seq))
                raise ValueError
    assert made == list(range(1500))
    assert len(taken._parts) == 1000
