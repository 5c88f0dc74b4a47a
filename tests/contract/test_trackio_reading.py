"""What Trackio's tracker reads back of its own runs, beside what the conformance suite asks."""

from pathlib import Path

import pytest
import trackio

from accel_track.errors import NotReadableError
from accel_track.records import Artifact, Metrics
from accel_track.trackers.trackio.tracker import TrackioTracker
from tests.support.imports import Found


def started(**kwargs: object) -> TrackioTracker:
    tracker = TrackioTracker("contract", auto_log_cpu=False, **kwargs)
    tracker.start()
    return tracker


def test_names_that_trackio_changes(tmp_path: Path) -> None:
    """They are those that the user gave; only half a character has another form."""
    tracker = started()
    names = ["step", "time", "__odd", "____odder", "ünï", "a/b", "", "a\udce9"]
    tracker.log_batch([Metrics(1, 1.6e9, {name: float(place) for place, name in enumerate(names)}, 0)])
    found = Found(tracker.read(), tmp_path / "running")
    assert found.points == {tracker.stored_name(name): [(0, float(place))] for place, name in enumerate(names)}
    assert tracker.stored_name("a\udce9") == "a\\udce9"
    assert [tracker.stored_name(name) for name in names[:-1]] == names[:-1]
    assert [record.time for record in found.records] == [1.6e9]
    tracker.finish()


def test_all_values_of_a_step(tmp_path: Path) -> None:
    tracker = started()
    for value in (1.0, 2.0, 1.0):
        tracker.log({"x": value}, step=3)
    tracker.finish()
    assert tracker.keeps_of_a_step == "all"
    assert Found(tracker.read(), tmp_path / "read").points == {"x": [(3, 1.0), (3, 2.0), (3, 1.0)]}


def test_checkpoints(tmp_path: Path) -> None:
    """By the names that they were given, without those that were deleted."""
    tracker = started()
    for name in ("one", "two"):
        (tmp_path / f"{name}.ckpt").write_text(name)
        tracker.log_checkpoint(name, str(tmp_path / f"{name}.ckpt"), 3, {"score": 0.5})
    tracker.delete_checkpoint("two")
    tracker.finish()
    found = Found(tracker.read(), tmp_path / "read")
    assert found.files == {"one": {"one.ckpt": b"one"}}
    (record,) = found.records
    assert isinstance(record, Artifact)
    assert (record.type, record.step, record.values) == ("model", 3, {"score": 0.5})


def test_what_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error, and no folder."""
    tracker = TrackioTracker("contract", name="x")
    with pytest.raises(NotReadableError, match="not known before `start`"):
        tracker.read()
    monkeypatch.setattr(trackio.utils, "TRACKIO_DIR", tmp_path / "nowhere")
    with pytest.raises(NotReadableError, match="cannot be read"):
        TrackioTracker("contract", run_id="x").read()
    assert not (tmp_path / "nowhere").exists()
    for given in ({"server_url": "http://127.0.0.1:1"}, {"space_id": "a/b"}):
        with pytest.raises(NotReadableError, match="on a server"):
            TrackioTracker("contract", run_id="x", **given).read()
