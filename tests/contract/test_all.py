"""All nine backends in one process: everything through one run, and `"all"` with nothing configured."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from accel_track import Accelerator
from accel_track.errors import NotStartedError
from tests.support.contracts import contracts
from tests.support.readers.trackio import runs as trackio_runs

OTHER_NAMES = {
    "aim": ["writer", "run"],
    "clearml": ["task"],
    "comet_ml": ["writer"],
    "dvclive": ["live"],
    "mlflow": ["active_run"],
    "swanlab": ["run"],
    "tensorboard": ["writer"],
    "trackio": ["run"],
    "wandb": ["run"],
}
"""What scripts for Hugging Face Accelerate call a tracker's native object."""


@pytest.mark.timeout(180)
def test_nine_backends_hold_the_same_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backends = contracts()
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "clearml"))
    backends["trackio"].others = trackio_runs()  # type: ignore[attr-defined]
    accelerator = Accelerator(log_with="all", project_dir=tmp_path, cpu=True)
    kwargs = {name: backend.init_kwargs(tmp_path) for name, backend in backends.items()}
    accelerator.init_trackers("digits", config={"optimizer": {"lr": 0.25}}, init_kwargs=kwargs)
    trackers = {tracker.name: tracker for tracker in accelerator.trackers}
    assert set(trackers) == set(backends)
    for step in range(5):
        accelerator.log({"train": {"accuracy": torch.tensor(1 / (step + 1))}, "epoch": step}, step=step)
    for name, tracker in trackers.items():
        native = accelerator.get_tracker(name, unwrap=True)
        assert all(getattr(tracker, other) is native for other in OTHER_NAMES[name]), name
    print("the terminal still works")
    accelerator.end_training()
    assert "the terminal still works" in capsys.readouterr().out

    assert accelerator.trackers == list(trackers.values())
    for name, tracker in trackers.items():
        for other in OTHER_NAMES[name]:
            if other != "live":  # a Live's summary is of use after its end
                with pytest.raises(NotStartedError, match=f"{name}: not started, or finished already"):
                    getattr(tracker, other)
        with pytest.raises(NotStartedError):
            accelerator.get_tracker(name, unwrap=True)
        assert not tracker.dropped, name
        assert not tracker.started, name
    for name, backend in backends.items():
        own = tmp_path / name
        stored = backend.read(own if name in ("clearml", "comet_ml") else tmp_path)  # both leave archives
        assert stored.project == "digits", name
        points = backend.points(stored, "train/accuracy")
        assert [step for step, _ in points] == list(range(5)), name
        assert all(value == pytest.approx(1 / (step + 1), rel=1e-6) for step, value in points), name


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "names",
    [
        ["comet_ml", "swanlab"],
        pytest.param(["swanlab", "comet_ml"], marks=pytest.mark.long),
        pytest.param(["comet_ml", "wandb", "clearml"], marks=pytest.mark.long),
    ],
)
def test_terminal_captures_do_not_break_each_other(names: list[str], tmp_path: Path) -> None:
    code = (
        "from accel_track import Accelerator\n"
        f"accelerator = Accelerator(log_with={names!r}, project_dir={str(tmp_path)!r}, cpu=True)\n"
        "accelerator.init_trackers('digits')\naccelerator.log({'loss': 0.5}, step=0)\nprint('during')\n"
        "accelerator.end_training()\nprint('afterwards')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in ("during", "afterwards")] == ["during", "afterwards"]
    assert "RecursionError" not in done.stderr


@pytest.mark.long
@pytest.mark.timeout(180)
def test_all_with_nothing_configured_skips_four_and_asks_nobody(on_terminal: Callable[[str], str]) -> None:
    shown = on_terminal(
        "import json, warnings\n"
        "from accel_track import Accelerator\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    accelerator = Accelerator(log_with='all', project_dir='runs', cpu=True)\n"
        "    accelerator.init_trackers('digits', init_kwargs={'dvclive': {'save_dvc_exp': False}})\n"
        "skipped = [str(one.message) for one in caught if \"skipped by log_with='all'\" in str(one.message)]\n"
        "accelerator.log({'loss': 0.5}, step=0)\n"
        "names = [tracker.name for tracker in accelerator.trackers]\n"
        "accelerator.end_training()\n"
        "print('RESULT' + json.dumps([names, skipped]))\n"
    )
    line = next(line for line in shown.splitlines() if "RESULT" in line)
    names, skipped = json.loads(line.partition("RESULT")[2])
    assert sorted(names) == ["aim", "dvclive", "mlflow", "tensorboard", "trackio"]
    told = " ".join(skipped)
    assert len(skipped) == 4
    for offline in ("WANDB_MODE=offline", "COMET_START_ONLINE=0", "CLEARML_OFFLINE_MODE=1", "SWANLAB_MODE=offline"):
        assert offline in told
