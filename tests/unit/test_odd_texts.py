"""Text that is not UTF-8, as names of files and command lines have it: runs start, end and are delivered all the same."""

import json
import os
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track import Accelerator
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.lightning.logger import AccelTrackLogger
from accel_track.testing.doubles import RecordingTracker
from accel_track.values.plain import check_name

ODD, ESCAPED = os.fsdecode(b"caf\xe9"), "caf\\udce9"
PLACES = ["argv", "folder", "project", "init_kwargs", "config", "metrics"]


def train(place: str, delivery: str) -> None:
    odd = {one: ODD if one == place else "plain" for one in PLACES}
    config = {odd["config"]: [odd["config"], {"path": Path(odd["config"])}]}
    accelerator = Accelerator("tensorboard", odd["folder"], delivery=delivery)
    with accelerator:
        accelerator.init_trackers(odd["project"], config, {"tensorboard": {"comment": odd["init_kwargs"]}})
        for step in range(3):
            accelerator.log({"loss": 1.0, odd["metrics"]: 2.0, "said": odd["metrics"]}, step=step)
        raise ValueError(ODD + ".png")


def stored() -> EventAccumulator:
    (file,) = Path().rglob("events.out.tfevents.*")
    os.chdir(file.parent)  # TensorBoard's reader takes no such folder
    return EventAccumulator(file.name).Reload()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_a_run_ends_as_it_does_with_other_texts(place, delivery, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", ODD if place == "argv" else "plain"])
    with pytest.raises(ValueError, match=r"^caf\udce9\.png$") as caught:
        train(place, delivery)
    assert caught.value.__cause__ is caught.value.__context__ is None
    if delivery == "thread":
        (run,) = find_runs(".")
        info = run.load()
        assert (info.status, info.reason) == ("failed", f"ValueError: {ESCAPED}.png")
        assert info.command == ["train.py", ESCAPED if place == "argv" else "plain"]
        assert json.loads(run.cursor("tensorboard").read_bytes())["delivered"] == 4
    tags = stored().Tags()
    assert set(tags["scalars"]) == {"loss", ESCAPED if place == "metrics" else "plain"}
    assert tags["tensors"] == ["said/text_summary"]


def test_dropped_names_stop_nothing():
    accelerator = Accelerator("tensorboard", "runs")
    accelerator.init_trackers("p")
    with pytest.warns(AccelTrackWarning, match="dropped"):
        for step in range(3):
            accelerator.log({"loss": 1.0, ODD: {"no": object()}}, step=step)
        accelerator.end_training()
    (run,) = find_runs(".")
    cursor = json.loads(run.cursor("tensorboard").read_bytes())
    assert (cursor["delivered"], list(cursor["dropped"].values())) == (3, [3])
    assert ESCAPED in next(iter(cursor["dropped"]))
    assert len(stored().Scalars("loss")) == 3


def test_what_a_backend_refuses_is_set_aside_as_json():
    class Refusing(RecordingTracker):
        def log(self, values, step=None, **kwargs):
            raise ValueError(ODD)

    accelerator = Accelerator(Refusing(), "runs")
    accelerator.init_trackers("p")
    with pytest.warns(AccelTrackWarning, match="refused"):
        accelerator.log({ODD: ODD}, step=0)
        accelerator.end_training()
    (run,) = find_runs(".")
    (line,) = next(run.path.rglob("*.jsonl")).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["values"] == {ESCAPED: ESCAPED}
    assert json.loads(line)["error"] == f"ValueError: {ESCAPED}"


def test_names_of_runs_and_trackers():
    logger = AccelTrackLogger(RecordingTracker(), name=ODD, version=ODD, save_dir="logs")
    assert (logger.name, logger.run_name) == ("caf%udce9", "caf%udce9")
    logger.log_metrics({"loss": 1.0}, 0)
    logger.finish()
    (run,) = find_runs(".")
    assert (run.load().project, run.load().name, run.load().status) == ("caf%udce9", "caf%udce9", "finished")


@pytest.mark.parametrize("odd", [ODD, "a/b", "..", "\n"])
def test_names_of_trackers_that_no_file_can_have(odd):
    tracker = RecordingTracker()
    tracker.name = odd
    with pytest.raises(ValueError, match="RecordingTracker"):
        Accelerator(tracker, "runs")


def test_arguments_that_no_file_can_hold_are_not_stored_as_others():
    accelerator = Accelerator("tensorboard", "runs", delivery="none")
    accelerator.init_trackers("p", init_kwargs={"tensorboard": {"comment": ODD, "flush_secs": 3}})
    accelerator.end_training()
    (run,) = find_runs(".")
    assert run.load().trackers["tensorboard"].kwargs == {"flush_secs": 3}
    assert run.load().trackers["tensorboard"].withheld == ["comment"]


def test_a_run_that_cannot_be_ended_does_not_hide_why_its_block_was_left():
    class Unending(RecordingTracker):
        def finish(self):
            raise OSError("gone")

    def train() -> None:
        with Accelerator(Unending(), "runs", delivery="inline") as accelerator:
            accelerator.init_trackers("p")
            raise KeyError

    with pytest.warns(AccelTrackWarning, match="could not be ended: OSError: gone"), pytest.raises(KeyError):
        train()
    with pytest.raises(OSError, match="gone"), Accelerator(Unending(), "runs", delivery="inline") as accelerator:
        accelerator.init_trackers("p")


@pytest.mark.parametrize(
    "name",
    [" .", ".", "", "  ", ". .", "a/b", "a\\b", "..", "a\0b", "a\nb", "a\x1b[31m", "a\x9b", "a" * 300, "名" * 120],
)
def test_names_that_no_folder_can_have(name):
    with pytest.raises(ValueError, match="`project_name` is used as a folder name") as caught:
        check_name(name, "project_name")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250
    with pytest.raises(ValueError, match="folder name"):
        Accelerator("tensorboard", "runs").init_trackers(name)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", ["a.", " a ", "a" * 240, "名" * 80, "é😀", "a\N{NO-BREAK SPACE}b"])
def test_names_that_folders_have(name):
    accelerator = Accelerator("tensorboard", "runs")
    accelerator.init_trackers(name)
    accelerator.log({"loss": 1.0}, step=0)
    accelerator.end_training()
    (run,) = find_runs(".")
    assert run.load().project == name
    assert len(stored().Scalars("loss")) == 1
