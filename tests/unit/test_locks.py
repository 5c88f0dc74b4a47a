"""File systems without locks: each run has a folder of its own, and is known to go on or to have ended."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from accel_track.delivery.settings import Settings
from accel_track.errors import AccelTrackWarning, ResumeError
from accel_track.journal import locks
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker

NO_LOCKS = """
import errno, fcntl, os
def flock(*_):
    raise OSError(errno.{code}, os.strerror(errno.{code}))
fcntl.flock = flock
"""


@pytest.fixture(params=["ENOTSUP", "ENOLCK", "ENOSYS", "EIO"])
def code(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Have every `flock` fail; give the name of the error."""
    number = getattr(errno, request.param)

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(locks, "_told", set())
    monkeypatch.chdir(tmp_path)
    return str(request.param)


def started(tracker: RecordingTracker, **more: object) -> Run:
    return Run(select(tracker), project="p", directory="logs", settings=Settings.of(), **more)  # type: ignore[arg-type]


@pytest.mark.usefixtures("code")
def test_runs_have_their_own_records_locks_and_status() -> None:
    trackers = [RecordingTracker(), RecordingTracker()]
    with pytest.warns(AccelTrackWarning, match="has no locks .*files are used instead") as caught:
        runs = [started(tracker) for tracker in trackers]
    assert len(told := [str(one.message) for one in caught if issubclass(one.category, AccelTrackWarning)]) == 1, told
    for number, run in enumerate(runs):
        run.log({"run": number}, number)
        directory = run.run_directory
        assert directory is not None
        assert directory.is_live()
        assert directory.claim("recording") is None
    for number, (run, tracker) in enumerate(zip(runs, trackers, strict=True)):
        run.finish()
        assert [call[2] for call in tracker.calls if call[0] == "log"] == [number]
        assert run.run_directory is not None
        assert not run.run_directory.is_live()
        assert run.run_directory.load().status == "finished"
        records = JournalReader(run.run_directory.rank())
        assert [record.values for record in records if isinstance(record, Metrics)] == [{"run": number}]


@pytest.mark.parametrize("code", ["ENOLCK"], indirect=True)
@pytest.mark.filterwarnings("ignore:journal")
@pytest.mark.usefixtures("code")
def test_a_run_that_goes_on_is_not_continued() -> None:
    run = Run([], project="p", directory="logs", settings=Settings.of())
    with pytest.raises(ResumeError, match="another process"):
        Run([], project="p", directory="logs", settings=Settings.of(), resumed=run.run_directory)
    run.finish()


@pytest.mark.parametrize("code", ["ENOLCK"], indirect=True)
def test_a_run_that_was_killed_is_known_to_have_ended(code: str) -> None:
    program = (
        NO_LOCKS.format(code=code)
        + """
import os, warnings
warnings.simplefilter("ignore")
from accel_track.delivery.settings import Settings
from accel_track.run import Run
run = Run([], project="p", directory="logs", settings=Settings.of())
run.log({"a": 1}, 0)
print(run.run_directory.path, run.run_directory.is_live(), flush=True)
os.kill(os.getpid(), 9)
"""
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    path, live = done.stdout.split()
    assert live == "True"
    with pytest.warns(AccelTrackWarning, match="has no locks"):
        run = Run([], project="p", directory="logs", settings=Settings.of(), resumed=RunDirectory(path))
    run.log({"a": 2}, 1)
    run.finish()
    assert [one.step for one in JournalReader(Path(path, "rank-00000")) if isinstance(one, Metrics)] == [0, 1]


@pytest.mark.filterwarnings("ignore:journal")
def test_without_any_lock_runs_are_still_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("accel_track.journal.directory.acquired", none)
    monkeypatch.chdir(tmp_path)
    trackers = [RecordingTracker(), RecordingTracker()]
    runs = [started(tracker) for tracker in trackers]
    for number, run in enumerate(runs):
        run.log({"run": number}, number)
    for number, (run, tracker) in enumerate(zip(runs, trackers, strict=True)):
        run.finish()
        assert [call[2] for call in tracker.calls if call[0] == "log"] == [number]
    assert len(list(Path("logs").rglob("run.json"))) == 2


@pytest.mark.filterwarnings("ignore::accel_track.errors.AccelTrackWarning")
def test_where_no_run_json_can_be_made_runs_are_still_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("accel_track.journal.directory.replace_file", full)
    monkeypatch.chdir(tmp_path)
    trackers = [RecordingTracker(), RecordingTracker()]
    runs = [started(tracker) for tracker in trackers]
    for number, run in enumerate(runs):
        run.log({"run": number}, number)
    for number, (run, tracker) in enumerate(zip(runs, trackers, strict=True)):
        run.finish()
        assert [call[2] for call in tracker.calls if call[0] == "log"] == [number]
    assert len({run.run_directory.path for run in runs if run.run_directory}) == 2
