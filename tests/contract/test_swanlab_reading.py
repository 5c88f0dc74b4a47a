"""What SwanLab's tracker reads back of its own runs, beside what the conformance suite asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import swanlab

from accel_track import media
from accel_track.errors import AccelTrackWarning, NotReadableError
from accel_track.outcome import Outcome
from accel_track.records import Artifact
from accel_track.trackers.swanlab.tracker import SwanLabTracker
from tests.support.imports import Found
from tests.support.lives import live
from tests.support.readers.swanlab import QUICK


@pytest.fixture(autouse=True)
def _no_run_left() -> Iterator[None]:
    """End the run of a test that failed: SwanLab has one at a time."""
    yield
    if swanlab.has_run():
        swanlab.finish()


def started(folder: Path) -> SwanLabTracker:
    tracker = SwanLabTracker("contract", log_dir=str(folder), **QUICK)
    tracker.start()
    return tracker


def test_odd_names_and_the_first_of_a_step(tmp_path: Path) -> None:
    tracker = started(tmp_path)
    names = ["a/b", "ünï", " odd. ", "x" * 600, "__swanlab__.mine", "tab\t"]
    tracker.log({name: float(place) for place, name in enumerate(names)}, step=0)
    with pytest.warns(AccelTrackWarning, match="first value"):
        tracker.log({"a/b": 9.0}, step=0)
    tracker.finish()
    assert tracker.keeps_of_a_step == "first"
    found = Found(tracker.read(), tmp_path / "read")
    assert found.points == {tracker.stored_name(name): [(0, float(place))] for place, name in enumerate(names)}
    assert tracker.stored_name("a/b") == "a/b"
    assert tracker.stored_name("tab\t") != "tab\t"


def test_files(tmp_path: Path) -> None:
    """Artifacts and checkpoints with what is known about them, and files that stand for media."""
    tracker = started(tmp_path / "logs")
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "b.bin").write_bytes(b"two")
    (folder / "a.txt").write_bytes(b"one")
    tracker.log_artifact(folder, "some/data", type="dataset", metadata={"rows": 3}, step=2)
    tracker.log_artifact(folder / "a.txt", "text")
    tracker.log_checkpoint("epoch=1", str(folder / "a.txt"), 5, {"score": 0.5, "best": True})
    (tmp_path / "a.mp4").write_bytes(b"mp4")
    tracker.log_video({"film": tmp_path / "a.mp4"}, step=7)
    tracker.finish()
    found = Found(tracker.read(), tmp_path / "read")
    assert found.files == {
        "some/data": {"a.txt": b"one", "deep/b.bin": b"two"}, "text": {"a.txt": b"one"},
        "epoch=1": {"epoch=1.txt": b"one"},
    }  # fmt: skip
    known = {one.name: (one.type, one.step, one.values) for one in found.records if isinstance(one, Artifact)}
    assert known == {
        "some/data": ("dataset", 2, {"rows": 3}), "text": ("artifact", None, {}),
        "epoch=1": ("model", 5, {"score": 0.5}),
    }  # fmt: skip
    ((step, film),) = found.media["film"]
    assert isinstance(film, media.Video)
    assert (step, Path(film.content().path or "").read_bytes()) == (7, b"mp4")
    assert not found.run.lost


def test_charts(tmp_path: Path) -> None:
    """Bars that the tracker makes of a histogram are one again, and a heat map a confusion matrix."""
    tracker = started(tmp_path)
    tracker.log({"h": media.Histogram(counts=[1, 2, 3], edges=[0, 1, 2, 3])}, step=0)
    tracker.log({"m": media.ConfusionMatrix(matrix=[[1, 2], [3, 4]], labels=["a", "b"])}, step=0)
    tracker.finish()
    found = Found(tracker.read(), tmp_path / "read").media
    histogram = found["h"][0][1].content().info
    assert (histogram["counts"], histogram["edges"]) == ([1, 2, 3], [0, 1, 2, 3])
    assert found["m"][0][1].content().info == {"matrix": [[1, 2], [3, 4]], "labels": ["a", "b"]}


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted", "preempted"])
@pytest.mark.parametrize("reason", [None, "ValueError: no: never"])
def test_outcomes(tmp_path: Path, status: str, reason: str | None) -> None:
    tracker = started(tmp_path)
    assert tracker.read().outcome is None
    tracker.outcome = Outcome(status, None if status == "finished" else reason)  # type: ignore[arg-type]
    tracker.finish()
    assert tracker.read().outcome == tracker.outcome


@pytest.mark.long
def test_continued_after_kill_9(tmp_path: Path) -> None:
    """What both processes have logged is there once."""
    first, rest = [(step, step / 4) for step in range(5)], [(step, step / 4) for step in range(5, 9)]
    identity = live("swanlab", tmp_path, first, None, config={"lr": 0.1})
    live("swanlab", tmp_path, first + rest, config={"lr": 0.1}, **identity)
    (folder,) = {path.parent.parent for path in tmp_path.rglob("*.swanlab")}
    run = SwanLabTracker("contract", log_dir=str(folder), **identity).read()
    found = Found(run, tmp_path / "read")
    assert found.points["loss"] == first + rest
    assert run.config == {"lr": 0.1}


def test_what_is_not_there(tmp_path: Path) -> None:
    """An error, and no folder."""
    with pytest.raises(NotReadableError, match="not known before `start`"):
        SwanLabTracker("contract", log_dir=str(tmp_path / "nowhere")).read()
    with pytest.raises(NotReadableError, match="has no run 'x'"):
        SwanLabTracker("contract", log_dir=str(tmp_path / "nowhere"), id="x").read()
    with pytest.raises(NotReadableError, match="mode 'online'"):
        SwanLabTracker("contract", log_dir=str(tmp_path / "nowhere"), id="x", mode="online").read()
    assert not (tmp_path / "nowhere").exists()
