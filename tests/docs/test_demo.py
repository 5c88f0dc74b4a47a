"""`accel-track demo` as a user runs it, and what both backends then hold."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from accel_track.cli import app
from tests.support import warm

PAGE = Path(__file__).parents[2] / "docs" / "commands" / "check.md"


@pytest.mark.timeout(300)
def test_tensorboard_and_mlflow_hold_the_same_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "accel_track", "demo", "--dir", str(folder), "--epochs", "3"]
    done = warm.run(command, timeout=240, env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    (shown,) = re.findall(r"^```text\n(Pictures.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown in re.sub(r" +$", "", done.stdout, flags=re.MULTILINE)
    for told in ("train/loss", "loss by training step", "tensorboard --logdir", "mlflow ui --backend-store-uri"):
        assert told in done.stdout

    events = EventAccumulator(str(folder / "digits" / "version_0"), size_guidance={"scalars": 0})
    events.Reload()
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert run.info.run_name == "version_0"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"hidden": "64", "lr": "0.003"}
    names = events.Tags()["scalars"]
    assert set(names) == {name for name in run.data.metrics if not name.startswith("gradients/")}
    assert {"train/loss", "val/loss", "val/accuracy", "test/accuracy"} <= set(names)
    for name in names:
        in_files = [(event.step, event.value) for event in events.Scalars(name)]
        in_database = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]
        assert len(in_files) == len(in_database) > 0
        for (step, value), (other_step, other) in zip(in_files, sorted(in_database), strict=True):
            assert step == other_step
            assert value == pytest.approx(other, rel=1e-6)  # event files hold 32-bit floats
    assert events.Scalars("test/accuracy")[0].value > 0.5


@pytest.mark.timeout(300)
def test_both_hold_the_same_media(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "accel_track", "demo", "--dir", str(tmp_path), "--epochs", "2", "--json"]
    done = warm.run(command, timeout=240)
    assert done.returncode == 0, done.stderr
    media = json.loads(done.stdout)["media"]
    layers = [f"network.{layer}.{kind}" for layer in (1, 3) for kind in ("bias", "weight")]
    validations = ("validation/samples", "validation/confusion_matrix", "validation/classes")
    expected = {"note": 1, **dict.fromkeys(validations, 2), **{f"gradients/{name}": 1 for name in layers}}
    assert media == {"tensorboard": expected, "mlflow": expected}


def test_help_says_what_there_is_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom accel_track.cli import app\n"
        "result = CliRunner().invoke(app, ['--help'])\nassert result.exit_code == 0\nassert 'demo' in result.output\n"
        "assert not {'torch', 'lightning', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_bad_options_are_refused() -> None:
    result = CliRunner().invoke(app, ["demo", "--epochs", "0"])
    assert result.exit_code == 2
    assert "--epochs" in result.output
