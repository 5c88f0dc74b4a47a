"""A run has one name: in the command line, in its folder and in every backend; no two runs share a folder."""

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track import Accelerator, init
from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.lightning import AccelTrackLogger
from accel_track.lightning.run_choice import new_version
from accel_track.registry import LOGGER_TYPE_TO_CLASS, build, register_tracker_class, select
from accel_track.run import Run
from accel_track.testing import FaultyTracker, RecordingTracker


def run_of(log_with="tensorboard", delivery="thread", **arguments) -> Run:
    arguments.setdefault("directory", "logs")
    settings = Settings.of(delivery=delivery)
    return Run(select(log_with, arguments["directory"]), project="p", settings=settings, **arguments)


def losses(folder: Path) -> list[tuple[int, float]]:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return [(one.step, one.value) for one in found.Scalars("loss")]


def name_of(run: Run) -> str:
    assert run.run_directory is not None
    return run.run_directory.load().name or ""


def log(run: Run, value: float, steps: range) -> None:
    for step in steps:
        run.log({"loss": value}, step)


@pytest.mark.parametrize("delivery", ["thread", "inline", "process"])
def test_runs_without_a_name_have_folders_of_their_own(delivery: str) -> None:
    names = []
    for value in range(3):
        run = run_of(delivery=delivery)
        log(run, value, range(4))
        names.append(run.name)
        assert run.name == run.run_id
        assert delivery == "inline" or name_of(run) == run.name
        run.finish()
    assert sorted(path.name for path in Path("logs/p").iterdir()) == sorted(names)
    for value, name in enumerate(names):
        assert losses(Path("logs/p", name)) == [(step, value) for step in range(4)]


def test_a_continued_run_takes_nothing_from_the_others() -> None:
    runs = [run_of() for _ in range(3)]
    for value, run in enumerate(runs):
        log(run, value, range(10))
        run.finish()
    again = run_of(resumed=runs[0].run_directory, step=2)
    log(again, 7, range(2, 4))
    again.finish()
    assert again.name == runs[0].name
    found = [losses(Path("logs/p", run.name)) for run in runs]
    assert found[0] == [(0, 0.0), (1, 0.0), (2, 7.0), (3, 7.0)]
    assert found[1:] == [[(step, value) for step in range(10)] for value in (1.0, 2.0)]


def test_a_name_that_another_run_has_gets_a_number() -> None:
    run_of(name="base", distinct=True).finish()
    for number in (2, 3):
        with pytest.warns(AccelTrackWarning, match=f"another run of 'p' is called 'base'; .* 'base-{number}'"):
            run = run_of(name="base", distinct=True)
        log(run, number, range(2))
        run.finish()
        assert (run.name, name_of(run)) == (f"base-{number}", f"base-{number}")
        assert losses(Path("logs/p", run.name)) == [(0, number), (1, number)]


def test_names_that_are_asked_for_at_the_same_time_are_not_shared() -> None:
    found, barrier = [], threading.Barrier(8)

    def create() -> None:
        barrier.wait()
        found.append(RunDirectory.create("logs", "p", "base", distinct=True).load().name)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["base", *(f"base-{number}" for number in range(2, 9))]


def test_damaged_neighbours_do_not_matter() -> None:
    for run_id, content in (("a", b"{"), ("b", b"[]")):
        Path("logs/.accel_track/p", run_id).mkdir(parents=True)
        Path("logs/.accel_track/p", run_id, "run.json").write_bytes(content)
    assert RunDirectory.create("logs", "p", "base", distinct=True).load().name == "base"


@pytest.mark.extras
@pytest.mark.parametrize("name", sorted(LOGGER_TYPE_TO_CLASS))
def test_every_backend_is_given_the_name(name: str) -> None:
    """What backends store under it is tested by their contract; here: each is told."""
    (tracker,) = build(select(name, "logs"), "p", "the-name", "logs", {})
    assert "the-name" in str(vars(tracker))


def test_other_ranks_have_the_same_stem() -> None:
    class Everywhere(RecordingTracker):
        name = "everywhere"
        main_process_only = False

        @classmethod
        def for_run(cls, project, run_name, directory, init_kwargs):
            return cls(run_name, **init_kwargs)

    register_tracker_class(Everywhere)
    try:
        settings = Settings.of(delivery="inline", all_ranks=True)
        for name in (None, "given"):
            runs = [
                Run(select("everywhere"), project="p", name=name, settings=settings, rank=rank, run_id="id-1")
                for rank in (0, 1)
            ]
            stem = name or "id-1"
            assert [run.trackers[0].run_name for run in runs] == [stem, f"{stem}-rank1"]
            for run in runs:
                run.finish()
    finally:
        del LOGGER_TYPE_TO_CLASS["everywhere"]


class TestRunsOfAnEarlierVersion:
    """They have no name, and their backends' runs have the names that the backends chose."""

    @pytest.fixture
    def old(self) -> RunDirectory:
        run = run_of(["tensorboard", "recording"])
        log(run, 1, range(3))
        run.finish()
        (directory,) = find_runs("logs")
        info = directory.load()
        os.rename(Path("logs/p", info.name), "moved")
        os.rmdir("logs/p")
        os.rename("moved", "logs/p")
        info.name = None
        info.trackers["tensorboard"].identity["run_name"] = "p/"
        info.trackers["recording"].identity = {"key": 1}
        directory.save(info)
        return directory

    @pytest.fixture(autouse=True)
    def _recording(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[str | None] = []

        class Named(RecordingTracker):
            @classmethod
            def for_run(cls, project, run_name, directory, init_kwargs):
                made.append(run_name)
                return cls(**init_kwargs)

        monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "recording", Named)
        self.names = made

    def test_continued(self, old: RunDirectory) -> None:
        self.names.clear()
        run = run_of(["tensorboard", "recording"], resumed=old)
        assert run.name == run.run_id
        run.log({"loss": 2.0}, 3)
        run.finish()
        assert self.names == [None]
        assert losses(Path("logs/p")) == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0)]

    @pytest.mark.usefixtures("old")
    def test_delivered_later(self, old: RunDirectory) -> None:
        self.names.clear()
        info = old.load()
        for name in info.trackers:
            old.cursor(name).unlink()
        info.trackers["recording"].identity = {}  # not started yet: it is made by the run's id
        old.save(info)
        Sync(old).deliver(follow=False, timeout=20)
        assert self.names == [info.run_id]
        assert [path.name for path in Path("logs/p").iterdir() if path.is_dir()] == []


class TestLightning:
    """`save_dir/name/version_N` is what Lightning expects."""

    def test_two_programs_at_once_get_two_numbers(self) -> None:
        assert [new_version("logs", "p") for _ in range(3)] == [0, 1, 2]
        Path("logs/p/version_3").mkdir()
        assert new_version("logs", "p") == 4
        assert [new_version("logs", "p", seen) for seen in (9, 3, "best")] == [9, 5, 10]

    def test_other_file_systems_and_folders_that_take_nothing(self) -> None:
        assert new_version("memory://logs", "p") == 0
        Path("file").touch()
        assert new_version("file", "p") == 0
        assert os.listdir() == ["file"]

    def test_a_failed_start_leaves_no_folder(self) -> None:
        logger = AccelTrackLogger(FaultyTracker("start"), "p", save_dir="logs")
        with pytest.raises(RuntimeError, match="faulty on purpose"):
            logger.log_metrics({"loss": 1.0}, 0)
        assert not Path("logs/p").exists()

    def test_a_version_given_twice_is_said(self) -> None:
        for again in (False, True):
            logger = AccelTrackLogger(RecordingTracker(), "p", version="v", save_dir="logs")
            if again:
                with pytest.warns(AccelTrackWarning, match="version='v' is that of an earlier run, too"):
                    logger.log_metrics({"loss": 1.0}, 0)
            logger.log_metrics({"loss": 1.0}, 0)
            logger.finish()
            assert Path(logger.log_dir) == Path("logs/p/v")


def test_the_name_in_ls(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from accel_track.cli import app

    run = run_of(RecordingTracker())
    run.finish()
    monkeypatch.setattr(sys, "argv", ["accel-track", "ls", "--json"])
    with pytest.raises(SystemExit):
        app()
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == [run.name]


def test_a_plain_loop_continues_the_unfinished_run_of_its_name() -> None:
    for status, names in (("failed", ["base"]), ("finished", ["base"]), ("finished", ["base", "base-2"])):
        accelerator = Accelerator("tensorboard", project_dir="logs", cpu=True)
        with pytest.warns(AccelTrackWarning) if len(names) > 1 else contextlib.nullcontext():
            accelerator.init_trackers("p", run_name="base")
        accelerator.log({"loss": 1.0}, step=len(names))
        accelerator.end_training(status)
        assert sorted(run.load().name or "" for run in find_runs("logs")) == names
    assert [losses(Path("logs/p", name)) for name in names] == [[(1, 1.0)], [(2, 1.0)]]


@pytest.mark.parametrize("resume", ["auto", "must"])
def test_an_unfinished_run_is_continued_by_the_name_that_it_was_to_have(resume: Any) -> None:
    for status in ("finished", "failed"):
        with pytest.warns(AccelTrackWarning, match="base-2") if status == "failed" else contextlib.nullcontext():
            run = init("p", "jsonl", project_dir="logs", run_name="base")
        run.finish(status)
    again = init("p", "jsonl", project_dir="logs", run_name="base", resume=resume)
    again.finish()
    assert (again.name, again.run_id) == ("base-2", run.run_id)
    with pytest.warns(AccelTrackWarning, match="base-3"):
        init("p", "jsonl", project_dir="logs", run_name="base").finish()
