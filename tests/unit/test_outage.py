"""A disk that fails for a while: what is in memory gets to disk and to every tracker, once and in order."""

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from accel_track.delivery.journaled import JournaledDelivery
from accel_track.delivery.settings import Settings
from accel_track.delivery.sources import LiveSource, StoredSource, UnreadableError
from accel_track.errors import AccelTrackWarning
from accel_track.journal import writer as writer_module
from accel_track.journal.cursor import Cursor, load
from accel_track.journal.directory import RunDirectory
from accel_track.journal.memory import Outage
from accel_track.journal.reader import JournalReader, last_seq, segments
from accel_track.journal.segment import Segment
from accel_track.journal.writer import JournalWriter
from accel_track.outcome import Outcome
from accel_track.records import Metrics
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker
from tests.support.waiting import until

FOLDER = Path("rank-00000")


class Disk:
    """Fails every write to the journal, or every opening of a file, while it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Work."""
        self.broken, self.left = False, 0
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, file: int, data: bytes) -> int:
        if self.broken:
            if self.left <= 0:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            self.left -= 1
        return self._write(file, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def log(journal: JournalWriter, *, portable: bool = True) -> None:
    number = journal.next_seq
    values = {"n": float(number)} if portable else {"n": float(number), "thing": object()}
    if not journal.again(values, number):
        journal.metrics(values, number, {})


def steps(folder: Path = FOLDER) -> list[int | None]:
    return [record.step for record in JournalReader(folder) if isinstance(record, Metrics)]


@pytest.mark.filterwarnings("ignore:journal")
@pytest.mark.parametrize("seed", range(30))
def test_every_tracker_gets_each_record_once_and_in_order(disk: Disk, seed: int) -> None:
    """Also one that goes on in another process, from what was acknowledged."""
    chance = random.Random(seed)
    journal = JournalWriter(FOLDER, segment_size=400, durability=chance.choice(["process", "power"]))
    sources = [LiveSource(journal, Cursor()) for _ in range(2)]
    found: list[list[int]] = [[], []]
    cursors = [Cursor(), Cursor()]
    for _ in range(200):
        what = chance.random()
        if what < 0.5:
            log(journal, portable=chance.random() < 0.8)
        elif what < 0.6:
            disk.broken, disk.left = chance.random() < 0.6, chance.randrange(5)
        elif what < 0.7:
            journal.recover(at_once=True)
        else:
            one = chance.randrange(2)
            for entry in sources[one].read(chance.choice([1, 3, 100])):
                found[one].append(entry.record.seq)
                cursors[one] = Cursor(*entry.end, seq=max(cursors[one].seq, entry.record.seq + 1))
    disk.broken = False
    journal.recover(at_once=True)
    everything = list(range(journal.next_seq))
    assert steps() == everything
    stored = [StoredSource(FOLDER, cursor) for cursor in cursors]
    for one in range(2):
        rest = [entry.record.seq for entry in stored[one].read(1000)]
        live = [entry.record.seq for entry in sources[one].read(1000)]
        assert found[one] + live == everything
        assert rest == live
        assert sources[one].missing == 0
    journal.close()


def test_each_outage_is_said_and_is_over_with_the_next_segment(disk: Disk) -> None:
    journal = JournalWriter(FOLDER)
    for _ in range(2):
        log(journal)
        disk.broken = True
        with pytest.warns(AccelTrackWarning, match="cannot write to .*Stale file handle.*written later") as caught:
            for _ in range(3):
                log(journal)
        assert len(caught) == 1
        journal.recover()
        assert [one.waits for one in journal.kept] == [True] * 3
        disk.broken = False
        journal.recover(at_once=True)
        assert len(journal.kept) == 0
    journal.close()
    assert steps() == list(range(8))
    assert len(segments(FOLDER)) == 5
    assert journal.lost == 0


def test_a_descriptor_that_is_closed_is_replaced_and_one_of_another_file_is_left_alone() -> None:
    journal = JournalWriter(FOLDER)
    log(journal)
    (segment,) = journal.open_segments
    os.close(segment.file)
    mine = os.open("mine", os.O_RDWR | os.O_CREAT)
    assert mine == segment.file, "the number is used again"
    with pytest.warns(AccelTrackWarning, match="Bad file descriptor"):
        assert not journal.is_gone()
    log(journal)
    journal.recover(at_once=True)
    journal.close()
    del segment
    os.write(mine, b"still open")
    os.close(mine)
    assert Path("mine").read_bytes() == b"still open"
    assert steps() == [0, 1]


def test_a_disk_that_cannot_store_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = JournalWriter(FOLDER, durability="power")
    with monkeypatch.context() as patch, pytest.warns(AccelTrackWarning, match="Input/output error"):
        patch.setattr(writer_module, "fdatasync", fail)
        log(journal)
    log(journal)
    journal.close()
    assert steps() == [0, 1]


def test_what_no_worker_had_and_memory_lets_go_is_lost_and_said_to_be_missing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "TAIL", 5)
    journal = JournalWriter(FOLDER)
    source = LiveSource(journal, Cursor())
    log(journal)
    disk.broken = True
    with pytest.warns(AccelTrackWarning, match="the last 5 at most"):
        for _ in range(4):
            log(journal)
    assert [entry.record.seq for entry in source.read(100)] == [0, 1, 2, 3, 4]
    journal.forget(5)
    for _ in range(8):
        log(journal)
    assert journal.lost == 3, "those that every tracker had are on no disk, but not lost"
    disk.broken = False
    journal.recover(at_once=True)
    assert [entry.record.seq for entry in source.read(100)] == [8, 9, 10, 11, 12]
    assert (source.missing, journal.lost_from(5)) == (3, 3)
    journal.close()
    assert steps() == [0, 8, 9, 10, 11, 12]


def test_pauses_grow() -> None:
    now = 0.0
    outage = Outage(lambda: now)
    assert not outage.due()
    outage.begin()
    tries = []
    for second in range(200):
        now = float(second)
        if outage.due():
            tries.append(second)
    assert tries == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]
    assert outage.due(at_once=True)
    outage.end()
    assert not outage.due(at_once=True)


def test_numbers_go_on_behind_what_a_tracker_had_from_memory(disk: Disk) -> None:
    journal = JournalWriter(FOLDER)
    disk.broken = True
    with pytest.warns(AccelTrackWarning, match="cannot write"):
        for _ in range(3):
            log(journal)
    journal.close()
    disk.broken = False
    assert JournalWriter(FOLDER, first_seq=3).next_seq == 3


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Give a list: while it holds an error number, no file can be opened by the readers."""
    error: list[int] = []
    real = open

    def opening(file: object, *arguments: object, **named: object) -> object:
        if error:
            raise OSError(error[0], os.strerror(error[0]), str(file))
        return real(file, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr("accel_track.journal.reader.open", opening, raising=False)
    return error


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no descriptor of the writer's readable."""

    def read(*_: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(Segment, "read", read)


@pytest.mark.usefixtures("stale")
@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_an_error_is_not_the_end(unreadable: list[int], code: int) -> None:
    journal = JournalWriter(FOLDER)
    live, stored = LiveSource(journal, Cursor()), StoredSource(FOLDER, Cursor())
    for _ in range(3):
        log(journal)
    unreadable.append(code)
    for source in (live, stored):
        for _ in range(2):
            with pytest.raises(UnreadableError, match=os.strerror(code)):
                source.read(10)
    unreadable.clear()
    for source in (live, stored):
        assert [entry.record.seq for entry in source.read(10)] == [0, 1, 2]
    journal.close()


def test_the_journal_of_this_process_is_read_without_opening_a_file(unreadable: list[int]) -> None:
    journal = JournalWriter(FOLDER)
    source = LiveSource(journal, Cursor())
    assert source.read(10) == []
    unreadable.append(errno.EMFILE)
    for _ in range(3):
        log(journal)
    assert [entry.record.seq for entry in source.read(10)] == [0, 1, 2]
    unreadable.clear()
    journal.close()


@pytest.mark.usefixtures("stale")
def test_what_cannot_be_read_until_the_end_is_pending_and_the_tracker_is_not_finished(
    unreadable: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = RecordingTracker()
    run = Run(select(tracker), project="p", directory="logs", settings=Settings.of(finish_timeout=0.5))
    with pytest.warns(AccelTrackWarning, match=r"recording: UnreadableError: cannot read .*Too many open files.*tried"):
        unreadable.append(errno.EMFILE)
        for step in range(5):
            run.log({"loss": 0.5}, step)
        run.finish()
    unreadable.clear()
    assert [call[0] for call in tracker.calls] == ["start"]
    assert "0 delivered, 5 pending (UnreadableError: cannot read" in capsys.readouterr().err
    assert run.run_directory is not None
    assert load(run.run_directory.cursor("recording")).status == ""


@pytest.mark.usefixtures("stale")
def test_a_second_without_descriptors_delays_delivery_only(unreadable: list[int]) -> None:
    tracker = RecordingTracker()
    run = Run(select(tracker), project="p", directory="logs", settings=Settings.of())
    with pytest.warns(AccelTrackWarning, match="Too many open files") as caught:
        unreadable.append(errno.EMFILE)
        for step in range(5):
            run.log({"loss": 0.5}, step)
        until(lambda: len(caught) > 0)
        unreadable.clear()
        run.finish()
    assert [call[2] for call in tracker.calls if call[0] == "log"] == list(range(5))
    assert tracker.calls[-1] == ("finish",)


@pytest.mark.parametrize("failures", [2, 99])
def test_the_number_to_go_on_with_is_read_with_patience(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    JournalWriter(FOLDER, first_seq=7).close()
    left = [OSError(errno.EMFILE, os.strerror(errno.EMFILE)) for _ in range(failures)]

    def reading(folder: Path) -> int:
        if left:
            raise left.pop()
        return last_seq(folder)

    monkeypatch.setattr(writer_module, "last_seq", reading)
    monkeypatch.setattr(writer_module.time, "sleep", lambda _: None)
    if failures == 2:
        assert JournalWriter(FOLDER).next_seq == 7
    else:
        with pytest.warns(AccelTrackWarning, match="cannot write to .*Too many open files"):
            assert JournalWriter(FOLDER, first_seq=5).next_seq == 5


def test_what_run_json_could_not_take_is_in_it_later(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run([], project="p", directory="logs", settings=Settings.of())
    directory = run.run_directory
    assert directory is not None

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "save", full)
        run.conclude(Outcome("failed", "a reason"))
    assert directory.load().status == "running"
    delivery = run._delivery
    assert isinstance(delivery, JournaledDelivery)
    delivery._upkeep.look([], [])
    assert directory.load().status == "failed"
    run.finish()
