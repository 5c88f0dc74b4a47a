"""How Comet's experiments end, go on and keep checkpoints, read back from the archives."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from accel_track.errors import AccelTrackWarning
from accel_track.outcome import Outcome
from accel_track.trackers.comet.tracker import CometMLTracker
from tests.support.lives import live
from tests.support.readers.comet import archives, messages, metrics, offline, read


def described(archive: Path) -> dict[str, Any]:
    """Return what an archive says of its experiment."""
    with zipfile.ZipFile(archive) as content:
        return dict(json.loads(content.read("experiment.json")))


def statuses(archive: Path) -> list[str]:
    """Return the values that the field `status` had."""
    return [one["value"] for one in messages(archive, "log_other") if one["key"] == "status"]


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(), "finished"),
        (Outcome("failed", "ValueError: no"), "failed: ValueError: no"),
        (Outcome("interrupted", "KeyboardInterrupt"), "interrupted: KeyboardInterrupt"),
        (Outcome("preempted"), "preempted"),
    ],
)
def test_status(tmp_path: Path, outcome: Outcome, status: str) -> None:
    """The field says how it ended and why; an experiment that did not finish has an error report in its archive."""
    tracker = CometMLTracker("p", experiment_config=offline(tmp_path))
    tracker.start()
    tracker.outcome = outcome
    tracker.finish()
    (archive,) = archives(tmp_path)
    assert statuses(archive) == [status]
    reported = described(archive)
    assert reported["customer_error_reported"] is (status != "finished")
    assert reported["customer_error_message"] == (None if status == "finished" else status)


@pytest.mark.long
def test_continued_after_kill_9(tmp_path: Path) -> None:
    """The killed process leaves no values; another adds an archive of the same key with all of them."""
    first, rest = [(step, step / 4) for step in range(5)], [(step, step / 4) for step in range(5, 9)]
    identity = live("comet_ml", tmp_path, first, None, config={"lr": 0.1})
    assert live("comet_ml", tmp_path, first + rest, config={"lr": 0.1}, **identity) == identity
    archive = archives(tmp_path)[-1]
    assert {path.name.partition("-")[0] for path in archives(tmp_path)} == {identity["experiment_key"]}
    assert metrics(archive)["loss"] == first + rest
    assert read(archive).config["lr"] == 0.1
    assert statuses(archive) == ["running", "finished"]


@pytest.mark.long
def test_a_failed_experiment_goes_on_and_finishes(tmp_path: Path) -> None:
    """Its archives are one experiment that failed and then finished; rewound steps have a second value."""
    identity = live("comet_ml", tmp_path, [(0, 0.0), (1, 1.0), (2, 2.0)], "failed")
    live("comet_ml", tmp_path, [(1, -1.0), (2, -2.0), (3, -3.0)], rewind=1, **identity)
    failed, finished = archives(tmp_path)
    assert described(failed)["offline_id"] == described(finished)["offline_id"] == identity["experiment_key"]
    assert (statuses(failed), statuses(finished)) == (["failed"], ["running", "finished"])
    assert [described(one)["customer_error_reported"] for one in (failed, finished)] == [True, False]
    assert metrics(failed)["loss"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert metrics(finished)["loss"] == [(1, -1.0), (2, -2.0), (3, -3.0)]


def test_checkpoints(tmp_path: Path) -> None:
    """They are models, and copies: the program may delete its own at once."""
    tracker = CometMLTracker("p", experiment_config=offline(tmp_path))
    tracker.start()
    file, folder = tmp_path / "kept" / "x.ckpt", tmp_path / "kept" / "sharded"
    (folder / "part").mkdir(parents=True)
    file.write_text("whole")
    (folder / "part" / "0").write_text("zero")
    (folder / ".meta").write_text("meta")
    tracker.log_checkpoint("epoch=3-loss=0.5", str(file), 400, {"score": 0.5, "best": True, "why": None})
    file.write_text("later")
    tracker.log_checkpoint("epoch=3-loss=0.5", str(file), 401, {})
    tracker.log_checkpoint("last", str(folder), None, {"last": True})
    shutil.rmtree(tmp_path / "kept")
    tracker.delete_checkpoint("last")
    tracker.finish()
    assert not tracker.dropped
    (archive,) = archives(tmp_path)
    uploads = [one for one in messages(archive, "file_upload") if one["upload_type"] == "model-element"]
    with zipfile.ZipFile(archive) as content:
        stored = [
            (
                one["additional_params"]["groupingName"],
                one["additional_params"]["fileName"],
                content.read(path).decode(),
            )
            for one in uploads
            for path in [one["file_path"]]
        ]
    assert stored == [
        ("epoch=3-loss=0.5", "epoch=3-loss=0.5.ckpt", "whole"),
        ("epoch=3-loss=0.5", "epoch=3-loss=0.5.ckpt", "later"),
        ("last", "last/.meta", "meta"),
        ("last", "last/part/0", "zero"),
    ]
    assert all(one["additional_params"]["overwrite"] for one in uploads)
    assert uploads[0]["metadata"] == {"score": 0.5, "why": None, "step": 400}


def test_a_checkpoint_that_comet_cannot_take_is_counted(tmp_path: Path) -> None:
    """The SDK only logs that a file is missing."""
    tracker = CometMLTracker("p", experiment_config=offline(tmp_path))
    tracker.start()
    with pytest.warns(AccelTrackWarning, match="'checkpoint'"):
        tracker.log_checkpoint("last", str(tmp_path / "missing"), 0, {})
    tracker.finish()
    assert tracker.dropped == {"checkpoint": 1}


def test_a_second_run_starts_clean(tmp_path: Path) -> None:
    """A tracker's next experiment has another key, and neither the hyperparameters nor the status of the one before."""
    tracker = CometMLTracker("p", experiment_config=offline(tmp_path))
    for config, status in (({"a": 1}, "failed"), ({"b": 2}, "finished")):
        tracker.start()
        tracker.store_init_configuration(dict(config))
        tracker.log({"loss": 0.5}, step=3)
        tracker.outcome = Outcome(status)  # type: ignore[arg-type]
        tracker.finish()
    first, second = archives(tmp_path)
    assert first.name.partition("-")[0] != second.name.partition("-")[0]
    assert read(second).config.keys() & {"a", "b"} == {"b"}
    assert statuses(second) == ["finished"]
    assert not described(second)["customer_error_reported"]
