"""Whatever happens to writer, worker and backend: at least once, in order, never acknowledged before it is flushed."""

import shutil
import tempfile
import threading
import warnings
from itertools import takewhile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from accel_track.delivery.sources import LiveSource
from accel_track.delivery.worker import Worker
from accel_track.errors import AccelTrackWarning
from accel_track.journal import cursor as cursors
from accel_track.journal.reader import JournalReader, segments
from accel_track.journal.writer import JournalWriter
from accel_track.testing.doubles import RecordingTracker

LONG = 30.0


class Backend:
    """What outlives workers: what it has stored for good, what it refuses, and the errors that it answers next."""

    def __init__(self):
        self.durable = []
        self.refuses = set()
        self.errors = []


class BackendTracker(RecordingTracker):
    """Loses what is not flushed when its worker is abandoned."""

    batch_size = 3

    def __init__(self, backend):
        super().__init__()
        self.backend = backend
        self.buffer = []
        self.sessions = []

    def _fail(self):
        if self.backend.errors:
            raise self.backend.errors.pop(0)

    def log_batch(self, records):
        self._fail()
        marks = [record.values["mark"] for record in records]
        if self.backend.refuses.intersection(marks):
            raise ValueError("refused")
        self.buffer += marks
        self.sessions += marks

    def flush(self):
        self._fail()
        self.backend.durable += self.buffer
        self.buffer = []


class Delivery(RuleBasedStateMachine):
    """Appends, crashes, deliveries and failures in any order."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder, self.path = self.root / "rank-00000", self.root / "t.json"
        self.backend = Backend()
        self.marks = 0
        self.on_disk = {}  # marks, to the numbers of their records: those that no crash has torn off
        self.writer = self.worker = self.tracker = None

    @initialize()
    def begin(self):
        self.writer = JournalWriter(self.folder, segment_size=250)

    @rule(count=st.integers(1, 6))
    def append(self, count):
        for _ in range(count):
            self.on_disk[self.marks] = self.writer.metrics({"mark": self.marks}, None, {})
            self.marks += 1

    @rule()
    def rotate(self):
        self.writer._begin_segment(self.writer.next_seq)

    @precondition(lambda self: self.worker is None)
    @rule(tear=st.integers(0, 60))
    def crash(self, tear):
        """Abandon the writer; a power cut tears off the end of its last segment."""
        self.writer.close()
        _, path = segments(self.folder)[-1]
        data = path.read_bytes()
        acknowledged = cursors.load(self.path).position
        last = int(path.name[:8])
        least = 32 if last > acknowledged.segment else max(32, acknowledged.offset)
        if tear and len(data) - tear >= least:
            path.write_bytes(data[:-tear])
            left = [record.values["mark"] for record in JournalReader(self.folder)]
            assert left == list(self.on_disk)[: len(left)]
            self.on_disk = {mark: self.on_disk[mark] for mark in left}
        self.writer = JournalWriter(self.folder, segment_size=250)

    @precondition(lambda self: self.worker is None)
    @rule()
    def resume(self):
        self.tracker = BackendTracker(self.backend)
        source = LiveSource(self.writer, cursors.load(self.path))
        self.worker = Worker(self.tracker, source, self.path, self.root / "quarantine" / "t.jsonl")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AccelTrackWarning)
            self.worker.start(LONG)

    @precondition(lambda self: self.worker is not None)
    @rule()
    def deliver(self):
        never = threading.Event()
        decided = self.writer.next_seq - len(self._undecided())
        for _ in range(200):  # each drain wakes a worker that waits for its backend
            if self.worker.drain(self.writer.next_seq, LONG) or self.worker.cursor.seq >= decided:
                break
            never.wait(0.005)
        assert self.worker.cursor.seq >= decided
        assert set(self.on_disk) - self.backend.refuses <= set(self.backend.durable)

    def _undecided(self):
        """Return the refused marks at the end, behind which nothing shows that they are at fault."""
        return list(takewhile(self.backend.refuses.__contains__, reversed(self.on_disk)))

    @rule(errors=st.lists(st.sampled_from([ConnectionError, TimeoutError]), max_size=2))
    def fail_for_a_while(self, errors):
        self.backend.errors += [error("down") for error in errors]

    @rule(ahead=st.integers(0, 5))
    def refuse(self, ahead):
        self.backend.refuses.add(self.marks + ahead)

    @precondition(lambda self: self.worker is not None)
    @rule(timeout=st.sampled_from([0.0, 0.02]))
    def stop(self, timeout):
        self.worker.close(timeout)
        assert self.worker.over.wait(LONG)
        self._check_session()
        self.worker = None

    def _check_session(self):
        assert self.tracker.sessions == sorted(set(self.tracker.sessions))  # in order, and once in each pass

    @invariant()
    def nothing_is_acknowledged_before_it_is_flushed(self):
        if self.writer is None:
            return
        seq = cursors.load(self.path).seq
        durable = set(self.backend.durable)  # after the cursor: it only grows
        acknowledged = {mark for mark, number in self.on_disk.items() if number < seq}
        assert acknowledged <= durable | self.backend.refuses

    def teardown(self):
        if self.writer is not None:
            self.backend.errors.clear()
            if self.worker is None:
                self.resume()
            self.deliver()
            alone = len(self._undecided()) < 2  # more may be the backend's fault, and would be waited for
            self.stop(LONG if alone else 0.0)
            if alone:
                assert cursors.load(self.path).seq == self.writer.next_seq
            self.writer.close()
        shutil.rmtree(self.root)


TestDelivery = Delivery.TestCase
