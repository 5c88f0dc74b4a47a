"""Checkpoints on their way: kept until every tracker has them, whatever happens to the original."""

import os
import shutil
from pathlib import Path

import pytest

from accel_track.delivery.settings import Settings
from accel_track.delivery.staging import Staging, kept_file
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.media import Image
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker


class Reader(RecordingTracker):
    """Reads what it is given."""

    def log_checkpoint(self, name, path, step, values):
        files = sorted(Path(path).rglob("*")) if Path(path).is_dir() else [Path(path)]
        content = {file.name: file.read_text() for file in files if file.is_file()}
        self.calls.append(("checkpoint", name, content, step, values))


def run_with(tracker, **settings):
    return Run(select(tracker, "runs"), project="p", directory="runs", settings=Settings.of(**settings))


def stored(tracker):
    return [call for call in tracker.calls if call[0] in ("checkpoint", "delete")]


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_a_file_and_a_folder(delivery):
    tracker = Reader()
    run = run_with(tracker, delivery=delivery)
    Path("a.ckpt").write_text("one")
    os.makedirs("shards/deep")
    Path("shards/deep/0").write_text("zero")
    Path("shards/1").write_text("one")
    run.log_checkpoint("a", "a.ckpt", 3, {"score": 0.5})
    run.log_checkpoint("b", Path("shards"))
    Path("a.ckpt").unlink()
    shutil.rmtree("shards")
    run.delete_checkpoint("a")
    run.finish()
    assert stored(tracker) == [
        ("checkpoint", "a", {"a.ckpt": "one"}, 3, {"score": 0.5}),
        ("checkpoint", "b", {"0": "zero", "1": "one"}, None, {}),
        ("delete", "a"),
    ]
    assert list(Path("runs").rglob("media/*")) == []


def test_a_file_of_another_file_system_is_copied(monkeypatch):
    def link(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    Path("a.ckpt").write_text("one")
    kept = Staging(Path("rank-00000")).keep("a.ckpt")
    Path("a.ckpt").write_text("two")
    assert Path("rank-00000", kept).read_text() == "one"


def test_copies_survive_a_power_cut_where_that_is_asked_for(monkeypatch):
    """Each file and folder is given to the disk before the call returns, so before its record is written."""
    synced, sync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.add(os.fstat(file).st_ino), sync(file)))
    os.makedirs("given/deep")
    Path("given/deep/a").write_text("x")
    Path("given/b").write_text("y")
    kept = Path("rank-00000") / Staging(Path("rank-00000"), durable=True).keep("given", copy=shutil.copy2)
    wanted = [kept, *kept.rglob("*"), kept.parent, kept.parent.parent]
    assert len(wanted) == 6
    assert synced >= {one.stat().st_ino for one in wanted}
    synced.clear()
    Staging(Path("rank-00000")).keep("given")
    assert not synced


def test_a_missing_file_is_the_callers_error_and_nothing_is_logged():
    tracker = Reader()
    run = run_with(tracker)
    with pytest.raises(FileNotFoundError):
        run.log_checkpoint("a", "a.ckpt")
    run.finish()
    assert stored(tracker) == []
    assert list(Path("runs").rglob("media/*")) == []


def test_without_trackers_it_waits_for_sync_and_the_run_shows_it():
    run = run_with("tensorboard", delivery="none")
    Path("a.ckpt").write_text("one")
    run.log_checkpoint("a", "a.ckpt", 1, {"best": True})
    run.finish()
    (found,) = find_runs("runs")
    assert [path.read_text() for path in found.path.rglob("media/*/a.ckpt")] == ["one"]


def test_a_tracker_that_keeps_none_counts_them():
    run = run_with("tensorboard")
    Path("a.ckpt").write_text("one")
    with pytest.warns(AccelTrackWarning, match="keeps no checkpoints"):
        run.log_checkpoint("a", "a.ckpt")
        run.log_checkpoint("b", "a.ckpt")
        run.flush()
    tracker = run.get_tracker("tensorboard")
    assert tracker.dropped["checkpoint"] == 2
    run.finish()


def test_no_record_leads_to_a_file_outside(tmp_path):
    folder = Path("rank-00000")
    kept = Staging(folder).keep(str(write("a.ckpt")))
    assert kept_file(folder, kept) == folder / kept
    Path("secret").write_text("secret")
    (folder / "media/link").symlink_to(tmp_path.parent)
    (folder / "media/folder").mkdir()
    (folder / "media/folder/link").symlink_to(Path("secret").absolute())
    for path in (
        "../secret",
        "media/../../secret",
        str(Path("secret").absolute()),
        "media/link",
        "media/folder",
        "media",
    ):
        assert kept_file(folder, path) is None, path
    Path(folder, kept).unlink()
    assert kept_file(folder, kept) is None


def write(name):
    Path(name).write_text("one")
    return Path(name)


def test_a_file_of_a_backend_may_have_dots_in_its_name(tmp_path: Path) -> None:
    """ClearML's tracker calls files "<title>_<series>_<step>.<hash>.png"."""
    given = tmp_path / "img_img_00000000.6358d7524c03.png"
    given.write_bytes(b"pixels")
    assert Image.of_stored({}, given).kept().suffix == ".png"
    assert Image.of_stored({}, given.with_name("a.plotly.json")).kept().suffix == ".plotly.json"
