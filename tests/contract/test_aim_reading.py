"""What Aim's tracker reads back of its own runs, beside what the conformance suite asks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.outcome import Outcome
from accel_track.records import Artifact, Metrics
from accel_track.trackers.aim.tracker import AimTracker
from tests.support.imports import Found
from tests.support.readers.aim import AimContract


@pytest.fixture
def tracker(tmp_path: Path) -> AimTracker:
    tracker = AimContract().make(tmp_path)
    tracker.start()
    return tracker


def test_odd_names_and_the_last_of_a_step(tracker: AimTracker, tmp_path: Path) -> None:
    """Also while the run is going on; the names are those that the user gave."""
    names = ["a/b", "ünï", "", " odd. ", "x" * 600]
    records = [Metrics(place, 1.6e9 + place, dict.fromkeys(names, float(place)), 0) for place in range(3)]
    tracker.log_batch(records)
    assert tracker.keeps_of_a_step == "last"
    found = Found(tracker.read(), tmp_path / "running")
    assert found.points == {tracker.stored_name(name): [(0, 2.0)] for name in names}
    assert [record.time for record in found.records] == [1.6e9 + 2]
    tracker.finish()
    assert Found(tracker.read(), tmp_path / "finished").points == found.points


def test_calls_stay_together(tracker: AimTracker, tmp_path: Path) -> None:
    """Each with its time, also where a later step was logged first."""
    records = [Metrics(i, 1.6e9 + i, {"a": i / 4, "b": i / 7}, step) for i, step in enumerate((0, 1, 5, 2, 3))]
    tracker.log_batch(records)
    tracker.log_batch([Metrics(9, 1.6e9 + 9, {"a": 9.0, "text": "t", "image": media.Image(np.zeros((2, 3)))}, 9)])
    tracker.finish()
    found = Found(tracker.read(), tmp_path / "read").records
    assert [(one.time, one.step, one.values) for one in found[:5]] == [(r.time, r.step, r.values) for r in records]
    assert set(found[5].values) == {"a", "text", "image"}


def test_files(tracker: AimTracker, tmp_path: Path) -> None:
    """Artifacts and checkpoints with what is known about them, and files that stand for media."""
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "b.bin").write_bytes(b"two")
    (folder / "a.txt").write_bytes(b"one")
    tracker.log_artifact(folder, "some/data", type="dataset", metadata={"rows": 3}, step=2)
    tracker.log_artifact(folder / "a.txt", "text")
    tracker.log_checkpoint("epoch=1", str(folder / "a.txt"), 5, {"score": 0.5})
    tracker.log_html({"some/page": "<b>x</b>"}, step=7)
    tracker.finish()
    found = Found(tracker.read(), tmp_path / "read")
    assert found.files == {
        "some/data": {"a.txt": b"one", "deep/b.bin": b"two"}, "text": {"a.txt": b"one"},
        "epoch=1": {"a.txt": b"one"},
    }  # fmt: skip
    known: dict[str, Any] = {one.name: one for one in found.records if isinstance(one, Artifact)}
    assert {name: (one.type, one.step, one.values) for name, one in known.items()} == {
        "some/data": ("dataset", 2, {"rows": 3}), "text": ("artifact", None, {}),
        "epoch=1": ("model", 5, {"score": 0.5}),
    }  # fmt: skip
    ((step, page),) = found.media["some/page"]
    assert isinstance(page, media.Html)
    assert step == 7
    assert found.run.config == {}
    assert not found.run.lost


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted", "preempted"])
def test_outcomes(tracker: AimTracker, tmp_path: Path, status: str) -> None:
    """The last one counts, where a run has been continued."""
    assert tracker.read().outcome is None
    identity = tracker.identity()
    tracker.outcome = Outcome("failed", "an earlier error")
    tracker.finish()
    assert tracker.read().outcome == tracker.outcome
    tracker = AimContract().make(tmp_path, **identity)
    tracker.start()
    assert tracker.read().outcome is None
    tracker.log({"x": 1.0}, step=0)
    tracker.outcome = Outcome(status, None if status == "finished" else "ValueError: no: never")  # type: ignore[arg-type]
    tracker.finish()
    assert tracker.read().outcome == tracker.outcome


def test_what_is_not_there(tmp_path: Path) -> None:
    """An error, and no folder."""
    with pytest.raises(NotReadableError, match="not known before `start`"):
        AimTracker("x", tmp_path / "nowhere").read()
    with pytest.raises(NotReadableError, match="has no run 'abc'"):
        AimTracker("x", tmp_path / "nowhere", run_hash="abc").read()
    assert not (tmp_path / "nowhere").exists()
