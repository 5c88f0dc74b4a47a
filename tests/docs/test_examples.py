"""Every example runs as a user runs it; those for other libraries are in tests/bridges/test_recipes.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track.journal.directory import find_runs
from tests.support import warm
from tests.support.examples import EXAMPLES, GROUPS, PAGE, page, run
from tests.support.runs import only_run


def events(folder: Path) -> EventAccumulator:
    (place,) = {file.parent for file in folder.rglob("events.out.tfevents.*")}
    accumulator = EventAccumulator(str(place))
    accumulator.Reload()
    return accumulator


def steps(folder: Path, tag: str) -> list[int]:
    return [event.step for event in events(folder).Scalars(tag)]


def test_the_list_is_up_to_date() -> None:
    """Else: python -m tests.support.examples."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_none_is_forgotten() -> None:
    listed = sorted(name for names in GROUPS.values() for name in names)
    assert listed == sorted({path.stem for path in EXAMPLES.iterdir() if path != PAGE and path.name[0] not in "._"})


def test_none_is_long() -> None:
    for path in EXAMPLES.rglob("*.*"):
        if path.suffix in (".py", ".sh", ".yaml"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 120, path


def test_digits_accelerator(tmp_path: Path) -> None:
    printed = run("digits_accelerator.py", "tensorboard", "--dir", str(tmp_path), "--epochs", "1")
    assert "epoch 0: validation accuracy 0." in printed
    assert len(steps(tmp_path / "digits", "train/loss")) == 20
    assert len(steps(tmp_path / "digits", "val/accuracy")) == 1
    assert (tmp_path / "checkpoint" / "state.ckpt").exists()
    tags = events(tmp_path / "digits").Tags()
    assert {"val/confusion", "val/samples/0", "val/samples/3"} <= set(tags["images"])
    assert {"gradients/1.weight", "parameters/3.bias"} <= set(tags["histograms"])


def test_digits_lightning(tmp_path: Path) -> None:
    printed = run("digits_lightning.py", "--dir", str(tmp_path), "--epochs", "1")
    assert "logged to tensorboard, mlflow; checkpoints are in" in printed
    assert steps(tmp_path / "digits" / "version_0", "test/accuracy") == [20]
    tags = events(tmp_path / "digits" / "version_0").Tags()
    assert {"validation/samples", "validation/confusion_matrix"} <= set(tags["images"])
    assert {"gradients/network.1.weight", "parameters/network.3.bias"} <= set(tags["histograms"])
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert (found.data.params["hidden"], found.info.status) == ("64", "FINISHED")
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "test/accuracy")] == [20]
    assert [one.path for one in client.list_artifacts(found.info.run_id, "checkpoints")]


@pytest.mark.long
def test_lightning_cli(tmp_path: Path) -> None:
    config = EXAMPLES / "lightning_cli.yaml"
    options = ["--trainer.max_epochs", "1", "--model.lr", "0.01", "--trainer.logger.init_args.save_dir", str(tmp_path)]
    run("lightning_cli.py", "fit", "--config", str(config), *options)
    assert len(steps(tmp_path, "val/accuracy")) == 1
    shown = [sys.executable, "-m", "accel_track", "show", str(only_run(tmp_path).path), "--json"]
    told = json.loads(warm.run(shown, timeout=60, check=True).stdout)["config"]
    assert (told["hidden"], told["lr"]) == (64, 0.01)
    assert told["options"]["trainer"]["logger"]["class_path"] == "accel_track.AccelTrackLogger"


def test_media(tmp_path: Path) -> None:
    printed = run("media.py", "tensorboard", "--dir", str(tmp_path), "--steps", "2")
    assert f"tensorboard: tensorboard --logdir {tmp_path}" in printed
    tags = events(tmp_path / "shapes").Tags()
    assert {"one/image", "several/images/2", "a/video", "a/confusion"} <= set(tags["images"])
    assert (tags["histograms"], tags["audio"]) == (["a/histogram"], ["a/sound"])
    assert {"a/text/text_summary", "a/table/text_summary"} <= set(tags["tensors"])


def test_custom_tracker() -> None:
    lines = run("custom_tracker.py").splitlines()
    assert lines[0] == '{"run": "demo", "event": "start"}'
    assert '"values": {"loss": 0.5, "val": {"accuracy": 0.3333333333333333}}' in lines[3]
    assert lines[-2] == '{"run": "demo", "event": "finish"}'


def test_mixed(tmp_path: Path) -> None:
    printed = run("mixed.py", "--dir", str(tmp_path), "--epochs", "1")
    assert printed.count("best: started") == 1
    assert "best: pretraining/loss = 0.1000" in printed
    assert "best: val/accuracy" in printed
    assert steps(tmp_path / "pretraining", "pretraining/loss") == list(range(10))


@pytest.mark.long
def test_preemption(tmp_path: Path) -> None:
    killed = [sys.executable, str(EXAMPLES / "preemption.py"), "--dir", str(tmp_path), "--kill-at", "130"]
    assert warm.run(killed, timeout=240).returncode == -9
    assert "trained to step 200" in run("preemption.py", "--dir", str(tmp_path))
    assert steps(tmp_path / "preemption/version_0", "train/loss")[-1] == 199
    (found,) = find_runs(tmp_path)
    assert (found.load().status, found.load().starts) == ("finished", 2)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (stored,) = client.search_runs([client.get_experiment_by_name("preemption").experiment_id])
    assert {one.step for one in client.get_metric_history(stored.info.run_id, "train/loss")} == set(range(9, 200, 10))


def test_k_fold(tmp_path: Path) -> None:
    printed = run("k_fold.py", "--dir", str(tmp_path), "--folds", "3", "--epochs", "1")
    assert printed.startswith("accuracy of 3 folds: 0.")
    runs = {found.load().name: found for found in find_runs(tmp_path)}
    parent = runs.pop("digits")
    assert sorted(runs) == ["digits-fold-0", "digits-fold-1", "digits-fold-2"]
    assert {one.load().parent for one in runs.values()} == {parent.load().run_id}
    accumulator = EventAccumulator(str(tmp_path / "k_fold" / "digits"))
    accumulator.Reload()
    folds = [event.value for event in accumulator.Scalars("val/accuracy")]
    (mean,) = (event.value for event in accumulator.Scalars("val/accuracy_mean"))
    assert abs(mean - sum(folds) / 3) < 1e-6
    assert f"{mean:.3f} ± " in printed


@pytest.mark.long
def test_cluster(tmp_path: Path) -> None:
    """The job makes no backend's files and goes on in its run; the login node delivers it."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])

    def script(name: str, *arguments: str) -> str:
        """Run a script with this environment's programs; return what it prints."""
        command = ["bash", str(EXAMPLES / "cluster" / name), *arguments]
        environment = {**os.environ, "PATH": path}
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=environment).stdout

    preempted = [str(EXAMPLES / "cluster" / "train.py"), "--dir", str(tmp_path), "--stop-at", "50"]
    journal_only = {**os.environ, "ACCEL_TRACK_DELIVERY": "none"}
    first = warm.run([sys.executable, *preempted, "tensorboard", "jsonl"], timeout=120, env=journal_only)
    assert "preempted at step 50" in first.stderr
    assert "trained from step 40 to 100" in script("job.sh", "--dir", str(tmp_path), "tensorboard", "jsonl")
    assert not (tmp_path / "cluster").exists()

    assert "jsonl: 10" in script("deliver.sh", str(tmp_path))
    (lines,) = (tmp_path / "cluster").rglob("metrics.jsonl")
    assert [json.loads(line)["step"] for line in lines.read_text().splitlines()] == list(range(100))
    assert steps(tmp_path / "cluster", "train/loss") == list(range(100))
    assert only_run(tmp_path).load().starts == 2


@pytest.mark.long
def test_plugin_package(tmp_path: Path) -> None:
    """It is installed by pip, used by name in a run and by `sync`, and passes the conformance suite."""
    install = ["install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path / "site")]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", *install]
    subprocess.run([*pip, str(EXAMPLES / "plugin_package")], check=True, capture_output=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    logs = "import accel_track; run = accel_track.init('demo', {}); run.log({{'loss': 0.5}}, 3); run.finish()"
    for log_with in ("'csv'", "None"):
        code = [sys.executable, "-c", logs.format(log_with)]
        warm.run(code, timeout=60, check=True, env=environment, cwd=tmp_path)
    later = max(find_runs(tmp_path), key=lambda found: found.load().created)
    sync = [sys.executable, "-m", "accel_track", "sync", str(later.path), "--to", "csv"]
    warm.run(sync, timeout=60, check=True, env=environment, cwd=tmp_path)
    files = list((tmp_path / "demo").glob("*.csv"))
    assert len(files) == 2
    for file in files:
        head, row = file.read_text().splitlines()
        assert head == "step,time,name,value"
        assert (row.startswith("3,"), row.endswith(",loss,0.5")) == (True, True)

    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    cold = "not forgotten_end and not leaves_no_thread"  # these start programs that import everything again
    done = warm.run([*suite, "-k", cold, str(EXAMPLES / "plugin_package")], timeout=150, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.splitlines()[-1].partition(" passed")[0]) >= 30
