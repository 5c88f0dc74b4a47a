"""Programs that end in every way: what `log` had taken is in the journal, and `sync` brings it to the backends."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.contracts import contracts
from tests.support.processes import accel_track
from tests.support.runs import acknowledged, journaled, metric_history, only_run, scalars
from tests.support.waiting import until

KILLS = int(os.environ.get("ACCEL_TRACK_TEST_KILLS", "50"))

LOOP = """
import os
from accel_track.delivery.settings import Settings
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing.doubles import RecordingTracker

run = Run(select(RecordingTracker()), project="p", directory="logs", settings=Settings.of())
side = os.open("side", os.O_WRONLY | os.O_CREAT)
step = 0
while True:
    run.log({"loss": step / 7, "lr": 0.1}, step)
    os.pwrite(side, b"%012d" % step, 0)
    step += 1
"""


def wait_for_steps(side: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until a program has logged something."""
    until(lambda: (side.exists() and side.stat().st_size) or process.poll() is not None)
    assert process.poll() is None, process.stderr.read() if process.stderr else ""


@pytest.mark.timeout(600)
def test_nothing_that_was_logged_is_lost_by_kill_9(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    chance = random.Random(0)
    for number in range(KILLS):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        process = program(LOOP)
        wait_for_steps(folder / "side", process)
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        process.communicate()
        last = int((folder / "side").read_text())
        steps = journaled(only_run(folder / "logs"))
        assert steps == list(range(len(steps)))
        assert len(steps) > last, f"{last} had returned, {len(steps)} are there"


@pytest.mark.first(1)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("delivered", [False, True])
def test_sync_brings_tensorboard_and_mlflow_to_every_step_after_kill_9(
    delivered: bool, program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = program("""
import os, time
from accel_track import Accelerator

accelerator = Accelerator(log_with=["tensorboard", "mlflow"], project_dir="logs", cpu=True)
accelerator.init_trackers("p", config={"lr": 0.1})
side = os.open("side", os.O_WRONLY | os.O_CREAT)
for step in range(10**6):
    accelerator.log({"loss": step / 8}, step=step)
    os.pwrite(side, b"%012d" % step, 0)
    time.sleep(0.001)
""")
    wait_for_steps(Path("side"), process)
    if delivered:
        until(lambda: all(acknowledged(only_run(Path("logs")), name) > 100 for name in ("tensorboard", "mlflow")))
    process.kill()
    process.communicate()
    last, run = int(Path("side").read_text()), only_run(Path("logs"))
    database = f"sqlite:///{Path('logs/mlflow.db').absolute()}"  # MLflow keeps a store open for each text
    assert not run.is_live()
    accel_track("sync", run.path)
    expected = [(step, step / 8) for step in journaled(run) if step is not None]
    assert len(expected) > last
    assert metric_history(database) == expected
    assert sorted(set(scalars(Path("logs/p")))) == expected
    events = len(scalars(Path("logs/p")))
    accel_track("sync", run.path)
    assert metric_history(database) == expected
    assert len(scalars(Path("logs/p"))) == events


@pytest.mark.long
@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", ["wandb", "swanlab", "comet_ml"])
def test_what_an_sdk_kept_in_memory_is_delivered_again(
    name: str, tmp_path: Path, program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """These SDKs cannot be told to store what they have: of a killed process, everything is delivered once more."""
    backend = contracts()[name]
    logs = tmp_path / "logs"
    process = program(f"""
import time
from accel_track import Accelerator

accelerator = Accelerator(log_with={name!r}, project_dir={str(logs)!r}, cpu=True)
accelerator.init_trackers("p", config={{"lr": 0.1}})
for step in range(40):
    accelerator.log({{"loss": step / 8}}, step=step)
accelerator.get_tracker({name!r})  # has everything by then
open("side", "w").write("x")
time.sleep(100)
""")
    wait_for_steps(Path("side"), process)
    process.kill()
    process.communicate()
    run = only_run(logs)
    shown = accel_track("ls", logs, "--json", check=None).stdout
    assert '"pending": 41' in shown
    before = {path for path in logs.rglob("*") if path.is_file()}
    accel_track("sync", run.path)
    assert '"pending": 0' in accel_track("ls", logs, "--json", check=None).stdout
    for path in before - {path for path in before if ".accel_track" in path.parts}:
        path.unlink()  # what the killed process left, of which the SDK's own tools read as much as is whole
    stored = backend.read(logs)
    assert backend.points(stored, "loss") == [(step, step / 8) for step in range(40)]


ENDINGS = {
    "forgotten": ("", 0, "finished"),
    "sys.exit": ("sys.exit(3)", 3, "finished"),
    "exception": ("raise ValueError('planned')", 1, "failed"),
    "ctrl-c": ("signal.raise_signal(signal.SIGINT)", -signal.SIGINT, "interrupted"),
    "sigterm": ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM, "failed"),
    "os._exit": ("os._exit(4)", 4, "failed"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_ending_loses_anything(ending: str, program: Callable[..., "subprocess.Popen[str]"]) -> None:
    last, code, status = ENDINGS[ending]
    process = program(
        f"""
import os, signal, sys, time
from accel_track.delivery.settings import Settings
from accel_track.registry import select
from accel_track.run import Run

signal.signal(signal.SIGINT, signal.default_int_handler)
run = Run(select("tensorboard", "logs"), project="p", directory="logs", settings=Settings.of())
for step in range(2000):
    run.log({{"loss": step / 8}}, step)
{last}
""",
        cold=ending == "ctrl-c",  # Python itself ends by the signal only where the program is its main module
    )
    _, shown = process.communicate(timeout=100)
    assert process.returncode == code, shown
    run = only_run(Path("logs"))
    assert journaled(run) == list(range(2000))
    expected = [(step, step / 8) for step in range(2000)]
    if ending in ("sigterm", "os._exit"):
        accel_track("sync", run.path)
    assert run.load().status == status
    assert sorted(set(scalars(Path("logs/p")))) == expected
