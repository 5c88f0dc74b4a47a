"""A run's folder that is deleted, moved or replaced in mid-run: delivery goes on, and the report is true."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.records import Metrics
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker
from tests.support.waiting import until

COUNT = 400
IS_GONE = r"journal: .* is gone since .*deleted, moved or unmounted"


def steps(tracker: RecordingTracker) -> list[int]:
    return [call[2] for call in tracker.calls if call[0] == "log"]


def on_disk(run: RunDirectory) -> list[int | None]:
    return [record.step for record in JournalReader(run.rank()) if isinstance(record, Metrics)]


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def another_in_its_place(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    shutil.copytree(folder.with_name("moved"), folder)


WAYS: dict[str, Callable[[Path], object]] = {
    "the logging directory is deleted": lambda run: shutil.rmtree(run.parents[2]),
    "the logging directory is moved": lambda run: run.parents[2].rename("moved"),
    "the run is deleted": shutil.rmtree,
    "the run is moved": lambda run: run.rename("moved"),
    "the rank is deleted": lambda run: shutil.rmtree(run / "rank-00000"),
    "the segment is deleted": lambda run: (run / "rank-00000" / "00000000.seg").unlink(),
    "another folder is in its place": another_in_its_place,
}


@pytest.mark.parametrize("way", WAYS)
def test_everything_is_delivered_and_in_a_new_folder(
    way: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = RecordingTracker()
    with pytest.warns(AccelTrackWarning, match=IS_GONE) as caught:
        run = Run(select(tracker), project="p", directory="runs", settings=Settings.of())
        directory = run.run_directory
        assert directory is not None
        for step in range(COUNT):
            run.log({"loss": step / 8}, step)
            if step == COUNT // 2:
                WAYS[way](directory.path)
        run.finish()
    assert len(caught) == 1
    assert steps(tracker) == on_disk(directory) == list(range(COUNT))
    assert tracker.calls[-1] == ("finish",)
    assert directory.load().status == "finished"
    assert not directory.is_live()
    (status,) = (Sync(directory).status(name) for name in directory.load().trackers)
    assert (status.delivered, status.pending) == (COUNT, 0)
    assert f"recording {COUNT:,} records delivered" in capsys.readouterr().err


def test_it_is_noticed_within_a_second_and_tensorboard_gets_everything(tmp_path: Path) -> None:
    run = Run(select("tensorboard", logging_dir=tmp_path), project="p", directory=tmp_path, settings=Settings.of())
    with pytest.warns(AccelTrackWarning, match=IS_GONE):
        for step in range(COUNT):
            run.log({"loss": step / 8}, step)
            if step == COUNT // 2:
                shutil.rmtree(tmp_path / ".accel_track")
                until((tmp_path / ".accel_track").exists, 2.0)  # a second, and what a busy machine needs
        run.finish()
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    stored = EventAccumulator(str(events), size_guidance={"scalars": 0}).Reload()
    assert [one.step for one in stored.Scalars("loss")] == list(range(COUNT))


def test_where_there_can_be_no_folder_again_all_is_delivered_and_nothing_false_is_advised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file is in its place; one tracker is slow, and one is never reached."""

    class Down(RecordingTracker):
        name = "down"

        def log(self, *arguments: object, **more: object) -> None:
            raise ConnectionError("nobody there")

    folder = tmp_path / "runs"
    tracker = RecordingTracker()
    run = Run(select([tracker, Down()]), project="p", directory=folder, settings=Settings.of(finish_timeout=1.0))
    with pytest.warns(AccelTrackWarning) as caught:
        for step in range(COUNT):
            run.log({"loss": step / 8}, step)
            if step == COUNT // 2:
                replace_by_a_file(folder)
        run.finish()
    assert [str(one.message) for one in caught if "is gone" in str(one.message)] != []
    assert steps(tracker) == list(range(COUNT))
    report = capsys.readouterr().err
    assert "sync" not in report
    assert f"{COUNT:,} records lost" in report
    assert "is gone" in report


@pytest.mark.filterwarnings("ignore:journal")
def test_what_was_in_older_segments_is_lost_and_counted(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "rank-00000", segment_size=300)
    for step in range(100):
        journal.metrics({"text": "t"}, step, {})
    journal.given = 20
    shutil.rmtree(tmp_path / "rank-00000")
    for _ in range(2):
        assert journal.is_gone()
        journal.restore()
        assert not journal.is_gone()
        left = [record.seq for record in JournalReader(journal.folder)]
        assert 0 < len(left) < 20
        assert left == list(range(left[0], 100))
        assert journal.lost == left[0] - 20
        shutil.rmtree(tmp_path / "rank-00000")
    journal.close()
    journal.metrics({"text": "t"}, 100, {})
    journal.recover(at_once=True)
    assert journal.lost == 100 - 20
    journal.close()
    assert [record.seq for record in JournalReader(journal.folder)] == [100]


@pytest.mark.long
def test_the_companion_goes_on_in_the_new_folder(tmp_path: Path) -> None:
    settings = Settings.of(delivery="process")
    with pytest.warns(AccelTrackWarning, match=IS_GONE):
        run = Run(select("tensorboard", logging_dir=tmp_path), project="p", directory=tmp_path, settings=settings)
        for step in range(COUNT):
            run.log({"loss": step / 8}, step)
            if step == COUNT // 2:
                until(lambda: any(tmp_path.rglob("events.out.tfevents.*")))  # the companion has begun
                shutil.rmtree(tmp_path / ".accel_track")
                until((tmp_path / ".accel_track").exists)
        run.finish()
    found: list[int] = []
    for events in tmp_path.rglob("events.out.tfevents.*"):
        stored = EventAccumulator(str(events), size_guidance={"scalars": 0}).Reload()
        if "loss" in stored.Tags()["scalars"]:
            found += [one.step for one in stored.Scalars("loss")]
    assert sorted(found) == list(range(COUNT))
    assert run.run_directory is not None
    assert run.run_directory.load().status == "finished"
