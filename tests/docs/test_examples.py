"""Every example runs as a user would run it."""

import os
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track.journal.directory import find_runs
from tests.support import warm

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = warm.run(command, timeout=240, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def events(folder: Path) -> EventAccumulator:
    (place,) = {file.parent for file in folder.rglob("events.out.tfevents.*")}
    accumulator = EventAccumulator(str(place))
    accumulator.Reload()
    return accumulator


def steps(folder: Path, tag: str) -> list[int]:
    return [event.step for event in events(folder).Scalars(tag)]


def test_none_is_forgotten() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "digits_accelerator",
        "digits_lightning",
        "custom_tracker",
        "hydra_sweep",  # this one and three more: tests/bridges/test_recipes.py
        "ignite_loop",
        "media",
        "mixed",
        "optuna_study",
        "preemption",
        "torchrun_plain",
    }


@pytest.mark.timeout(300)
def test_digits_accelerator(tmp_path: Path) -> None:
    printed = run("digits_accelerator.py", "tensorboard", "mlflow", "--dir", str(tmp_path), "--epochs", "2")
    assert "epoch 1: validation accuracy 0." in printed
    assert len(steps(tmp_path / "digits", "train/loss")) == 40
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert found.data.params["optimizer/lr"] == "0.003"
    assert len(client.get_metric_history(found.info.run_id, "val/accuracy")) == 2
    assert (tmp_path / "checkpoint" / "state.ckpt").exists()
    tags = events(tmp_path / "digits").Tags()
    assert {"val/confusion", "val/samples/0", "val/samples/3"} <= set(tags["images"])
    assert {"gradients/1.weight", "parameters/3.bias"} <= set(tags["histograms"])


@pytest.mark.timeout(300)
def test_digits_lightning(tmp_path: Path) -> None:
    printed = run("digits_lightning.py", "--dir", str(tmp_path), "--epochs", "1")
    assert "logged to tensorboard; checkpoints are in" in printed
    assert steps(tmp_path / "digits" / "version_0", "test/accuracy") == [20]
    tags = events(tmp_path / "digits" / "version_0").Tags()
    assert {"validation/samples", "validation/confusion_matrix"} <= set(tags["images"])
    assert {"gradients/network.1.weight", "parameters/network.3.bias"} <= set(tags["histograms"])


@pytest.mark.timeout(300)
def test_media(tmp_path: Path) -> None:
    printed = run("media.py", "tensorboard", "--dir", str(tmp_path), "--steps", "2")
    assert f"tensorboard: tensorboard --logdir {tmp_path}" in printed
    tags = events(tmp_path / "shapes").Tags()
    assert {"one/image", "several/images/2", "a/video", "a/confusion"} <= set(tags["images"])
    assert (tags["histograms"], tags["audio"]) == (["a/histogram"], ["a/sound"])
    assert {"a/text/text_summary", "a/table/text_summary"} <= set(tags["tensors"])


@pytest.mark.timeout(300)
def test_custom_tracker() -> None:
    lines = run("custom_tracker.py").splitlines()
    assert lines[0] == '{"run": "demo", "event": "start"}'
    assert '"values": {"loss": 0.5, "val": {"accuracy": 0.3333333333333333}}' in lines[3]
    assert lines[-1] == '{"run": "demo", "event": "finish"}'


@pytest.mark.timeout(300)
def test_mixed(tmp_path: Path) -> None:
    printed = run("mixed.py", "--dir", str(tmp_path), "--epochs", "1")
    assert printed.count("best: started") == 1
    assert "best: pretraining/loss = 0.1000" in printed
    assert "best: val/accuracy" in printed
    assert steps(tmp_path / "pretraining", "pretraining/loss") == list(range(10))


def test_preemption(tmp_path: Path) -> None:
    killed = [sys.executable, str(EXAMPLES / "preemption.py"), "--dir", str(tmp_path), "--kill-at", "130"]
    assert warm.run(killed, timeout=240).returncode == -9
    assert "trained to step 400" in run("preemption.py", "--dir", str(tmp_path))
    assert steps(tmp_path / "preemption/version_0", "train/loss")[-1] == 399
    (found,) = find_runs(tmp_path)
    assert (found.load().status, found.load().starts) == ("finished", 2)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (stored,) = client.search_runs([client.get_experiment_by_name("preemption").experiment_id])
    assert {metric.step for metric in client.get_metric_history(stored.info.run_id, "train/loss")} == set(
        range(9, 400, 10)
    )
