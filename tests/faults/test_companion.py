"""`delivery="process"`: trackers in a companion process, whoever of the two dies, and however."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from accel_track import Accelerator, AccelTrackLogger
from accel_track.delivery.process.protocol import CompanionState, companion_states
from accel_track.errors import AccelTrackWarning, DeliveryError, NotStartedError
from accel_track.testing.doubles import RecordingTracker
from tests.support.processes import accel_track
from tests.support.runs import journaled, metric_history, only_run, scalars
from tests.support.waiting import until

LOGS = Path("logs")
Program = Callable[..., "subprocess.Popen[str]"]

TRAINING = """
import json, os, signal, sys, time
from accel_track import Accelerator

signal.signal(signal.SIGINT, signal.default_int_handler)
accelerator = Accelerator(
    log_with={trackers}, project_dir="logs", cpu=True, delivery="process", finish_timeout=120
)
accelerator.init_trackers("p", config={{"lr": 0.1}})
for step in range({steps}):
    accelerator.log({{"loss": step / 8}}, step=step)
    time.sleep({pause})
    {each}
{end}
"""


def training(
    steps: int = 300,
    *,
    trackers: str = '["tensorboard", "mlflow"]',
    pause: float = 0.001,
    each: str = "",
    end: str = "accelerator.end_training()",
) -> str:
    return TRAINING.format(trackers=trackers, steps=steps, pause=pause, each=each or "pass", end=end)


def companion() -> CompanionState:
    """Return what the only companion says of itself."""
    found = companion_states(only_run(LOGS)) if list(LOGS.glob(".accel_track/p/*/run.json")) else []
    assert len(found) < 2
    return found[0][2] if found else CompanionState()


def running(starts: int) -> bool:
    """Whether the companion that was started as often has started its trackers."""
    one = companion()
    return one.starts == starts and len(one.trackers) > 0 and all(its.running for its in one.trackers.values())


def gone(pid: int) -> bool:
    """Whether a process has ended; one that its parent has not asked for yet counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def status() -> str:
    from mlflow import MlflowClient

    client = MlflowClient(database())
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return str(run.info.status)


def database() -> str:
    return f"sqlite:///{(LOGS / 'mlflow.db').absolute()}"


def assert_complete(steps: int) -> None:
    """Each backend has each value, once."""
    expected = [(step, step / 8) for step in range(steps)]
    assert scalars(LOGS / "p") == expected
    assert metric_history(database()) == expected


@pytest.mark.long
def test_the_trainer_imports_no_sdk_and_everything_is_delivered(program: Program) -> None:
    imported = 'print(json.dumps([name for name in ("mlflow", "tensorboard", "torch.utils.tensorboard") if name in sys.modules]))'
    process = program(training(end=f"{imported}\naccelerator.end_training()"), cold=True)
    out, errors = process.communicate(timeout=150)
    assert process.returncode == 0, errors
    assert json.loads(out) == []
    assert "tensorboard 301, mlflow 301 records delivered" in errors
    assert_complete(300)
    assert status() == "FINISHED"
    assert (companion().state, companion().starts) == ("over", 1)
    run = only_run(LOGS)
    assert {path.stat().st_mode & 0o777 for path in run.rank().glob("companion.*")} == {0o600}
    shown = accel_track("show", run.path).stdout
    assert "has delivered everything that it could" in shown
    assert json.loads(accel_track("show", run.path, "--json").stdout)["companions"][0]["state"] == "over"


CHILDREN = {
    "no child": "",
    "fork": "os.fork() or (time.sleep(60), os._exit(0))",
    "fork server": "import multiprocessing\n"
    "del __file__  # else the child would run this program again\n"
    "child = multiprocessing.get_context('forkserver').Process(target=time.sleep, args=(60,), daemon=True)\n"
    "child.start()",
}


@pytest.mark.long
@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
def test_a_killed_trainer_leaves_complete_backends_and_the_status_failed(child: str, program: Program) -> None:
    """Also while a forked child, such as a data loader's worker, lives on with everything it has inherited."""
    process = program(training(end=f"{child}\nos.kill(os.getpid(), signal.SIGKILL)"), forks=True)
    process.wait(60)
    pid = until(lambda: companion().pid)
    until(lambda: companion().over)
    until(lambda: gone(pid), 20)
    assert_complete(300)
    assert status() == "FAILED"
    assert only_run(LOGS).load().status == "failed"


def test_a_killed_companion_loses_and_doubles_nothing(program: Program) -> None:
    process = program(training(10**6, each='if os.path.exists("stop"): break'))
    for starts in (1, 2):
        until(lambda: running(starts))  # noqa: B023 - called at once
        until(lambda: (LOGS / "p").exists() and len(scalars(LOGS / "p")) > 100 * starts)  # noqa: B023
        assert psutil.Process(companion().pid).environ()["CUDA_VISIBLE_DEVICES"] == ""
        os.kill(companion().pid, signal.SIGKILL)
    Path("stop").touch()
    _, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    assert "the companion process has ended (signal 9" in errors
    assert_complete(len([step for step in journaled(only_run(LOGS)) if step is not None]))
    assert status() == "FINISHED"
    assert companion().starts == 3


def test_a_companion_that_is_terminated_is_started_again(program: Program) -> None:
    """As where a job manager sends SIGTERM to each process of a job that it is about to stop."""
    process = program(training(10**6, trackers='"tensorboard"', each='if os.path.exists("stop"): break'))
    until(lambda: running(1))
    os.kill(companion().pid, signal.SIGTERM)
    until(lambda: running(2))
    Path("stop").touch()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "the companion process has ended (exit code 143" in errors
    expected = [step for step in journaled(only_run(LOGS)) if step is not None]
    assert [step for step, _ in scalars(LOGS / "p")] == expected


@pytest.mark.long
def test_when_the_whole_group_is_killed_the_journal_remains(program: Program) -> None:
    process = program(training(10**6, trackers='"tensorboard"'))
    pid = until(lambda: companion().pid)
    until(lambda: (LOGS / "p").exists() and scalars(LOGS / "p"))
    os.kill(pid, signal.SIGKILL)
    process.kill()
    process.communicate()
    assert companion().state == "gone"
    run = only_run(LOGS)
    assert "is gone" in accel_track("show", run.path).stdout
    accel_track("sync", run.path)
    found = scalars(LOGS / "p")
    assert found == [(step, step / 8) for step in range(len(found))]
    assert len(found) > 100


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("end", "code", "expected"),
    [
        ("os.killpg(0, signal.SIGINT); time.sleep(60)", 1, "interrupted"),
        pytest.param("raise ValueError('planned')", 1, "failed", marks=pytest.mark.long),
        ("os._exit(3)", 3, "failed"),
        ("pass", 0, "finished"),
    ],
)
def test_the_status_is_true_however_the_trainer_ends(end: str, code: int, expected: str, program: Program) -> None:
    process = program("import os\nos.setpgrp()\n" + training(50, trackers='"mlflow"', end=end))
    _, errors = process.communicate(timeout=150)
    assert process.returncode == code, errors
    until(lambda: companion().over)
    assert only_run(LOGS).load().status == expected
    assert status() == {"interrupted": "KILLED", "failed": "FAILED", "finished": "FINISHED"}[expected]
    assert len(metric_history(database())) == 50


@pytest.mark.long
def test_a_server_that_is_down_holds_up_nobody(program: Program) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code = training(20, end="begun = time.monotonic()\naccelerator.end_training()\nprint(time.monotonic() - begun)")
        code = code.replace('config={"lr": 0.1}', f'init_kwargs={{"mlflow": {{"tracking_uri": {uri!r}}}}}')
        impatient = "import accel_track.delivery.process.parent as companion\ncompanion.PATIENCE = 8\n"
        process = program(impatient + code.replace("finish_timeout=120", "finish_timeout=2"))
        out, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
        assert float(out) < 15
        assert "goes on delivering" in errors
        pid = companion().pid
        until(lambda: gone(pid))
    assert scalars(LOGS / "p") == [(step, step / 8) for step in range(20)]
    assert "mlflow" in str(companion().trackers)
    assert companion().trackers["mlflow"].error is not None


def facade(**kwargs: Any) -> Accelerator:
    accelerator = Accelerator(project_dir=str(LOGS), cpu=True, delivery="process", **kwargs)
    accelerator.init_trackers("p")
    return accelerator


def test_objects_stay_in_a_thread_and_native_objects_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    tracker = RecordingTracker()
    accelerator = facade(log_with=["tensorboard", tracker])
    assert accelerator.get_tracker("recording") is tracker
    with pytest.raises(
        NotStartedError, match="`tracker` of 'tensorboard' cannot be reached: it runs in another process"
    ):
        accelerator.get_tracker("tensorboard", unwrap=True)
    with pytest.raises(ValueError, match="no tracker 'wandb'"):
        accelerator.get_tracker("wandb")
    accelerator.log({"loss": 1.0}, step=0)
    accelerator.end_training()
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [0]
    assert scalars(LOGS / "p") == [(0, 1.0)]
    assert "tensorboard 1" in capfd.readouterr().err


def test_arguments_that_cannot_travel_keep_their_tracker_in_a_thread() -> None:
    class Text(str):
        __slots__ = ()

        def __reduce__(self) -> Any:
            message = "not to be pickled"
            raise TypeError(message)

    accelerator = Accelerator(log_with="tensorboard", project_dir=str(LOGS), cpu=True, delivery="process")
    with pytest.warns(
        AccelTrackWarning, match="in a thread, not in the companion process: its arguments cannot be pickled"
    ):
        accelerator.init_trackers("p", init_kwargs={"tensorboard": {"filename_suffix": Text("x")}})
    accelerator.log({"loss": 1.0}, step=0)
    assert accelerator.get_tracker("tensorboard").name == "tensorboard"
    accelerator.end_training()
    assert scalars(LOGS / "p") == [(0, 1.0)]
    assert companion_states(only_run(LOGS)) == []


@pytest.mark.parametrize("executable", ["", "/nowhere/python"])
def test_without_an_interpreter_threads_deliver(executable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", executable)
        with pytest.warns(AccelTrackWarning, match="no companion process .*; its trackers are delivered in threads"):
            accelerator = facade(log_with="tensorboard")
    accelerator.log({"loss": 1.0}, step=0)
    accelerator.end_training()
    assert scalars(LOGS / "p") == [(0, 1.0)]


def test_without_a_run_directory_threads_deliver() -> None:
    LOGS.mkdir()
    (LOGS / ".accel_track").write_text("in the way")
    with pytest.warns(AccelTrackWarning) as warned:
        accelerator = facade(log_with="tensorboard")
    accelerator.log({"loss": 1.0}, step=0)
    accelerator.end_training()
    assert any("no companion process (there is no run directory)" in str(one.message) for one in warned)
    assert scalars(LOGS / "p") == [(0, 1.0)]


def test_strict_waits_for_the_start_and_says_what_failed() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        accelerator = Accelerator(
            log_with="mlflow", project_dir=str(LOGS), cpu=True, delivery="process", strict=True, start_timeout=60,
            finish_timeout=0,
        )  # fmt: skip
        with pytest.raises(DeliveryError, match="mlflow"):
            accelerator.init_trackers("p", init_kwargs={"mlflow": {"tracking_uri": uri}})
    until(lambda: gone(companion().pid))


def test_a_lightning_run_and_the_experiment_that_is_elsewhere() -> None:
    from tests.support.models import Tiny, batches, trainer

    logger = AccelTrackLogger(
        "tensorboard", name="p", version="v", save_dir=str(LOGS), delivery="process", log_graph=True
    )
    with pytest.warns(AccelTrackWarning, match="no graph is logged with delivery='process'"):
        trainer(logger=logger, max_epochs=2).fit(Tiny(), batches(), batches())
    with pytest.raises(NotStartedError, match=r"`experiment\.add_scalar`"):
        logger.experiment.add_scalar("x", 1.0)
    logger.finish()
    assert [step for step, _ in scalars(LOGS / "p" / "v", "epoch")]
    assert companion().over


def test_files_of_checkpoints_are_deleted_when_the_companion_has_them() -> None:
    Path("model.ckpt").write_bytes(b"weights")
    accelerator = facade(log_with="mlflow")
    accelerator._run.log_checkpoint("best", "model.ckpt", 3)  # type: ignore[union-attr]
    run = only_run(LOGS)
    assert list(run.rank().glob("media/*/model.ckpt"))
    accelerator.end_training()
    assert not list(run.rank().glob("media/*/model.ckpt"))
    assert list(LOGS.rglob("checkpoints/best/model.ckpt"))


def test_what_an_earlier_companion_said_does_not_count() -> None:
    for step, strict in ((0, False), (1, True)):
        logger = AccelTrackLogger(
            "tensorboard", "p", "v", LOGS, delivery="process", strict=strict, start_timeout=60,
            resume="must" if strict else "never",
        )  # fmt: skip
        logger.log_metrics({"loss": step / 8}, step)
        logger.finish()
        (file,) = only_run(LOGS).rank().glob("companion.json")
        if not strict:
            file.write_text('{"pid": 1, "starts": 1, "trackers": {"tensorboard": {"error": "of long ago"}}}')
    assert (companion().starts, companion().state) == (2, "over")
    assert scalars(LOGS / "p" / "v") == [(0, 0.0), (1, 0.125)]


def test_objects_that_nobody_here_delivers_are_not_kept_in_memory(capfd: pytest.CaptureFixture[str]) -> None:
    accelerator = facade(log_with="tensorboard")
    for step in range(3):
        accelerator.log({"loss": step / 8, "thing": object()}, step=step)
    assert len(accelerator._run._delivery.journal.kept) == 0  # type: ignore[union-attr]
    accelerator.end_training()
    assert "3 delivered, 3 values dropped" in capfd.readouterr().err
    assert scalars(LOGS / "p") == [(step, step / 8) for step in range(3)]


@pytest.mark.long
def test_a_companion_whose_exit_hangs_is_done_and_ends(tmp_path: Path, program: Program) -> None:
    (tmp_path / "hanging.py").write_text("""
import atexit
import time
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker

class Hanging(TensorBoardTracker):
    name = "hanging"

    def start(self):
        super().start()
        atexit.register(time.sleep, 600)
""")
    code = "import hanging\nfrom accel_track import register_tracker_class\nregister_tracker_class(hanging.Hanging)\n"
    end = "begun = time.monotonic()\naccelerator.end_training()\nprint(time.monotonic() - begun)"
    process = program(code + training(20, trackers='"hanging"', end=end))
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert float(out) < 20
    assert "hanging 21 records delivered" in errors
    assert companion().over
    until(lambda: gone(companion().pid), 60)
    assert scalars(LOGS / "p") == [(step, step / 8) for step in range(20)]


@pytest.mark.long
def test_a_server_that_is_down_is_no_failure_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accel_track.delivery.process.parent.PATIENCE", 5.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        accelerator = Accelerator(
            log_with="mlflow", project_dir=str(LOGS), cpu=True, delivery="process", on_error="raise", finish_timeout=1
        )
        with pytest.warns(AccelTrackWarning, match="in the companion process") as told:
            accelerator.init_trackers("p", init_kwargs={"mlflow": {"tracking_uri": uri}})
            until(lambda: "mlflow" in companion().trackers and companion().trackers["mlflow"].error)
            # What has happened is told by the thread that looks after the companion, and would be raised by a call.
            until(lambda: told.list or accelerator.log({"loss": 1.0}, step=0), every=0.1)
            accelerator.log({"loss": 1.0}, step=1)
            accelerator.end_training()
        until(lambda: gone(companion().pid))
    assert not companion().trackers["mlflow"].failed


def test_a_refused_record_is_a_failure_to_raise() -> None:
    accelerator = facade(log_with="tensorboard", on_error="raise", start_timeout=60)
    accelerator.log({"loss": 1.0}, step=0, log_kwargs={"tensorboard": {"walltime": "noon"}})
    with pytest.warns(AccelTrackWarning), pytest.raises(DeliveryError, match="tensorboard"):
        accelerator.end_training()
