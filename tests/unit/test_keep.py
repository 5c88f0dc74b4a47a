"""The setting `keep`, and what is logged after the end of a run."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from accel_track.accelerator.facade import Accelerator
from accel_track.delivery import pruning
from accel_track.delivery.settings import Settings
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.outcome import Outcome
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker


class Refusing(RecordingTracker):
    """Takes nothing."""

    def log(self, *_: Any, **__: Any) -> None:
        raise ValueError("no")


def ended(tracker: RecordingTracker | None = None, *, how: str = "finished", old: bool = True, **more: Any) -> Path:
    """Return the folder of a run that has ended, ten days ago."""
    settings = Settings.of(**more)
    run = Run(select(tracker or RecordingTracker()), project="p", directory="logs", settings=settings)
    run.log({"loss": 0.5}, 0)
    run.finish(Outcome(how, None))  # type: ignore[arg-type]
    assert run.run_directory is not None
    age(run.run_directory.path, 10.0 if old else 0.0)
    return run.run_directory.path


def age(folder: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def started(keep: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Run:
    threads = []

    def prune(*arguments: Any) -> None:
        threads.append(pruning.prune_in_background(*arguments))

    monkeypatch.setattr("accel_track.delivery.journaled.prune_in_background", prune)
    run = Run([], project="p", directory="logs", settings=Settings.of(keep=keep), **more)  # type: ignore[arg-type]
    for thread in threads:
        thread.join(30)
    return run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore:recording. refused")
def test_what_is_finished_and_delivered_and_old_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ended()
    new, failed, pending = ended(old=False), ended(how="failed"), ended(delivery="none")
    refused = ended(Refusing())
    alive = Run(select(RecordingTracker()), project="p", directory="logs", settings=Settings.of())
    alive.log({"loss": 0.5}, 0)
    alive.conclude(Outcome("finished", None))
    alive.flush()
    assert alive.run_directory is not None
    age(alive.run_directory.path, 10)
    run = started("9d", monkeypatch)
    assert run.run_directory is not None
    left = {one.path for one in find_runs(Path.cwd() / "logs")}
    assert left == {new, failed, pending, refused, alive.run_directory.path, run.run_directory.path}
    assert not gone.exists()
    run.finish()
    started("pending", monkeypatch).finish()
    assert not new.exists()
    alive.finish()


def test_all_are_kept_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ended()
    started("all", monkeypatch).finish()
    assert path.exists()


def test_a_run_that_is_continued_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ended()
    run = started("pending", monkeypatch, resumed=RunDirectory(path))
    run.log({"loss": 0.25}, 1)
    run.finish()
    assert [record.seq for record in JournalReader(path / "rank-00000")] == [0, 1, 2]


def test_what_cannot_be_read_is_kept_and_said() -> None:
    path = ended()
    (path / "run.json").write_text("{")
    with pytest.warns(AccelTrackWarning, match=r"keep: .* is not deleted"):
        pruning._prune(path.parents[1], Path(), 0.0)
    assert path.exists()


def test_a_deletion_that_was_cut_off_is_finished_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ended()

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pruning.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            pruning.delete(RunDirectory(path))
    (left,) = path.parents[1].glob(".deleted/p/*")
    assert left.name == path.name
    assert list(find_runs("logs")) == []
    started("30d", monkeypatch).finish()
    assert not (path.parents[1] / ".deleted").exists()


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("1.5h", 5400), ("90m", 5400)])
def test_times(text: str, seconds: float) -> None:
    assert Settings.of(keep=text).kept_seconds == seconds


def test_all_and_pending() -> None:
    assert (Settings.of(keep="all").kept_seconds, Settings.of(keep="pending").kept_seconds) == (float("inf"), 0.0)


@pytest.mark.parametrize("bad", ["30", "d", "-1d", "1 d", "1w", 30, "٣d", ["all"]])
def test_other_times_are_errors(bad: Any) -> None:
    with pytest.raises(ValueError, match="`keep` must be all, pending, or a time such as 30d"):
        Settings.of(keep=bad)


def test_the_front_door_takes_it() -> None:
    assert Accelerator(cpu=True, keep="12h")._settings.keep == "12h"


@pytest.mark.parametrize("delivery", ["thread", "none"])
def test_what_is_logged_after_the_end_is_not_kept_and_said_once(delivery: Any) -> None:
    tracker = RecordingTracker()
    run = Run(select(tracker), project="p", directory="logs", settings=Settings.of(delivery=delivery))
    run.log({"loss": 0.5}, 0)
    run.finish()
    assert run.run_directory is not None
    before = sorted(run.run_directory.path.rglob("*"))
    with pytest.warns(AccelTrackWarning, match="the run has ended, and what is logged now is not kept") as caught:
        for step in range(1, 4):
            run.log({"loss": 0.5}, step)
            run.log({"text": "more"}, step)
        run.log_checkpoint("last", __file__)
        run.rewind(0)
        run.flush()
        run.finish()
    assert len(caught) == 1
    assert sorted(run.run_directory.path.rglob("*")) == before
    assert [record.seq for record in JournalReader(run.run_directory.rank())] == [0]


def test_a_call_that_is_refused_uses_up_no_number() -> None:
    run = Run([], project="p", directory="logs", settings=Settings.of())
    run.log({"loss": 0.5}, 0)
    for values, step in (({"loss": 1.0}, 2**70), ({"loss": 1.0}, -1), ({"loss": 1.0}, "a"), (1, 1), ({1: 2}, "b")):
        with pytest.raises((TypeError, ValueError)):
            run.log(values, step)
    run.log({"loss": 0.25}, 1)
    run.finish()
    assert run.run_directory is not None
    assert [record.seq for record in JournalReader(run.run_directory.rank())] == [0, 1]
