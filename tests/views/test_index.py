"""The index: only changed runs are read again, and it is never believed where it should not be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.writer import JournalWriter
from accel_track.views.listing import index, reading
from accel_track.views.listing import runs as listing
from accel_track.views.listing.runs import Listed
from accel_track.views.listing.summary import Summary
from accel_track.views.listing.values import Values
from tests.support.made_runs import made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which runs are read."""
    found: list[str] = []
    for cls in (Summary, Values):

        def noted(run: RunDirectory, of: Any = cls.of, name: str = cls.__name__) -> Any:
            found.append(f"{name} {run.path.name[-6:]}")
            return of(run)

        monkeypatch.setattr(cls, "of", noted)
    return found


@pytest.fixture(autouse=True)
def runs() -> list[RunDirectory]:
    return [made("runs", "p", f"run-{n}", 1e9 + n, digits=f"{n:06d}", pending=0) for n in range(3)]


def looked(*, values: bool = False, below: str = "runs") -> list[Listed]:
    return listing.listed(list(find_runs(below)), values=values)


def test_what_has_not_changed_is_not_read_again(read: list[str]) -> None:
    first = looked()
    assert len(read) == 3
    assert [one.summary for one in looked()] == [one.summary for one in first]
    assert len(read) == 3
    assert [one.values.metrics for one in looked(values=True)] == [{"loss": (1.0, 1.0, 1.0)}] * 3
    looked(values=True)
    assert len(read) == 6
    assert len({one.name for one in Path("runs/.accel_track").glob("index-*")}) == 2


@pytest.mark.parametrize("what", ["run.json", "record", "cursor", "segment", "touched back"])
def test_what_has_changed_is_read_again(runs: list[RunDirectory], read: list[str], what: str) -> None:
    run = runs[1]
    looked()
    read.clear()
    if what == "run.json":
        run.rename("other")
    elif what == "record":
        writer = JournalWriter(run.rank())
        writer.metrics({"loss": 2.0}, 1, {})
        writer.close()
    elif what == "cursor":
        run.cursor("tensorboard").unlink()
    elif what == "segment":
        (run.rank() / "00000000.seg").unlink()
    else:
        before = os.stat(run.path / "run.json")
        info = run.load()
        info.name = "run-9"
        run.save(info)
        os.utime(run.path / "run.json", ns=(before.st_atime_ns, before.st_mtime_ns))
    listed = looked()
    assert read == ["Summary 000001"]
    fresh = Summary.of(run)
    assert listed[1].summary == fresh or fresh.waiting  # of which the times are measured
    assert (fresh.name, fresh.records, fresh.pending) == {
        "run.json": ("other", 1, 0),
        "record": ("run-1", 2, 1),
        "cursor": ("run-1", 1, 1),
        "segment": ("run-1", 0, 0),
        "touched back": ("run-9", 1, 0),
    }[what]


def test_a_running_run_is_never_kept(runs: list[RunDirectory], read: list[str]) -> None:
    looked()
    lock = runs[0].claim_run()
    assert lock is not None
    read.clear()
    assert looked()[0].summary.status == "running"
    assert looked()[0].summary.status == "running"
    assert read == ["Summary 000000"] * 2
    lock.release()
    assert looked()[0].summary.status == "finished"
    assert looked()[0].summary.status == "finished"
    assert read == ["Summary 000000"] * 3


@pytest.mark.parametrize("damage", ["flipped", "empty", "torn", "folder", "fifo", "other version", "link"])
def test_a_damaged_index_is_made_again(
    read: list[str], damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked()
    file = Path("runs/.accel_track/index-summaries")
    data = bytearray(file.read_bytes())
    file.unlink()
    outside = tmp_path / "outside"
    if damage == "flipped":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif damage in ("empty", "torn"):
        file.write_bytes(data[: 0 if damage == "empty" else 100])
    elif damage == "folder":
        file.mkdir()
    elif damage == "fifo":
        os.mkfifo(file)
    elif damage == "link":
        outside.write_bytes(b"precious")
        file.symlink_to(outside)
    else:
        file.write_bytes(data)
        monkeypatch.setattr(index, "VERSION", index.VERSION + 1)
    read.clear()
    assert [one.summary.name for one in looked()] == ["run-0", "run-1", "run-2"]
    assert len(read) == 3
    looked()
    assert len(read) == (6 if damage == "folder" else 3)
    assert damage != "link" or outside.read_bytes() == b"precious"


def test_what_is_gone_is_forgotten(runs: list[RunDirectory]) -> None:
    looked()
    size = Path("runs/.accel_track/index-summaries").stat().st_size
    runs[0].path.rename("away")
    assert len(looked()) == 2
    assert Path("runs/.accel_track/index-summaries").stat().st_size < size


def test_a_look_at_one_run_keeps_what_is_known_of_the_others(
    runs: list[RunDirectory], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked()
    looked(below=str(runs[1].path))
    monkeypatch.chdir(runs[1].path)
    looked(below=".")
    monkeypatch.chdir(runs[1].path.absolute().parents[1])
    looked(below=".")
    assert len(read) == 3


def test_a_store_that_cannot_be_written_needs_no_index(read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(index, "replace_file", refuse)
    assert len(looked()) == len(looked()) == 3
    assert len(read) == 6


def test_two_processes_at_once(runs: list[RunDirectory]) -> None:
    code = "from accel_track.views.listing.runs import listed\nfrom accel_track.journal.directory import find_runs\n"
    code += "for n in range(20):\n    assert [one.summary.error for one in listed(find_runs('runs'), values=True)] == [None] * 3"
    programs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    while any(one.poll() is None for one in programs):
        runs[0].update(lambda info: info.tags.append("x"))
    assert [one.returncode for one in programs] == [0, 0]
    assert looked()[0].summary.tags == runs[0].load().tags


def test_several_stores_and_a_copied_run() -> None:
    made("more/runs", "p", "run-1", 1e9 + 1, digits="000001")
    made("more/runs", "q", None, 1e9, digits="00000a")
    listed = looked(below=".")
    assert [one.short for one in listed] == ["000001", "00000a", "000000", "000001", "000002"]
    assert len(list(Path().rglob("index-summaries"))) == 2


def test_ten_thousand_names_in_a_run() -> None:
    made("runs", "p", "wide", time.time(), values=[{f"m/{n}": n / 7 for n in range(10_000)}])
    assert len(looked(values=True)[-1].values.metrics) == 10_000
    assert len(looked(values=True)[-1].values.metrics) == 10_000


PARENT = os.getpid()


def process_of(_: RunDirectory) -> int:
    return os.getpid()


def killed(run: RunDirectory) -> str:
    if os.getpid() != PARENT:
        os.kill(os.getpid(), signal.SIGKILL)
    return run.path.name


@pytest.mark.skipif(sys.platform != "linux", reason="other processes are forked on Linux only")
def test_many_runs_are_read_by_several_processes(runs: list[RunDirectory], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = looked(values=True)
    for file in Path("runs/.accel_track").glob("index-*"):
        file.unlink()
    monkeypatch.setattr(reading, "MANY", 3)
    monkeypatch.setattr(reading, "_processes", lambda: 2)
    assert [one[1:] for one in looked(values=True)] == [one[1:] for one in alone]
    pids = list(reading.each(process_of, runs))
    assert pids[0] == os.getpid() not in pids[1:]
    assert list(reading.each(killed, runs)) == [run.path.name for run in runs]
