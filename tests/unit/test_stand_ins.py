"""Trackers that another process runs: what takes their place, and what goes to one tracker only."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from accel_track import Accelerator
from accel_track.errors import AccelTrackWarning, ElsewhereError, NotStartedError
from accel_track.journal.reader import JournalReader
from accel_track.options import Settings
from accel_track.records import Artifact, Config, Metrics, decode, encode, numbers
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker
from accel_track.trackers.base import GeneralTracker
from tests.support.processes import accel_track
from tests.support.runs import only_run, scalars

LOGS = Path("logs")


def begun(delivery: str, log_with: Any = ("tensorboard", "jsonl"), **arguments: Any) -> Accelerator:
    accelerator = Accelerator(log_with=log_with, project_dir="logs", cpu=True, delivery=delivery, **arguments)
    accelerator.init_trackers("p", run_name="r")
    return accelerator


def lines() -> list[tuple[int, dict[str, Any]]]:
    """Return the steps and values that the tracker jsonl has stored."""
    (file,) = (file for file in LOGS.rglob("*.jsonl") if ".accel_track" not in file.parts)
    found = map(json.loads, file.read_text().splitlines())
    return [(one.pop("step"), {key: one[key] for key in one if key not in ("time", "seq")}) for one in found]


@pytest.mark.parametrize("delivery", ["process", "none"])
def test_what_a_stand_in_is_given_goes_to_its_tracker_and_no_other(delivery: str) -> None:
    accelerator = begun(delivery)
    names = [tracker.name for tracker in accelerator.trackers]
    assert names == ["tensorboard", "jsonl"]
    for number, tracker in enumerate(accelerator.trackers):
        assert isinstance(tracker, GeneralTracker)
        assert accelerator.get_tracker(tracker.name) is tracker
        tracker.log({"own": float(number)}, step=3)
    accelerator.log({"shared": 0.5}, step=4)
    tensorboard = accelerator.get_tracker("tensorboard")
    tensorboard.log_images({"picture": Image.new("RGB", (4, 4), "red")}, step=5)
    tensorboard.store_init_configuration({"only_here": 1})
    accelerator.end_training()
    if delivery == "none":
        accel_track("sync", only_run(LOGS).path)

    assert scalars(LOGS / "p", "own") == [(3, 0.0)]
    assert scalars(LOGS / "p", "shared") == [(4, 0.5)]
    assert lines() == [(3, {"own": 1.0}), (4, {"shared": 0.5})]
    assert "only_here" in next(LOGS.rglob("hparams.y*ml")).read_text()
    assert not list(LOGS.rglob("p/**/config.json"))


@pytest.mark.parametrize(("delivery", "where"), [("process", "another process"), ("none", "`accel-track sync`")])
def test_what_cannot_be_reached_says_why(delivery: str, where: str) -> None:
    accelerator = begun(delivery, ["jsonl"])
    (tracker,) = accelerator.trackers
    for name in ("tracker", "writer", "run", "finish", "start", "page", "dropped", "started"):
        with pytest.raises(ElsewhereError, match=f"`{name}` of 'jsonl' cannot be reached: it runs in {where}"):
            getattr(tracker, name)()
    tracker.flush()  # what was logged is safe in the journal
    assert not hasattr(tracker, "writer")
    with pytest.raises(NotStartedError):
        accelerator.get_tracker("jsonl", unwrap=True)
    with pytest.raises(ValueError, match="no tracker 'wandb' in this run; there are: jsonl"):
        accelerator.get_tracker("wandb")
    accelerator.end_training()
    assert accelerator.trackers == [tracker]
    with pytest.warns(AccelTrackWarning, match="the run has ended"):
        tracker.log({"late": 1.0})


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_values_for_one_tracker_of_this_process(delivery: str) -> None:
    class Other(RecordingTracker):
        name = "other"

    one, other = RecordingTracker(), Other()
    accelerator = begun(delivery, [one, other])
    run = accelerator._run
    assert run is not None
    run.log({"a": 1.0}, 0)
    run.log({"a": 1.0}, 0, only="other")
    run.log({"a": 1.0}, 0)
    Path("file.txt").write_text("x")
    with pytest.warns(AccelTrackWarning, match=r"other: dropped '(file|missing).txt'"):
        run.log_artifact("file.txt", only="other")
        run.log_artifact("missing.txt", only="other")
        run.store_configuration({"b": 2}, only="other")
        accelerator.end_training()
    assert [sum(call[0] == "log" for call in tracker.calls) for tracker in (one, other)] == [2, 3]
    assert [("config", {"b": 2}) in tracker.calls for tracker in (one, other)] == [False, True]
    assert [dict(tracker.dropped) for tracker in (one, other)] == [{}, {"file.txt": 1, "missing.txt": 1}]
    if delivery == "thread":
        counts = {
            name: json.loads(only_run(LOGS).cursor(name, 0).read_text())["delivered"] for name in ("recording", "other")
        }
        assert counts["other"] - counts["recording"] == 4  # what was not for a tracker does not count as delivered


def test_other_ranks_have_stand_ins_for_what_runs_on_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    selected = select(["wandb", "tensorboard"], "logs", missing="keep")
    run = Run(selected, project="p", directory="logs", rank=1, settings=Settings.of(delivery="none", all_ranks=True))
    assert [tracker.name for tracker in run.trackers] == ["wandb"]
    run.finish()


def test_the_journal_keeps_for_whom_a_record_is() -> None:
    for record in (
        Metrics(0, 1.0, {"a": 1.0}, 1, {}, {}, "wandb"),
        Config(0, 1.0, {"a": 1.0}, only="wandb"),
        Artifact(0, 1.0, {}, "a", "/a", only="wandb"),
    ):
        assert decode(encode(record)[0]) == record
    assert numbers(Metrics(0, 1.0, {"a": 1.0}, 1, {}, {}, "wandb")) is None  # a record in short is for all
    accelerator = begun("none", ["jsonl"])
    for _ in range(3):
        accelerator.log({"a": 1.0}, step=1)
        accelerator.trackers[0].log({"a": 1.0}, step=1)
    accelerator.end_training()
    assert [one.only for one in JournalReader(only_run(LOGS).rank()) if isinstance(one, Metrics)] == ["", "jsonl"] * 3
