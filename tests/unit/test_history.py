"""Rewinds: which records still count, for those who read the journal and for the trackers."""

from pathlib import Path

import pytest

from accel_track.delivery.sources import LiveSource, StoredSource
from accel_track.delivery.worker import Worker
from accel_track.journal.cursor import Cursor, load
from accel_track.journal.reader import History, JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.testing import RecordingTracker

FOLDER = Path("rank-00000")


def write(*steps, rewind=None, **kwargs):
    journal = JournalWriter(FOLDER, **kwargs)
    if rewind is not None:
        journal.rewind(rewind)
    for step in steps:
        journal.metrics({"loss": 1.0}, step, {})
    journal.close()


def surviving():
    history = History(FOLDER)
    return [record.step for record in filter(history.counts, JournalReader(FOLDER)) if hasattr(record, "kwargs")]


def test_without_a_rewind_everything_counts():
    write(0, 1, None, 1)
    assert surviving() == [0, 1, None, 1]
    assert History(Path("nowhere")).rewinds == []


def test_what_was_logged_from_the_step_on_before_a_rewind_does_not_count():
    write(0, 1, None, 2, 3)
    write(2, 3, 4, rewind=2)
    assert surviving() == [0, 1, None, 2, 3, 4]
    write(1, 5, rewind=1)
    assert surviving() == [0, None, 1, 5]


@pytest.mark.parametrize("size", [100, 100_000])
def test_rewinds_are_found_in_every_segment_and_named_values_are_no_rewinds(size):
    journal = JournalWriter(FOLDER, segment_size=size)
    for step in range(20):
        journal.metrics({"rewind": "rewind"}, step, {})
        if step % 6 == 5:
            journal.rewind(step - 2)
    journal.close()
    assert [one.step for one in History(FOLDER).rewinds] == [3, 9, 15]
    assert surviving() == [0, 1, 2, 6, 7, 8, 12, 13, 14, 18, 19]


def test_sources_leave_out_what_does_not_count_also_where_it_is_a_whole_read():
    write(*range(50))
    write(*range(10, 15), rewind=10)
    stored = StoredSource(FOLDER, Cursor())
    live = LiveSource(JournalWriter(FOLDER), Cursor())
    for source in (stored, live):
        steps = []
        while entries := source.read(7):
            steps += [entry.record.step for entry in entries]
        assert steps == [*range(10), 10, *range(10, 15)]


def test_a_worker_delivers_what_counts_and_the_rewind_itself():
    write(0, 1, 2, 3)
    write(2, rewind=2)
    tracker = RecordingTracker()
    worker = Worker(tracker, StoredSource(FOLDER, Cursor()), FOLDER / "cursors/t.json", FOLDER / "quarantine/t.jsonl")
    worker.close(5.0)
    worker.start(0.0)
    assert worker.over.wait(10)
    assert [call[:2] for call in tracker.calls if call[0] == "rewind"] == [("rewind", 2)]
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [0, 1, 2]
    cursor = load(FOLDER / "cursors/t.json")
    assert (cursor.seq, cursor.status) == (6, "finished")
