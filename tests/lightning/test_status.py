"""How a run ended, in `run.json` and in MLflow, for each way in which a Trainer call can end; logger and callback."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.journal.directory import RunDirectory, RunInfo, find_runs
from accel_track.testing import RecordingTracker
from tests.support import warm
from tests.support.models import Tiny, batches, trainer
from tests.support.skips import need

ROOT = Path(__file__).parents[2]
FOLLOWING = {"log_throughput": False, "log_system": False, "log_summary": False, "log_environment": False}

PRELUDE = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from accel_track import AccelTrackCallback, AccelTrackLogger
from tests.support.models import Tiny, batches, trainer
"""


def runs(folder: Path | str) -> dict[str, tuple[RunDirectory, RunInfo]]:
    """Return the runs below a folder by project, the last of each."""
    return {run.path.parent.name: (run, run.load()) for run in find_runs(folder)}


def only(folder: Path | str) -> tuple[str, str | None]:
    """Return status and reason of the only run below a folder."""
    ((_, info),) = runs(folder).values()
    return info.status, info.reason


def in_mlflow(folder: Path) -> dict[str, str]:
    """Return the status of the last run of each experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    found = {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], max_results=1):
            found[experiment.name] = run.info.status
    return found


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start Python code as a program in this test's folder."""
    started = []

    def start(code: str, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        path = tmp_path / "program.py"
        path.write_text(PRELUDE + textwrap.dedent(code))
        process = warm.Popen(
            [sys.executable, str(path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**variables),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


# -- every way to end, in one program, with the interpreter's exit as the end of all runs --------------------------------

ALL_ENDS = """
class Ends(Tiny):
    def __init__(self, end):
        super().__init__()
        self.end = end

    def training_step(self, batch, batch_idx):
        if batch_idx == 4:
            if self.end == "exception":
                raise ValueError("planned failure, token at https://me:secret@host")
            if self.end == "exit":
                sys.exit(3)
            if self.end in ("SIGINT", "SIGTERM"):
                os.kill(os.getpid(), getattr(signal, self.end))
        return super().training_step(batch, batch_idx)


for door in ("logger", "callback"):
    for end in ("success", "exception", "exit", "SIGINT", "SIGTERM"):
        arguments = {"name": f"{door}-{end}", "save_dir": "."}
        if door == "logger":
            one = trainer(AccelTrackLogger("mlflow", **arguments), enable_checkpointing=False)
        else:
            callback = AccelTrackCallback("mlflow", **arguments, log_environment=False)
            one = trainer(False, callbacks=[callback], enable_checkpointing=False)
        try:
            one.fit(Ends(end), batches())
        except BaseException as error:
            print(door, end, type(error).__name__)
"""


@pytest.fixture(scope="module")
def all_ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("mlflow")
    folder = tmp_path_factory.mktemp("all_ends")
    (folder / "program.py").write_text(PRELUDE + ALL_ENDS)
    done = warm.run([sys.executable, "program.py"], cwd=folder, env=environment(), timeout=150)
    assert done.returncode == 0, done.stderr
    kinds = ["exception ValueError", "exit SystemExit", "SIGINT SystemExit", "SIGTERM SIGTERMException"]
    raised = [f"{door} {kind}" for door in ("logger", "callback") for kind in kinds]
    assert done.stdout.splitlines() == raised, done.stderr
    return folder


@pytest.mark.parametrize("door", ["logger", "callback"])
@pytest.mark.parametrize(
    ("end", "status", "reason", "shown"),
    [
        ("success", "finished", None, "FINISHED"),
        ("exception", "failed", "ValueError: planned failure, token at https://***@host", "FAILED"),
        ("exit", "failed", "SystemExit: 3", "FAILED"),
        ("SIGINT", "interrupted", "KeyboardInterrupt", "KILLED"),
        ("SIGTERM", "preempted", "SIGTERMException", "KILLED"),
    ],
)
def test_each_end_has_its_status(
    door: str, end: str, status: str, reason: str | None, shown: str, all_ends: Path
) -> None:
    run, info = runs(all_ends)[f"{door}-{end}"]
    assert (info.status, info.reason) == (status, reason)
    assert run.outcome(info) == (status, reason)
    assert in_mlflow(all_ends)[f"{door}-{end}"] == shown


# -- signals from outside, to a program that then comes to its end --------------------------------------------------------

WAITS = """
class Waits(Tiny):
    def training_step(self, batch, batch_idx):
        if batch_idx == 4:
            print("ready", flush=True)
            received = lambda: self.trainer.received_sigterm
            while not received():
                time.sleep(0.02)
        return super().training_step(batch, batch_idx)


if sys.argv[1] == "logger":
    one = trainer(AccelTrackLogger("mlflow", save_dir="."))
else:
    one = trainer(False, callbacks=[AccelTrackCallback("mlflow", save_dir=".")])
one.fit(Waits(), batches())
"""


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("door", "number", "code", "status", "reason"),
    [
        ("logger", signal.SIGINT, 1, "interrupted", "KeyboardInterrupt"),
        ("callback", signal.SIGTERM, 0, "preempted", "SIGTERMException"),
    ],
)
def test_a_signal_from_outside(
    door: str, number: int, code: int, status: str, reason: str, program: Callable[..., Any]
) -> None:
    need("mlflow")
    process = program(WAITS, door)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    ((run, info),) = runs(".").values()
    assert (info.status, run.outcome(info)) == ("running", None)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert only(".") == (status, reason)
    assert in_mlflow(Path.cwd()) == {"lightning_logs": "KILLED"}


LAUNCHED = """
from accel_track.testing import RecordingTracker


class Says(RecordingTracker):
    def finish(self):
        print("told", *self.outcome, flush=True)


class Waits(Tiny):
    def training_step(self, batch, batch_idx):
        if batch_idx == 4:
            print("ready", flush=True)
            time.sleep(60)
        return super().training_step(batch, batch_idx)


if __name__ == "__main__":
    callbacks, logger = [], AccelTrackLogger(Says(), save_dir=".")
    if sys.argv[2] == "callback":
        callbacks, logger = [AccelTrackCallback(Says(), save_dir=".", log_environment=False)], False
    trainer(logger, callbacks=callbacks, strategy=sys.argv[1], devices=1, enable_checkpointing=False).fit(Waits(), batches())
"""


@pytest.mark.parametrize(
    ("strategy", "door"),
    [
        ("ddp_fork", "logger"),
        *(
            pytest.param(*one, marks=pytest.mark.long)
            for one in (("ddp_spawn", "logger"), ("ddp_notebook", "logger"), ("ddp_spawn", "callback"))
        ),
    ],
)
def test_ctrl_c_in_processes_that_lightning_launches(tmp_path: Path, strategy: str, door: str) -> None:
    """A terminal's Ctrl-C goes to all of them; the backend is told in one, `run.json` written by both."""
    (tmp_path / "program.py").write_text(PRELUDE + LAUNCHED)
    command = [sys.executable, "program.py", strategy, door]
    with warm.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert out == "told interrupted KeyboardInterrupt\n", err
    assert process.returncode == 1
    assert only(tmp_path) == ("interrupted", "KeyboardInterrupt")


@pytest.mark.parametrize(
    ("ending", "status"), [("os._exit(0)", "failed"), ("os.kill(os.getpid(), signal.SIGKILL)", "failed")]
)
def test_a_process_that_just_disappears_has_crashed(ending: str, status: str, program: Callable[..., Any]) -> None:
    process = program(f"""
        class Disappears(Tiny):
            def on_train_epoch_end(self):
                {ending}

        trainer(AccelTrackLogger(save_dir=".")).fit(Disappears(), batches())
    """)
    _, errors = process.communicate(timeout=60)
    ((run, info),) = runs(".").values()
    outcome = run.outcome(info)
    assert outcome is not None, errors
    assert outcome.status == status


def test_an_exit_in_a_call_of_which_nobody_says_the_end(program: Callable[..., Any]) -> None:
    process = program("""
        class Stops(Tiny):
            def on_train_start(self):
                raise SystemExit(0)

        logger = AccelTrackLogger(save_dir=".")
        logger.finalize = lambda status: None
        trainer(logger).fit(Stops(), batches())
    """)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert only(".") == ("failed", "the Trainer's call did not come to its end")


# -- SLURM --------------------------------------------------------------------------------------------------------------

SLURM = """
class Requeued(Tiny):
    def training_step(self, batch, batch_idx):
        if batch_idx == 4:
            os.kill(os.getpid(), signal.SIGUSR1)
        return super().training_step(batch, batch_idx)


if sys.argv[1] == "logger":
    one = trainer(AccelTrackLogger("mlflow", save_dir="."))
else:
    one = trainer(False, callbacks=[AccelTrackCallback("mlflow", save_dir=".")])
one.fit(Requeued(), batches())
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Give the variables of a SLURM job, with an `scontrol` of one's own."""

    def variables(scontrol: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        fake = folder / "scontrol"
        fake.write_text(f"#!/bin/sh\n{scontrol}\n")
        fake.chmod(0o755)
        job = {"JOB_ID": "4711", "JOB_NAME": "train", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
        return {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            **{f"SLURM_{name}": value for name, value in job.items()},
        }

    return variables


COPY = 'echo "$@" > scontrol.txt; cp .accel_track/*/*/run.json at_requeue.json'


@pytest.mark.long
@pytest.mark.parametrize("door", ["logger", pytest.param("callback", marks=pytest.mark.long)])
def test_a_requeued_job_is_preempted_and_training_goes_on(
    door: str, program: Callable[..., Any], slurm: Callable[[str], dict[str, str]]
) -> None:
    need("mlflow")
    process = program(SLURM, door, **slurm(COPY))
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    assert Path("scontrol.txt").read_text() == "requeue 4711\n"
    at_requeue = json.loads(Path("at_requeue.json").read_text())
    assert (at_requeue["status"], at_requeue["reason"]) == ("preempted", "SLURM is to start the job again")
    assert at_requeue["job"] == "SLURM_JOB_ID=4711"
    assert only(".") == ("finished", None)  # it came to its end before SLURM ended it
    assert in_mlflow(Path.cwd()) == {"lightning_logs": "FINISHED"}
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    (experiment,) = [one.experiment_id for one in client.search_experiments() if one.name == "lightning_logs"]
    (run,) = client.search_runs([experiment])
    assert [one.step for one in client.get_metric_history(run.info.run_id, "loss")] == [1, 3, 5, 7]


@pytest.mark.long
@pytest.mark.parametrize("door", ["logger", pytest.param("callback", marks=pytest.mark.long)])
def test_a_requeued_job_that_slurm_kills_stays_preempted(
    door: str, program: Callable[..., Any], slurm: Callable[[str], dict[str, str]]
) -> None:
    need("mlflow")
    process = program(SLURM, door, **slurm("kill -9 $PPID"))
    _, errors = process.communicate(timeout=90)
    assert process.returncode == -signal.SIGKILL, errors
    ((run, info),) = runs(".").values()
    assert run.outcome(info) == ("preempted", "SLURM is to start the job again")
    done = subprocess.run(
        [sys.executable, "-m", "accel_track", "sync", str(run.path)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert in_mlflow(Path.cwd()) == {"lightning_logs": "KILLED"}


# -- several calls, one run ---------------------------------------------------------------------------------------------


class FailsInTest(Tiny):
    def test_step(self, batch: list[torch.Tensor]) -> None:
        raise ValueError("planned failure in test")


class Remembers(RecordingTracker):
    """A tracker that knows how its run ended."""

    keeps_status = True

    def finish(self) -> None:
        self.calls.append(("finish", self.outcome.status))


def with_door(door: str, **arguments: Any) -> tuple[Any, Any]:
    """Return a Trainer, and the logger or callback that it has."""
    tracker = Remembers()
    if door == "logger":
        logger = AccelTrackLogger(tracker)
        return trainer(logger, **arguments), logger
    callback = AccelTrackCallback(tracker, **FOLLOWING)
    return trainer(False, callbacks=[callback], **arguments), callback


def told(door: Any) -> Any:
    """Return what a tracker heard at its end."""
    logger = door if isinstance(door, AccelTrackLogger) else door.logger
    (tracker,) = logger.trackers
    door.finish()
    return tracker.calls[-1]


@pytest.mark.parametrize("door", ["logger", "callback"])
def test_a_test_that_fails_leaves_a_finished_fit_finished(door: str) -> None:
    one, held = with_door(door)
    model = FailsInTest()
    one.fit(model, batches())
    with pytest.raises(ValueError, match="planned failure in test"):
        one.test(model, batches(), verbose=False)
    assert only(".") == ("finished", None)
    assert told(held) == ("finish", "finished")
    assert only(".") == ("finished", None)


@pytest.mark.parametrize("door", ["logger", "callback"])
def test_a_test_without_a_fit_that_fails_is_failed(door: str) -> None:
    one, held = with_door(door)
    with pytest.raises(ValueError, match="planned failure in test"):
        one.test(FailsInTest(), batches(), verbose=False)
    assert only(".") == ("failed", "ValueError: planned failure in test")
    assert told(held) == ("finish", "failed")


@pytest.mark.parametrize("door", ["logger", "callback"])
def test_a_second_fit_that_fails_is_failed(door: str) -> None:
    one, held = with_door(door)
    one.fit(Tiny(), batches())
    assert only(".") == ("finished", None)
    one.fit_loop.max_epochs = 2
    with pytest.raises(ValueError, match="planned failure"):
        one.fit(Tiny(fail_at=4), batches())
    assert only(".") == ("failed", "ValueError: planned failure")
    assert told(held) == ("finish", "failed")
    assert only(".") == ("failed", "ValueError: planned failure")


@pytest.mark.parametrize("door", ["logger", "callback"])
def test_a_second_fit_after_a_failed_one_makes_it_good(door: str) -> None:
    seen = []

    class Looks(Tiny):
        def on_train_start(self) -> None:
            seen.append(only("."))

    one, held = with_door(door)
    with pytest.raises(ValueError, match="planned failure"):
        one.fit(Tiny(fail_at=4), batches())
    one.fit(Looks(), batches())
    assert seen == [("running", None)]
    assert told(held) == ("finish", "finished")
    assert only(".") == ("finished", None)


def test_the_user_says_how_it_ended() -> None:
    one, logger = with_door("logger")
    one.fit(Tiny(), batches())
    (tracker,) = logger.trackers
    logger.finish("failed")
    assert tracker.calls[-1] == ("finish", "failed")
    assert only(".") == ("failed", None)


# -- several runs in one process ----------------------------------------------------------------------------------------


def folds(name: str = "kfold") -> list[tuple[str | None, str]]:
    """Return the name and status of each run of a project, oldest first."""
    infos = [run.load() for run in find_runs(".") if run.path.parent.name == name]
    return [(one.name, one.status) for one in sorted(infos, key=lambda one: one.created)]


def points(version: int) -> list[int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = Path("kfold", f"version_{version}").glob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(file))
    accumulator.Reload()
    return [event.step for event in accumulator.Scalars("loss")]


def test_folds_with_one_logger_that_is_finished_after_each() -> None:
    logger = AccelTrackLogger(name="kfold")
    for number in range(3):
        fold = trainer(logger, enable_checkpointing=False)
        fold.fit(Tiny(), batches())
        assert (logger.version, Path(fold.log_dir)) == (number, Path("kfold", f"version_{number}"))
        logger.finish()
        assert points(number) == [1, 3, 5, 7]
    assert folds() == [("version_0", "finished"), ("version_1", "finished"), ("version_2", "finished")]


def test_folds_with_a_logger_each_in_a_with_block() -> None:
    for number in range(3):
        with AccelTrackLogger(name="kfold") as logger:
            trainer(logger).fit(Tiny(), batches())
            assert logger.version == number
        assert points(number) == [1, 3, 5, 7]
        assert list(Path("kfold", f"version_{number}", "checkpoints").glob("*.ckpt"))
    assert [status for _, status in folds()] == ["finished"] * 3


def test_folds_with_the_callback() -> None:
    callback = AccelTrackCallback(name="kfold", **FOLLOWING)
    for number in range(2):
        trainer(False, callbacks=[callback], enable_checkpointing=False).fit(Tiny(), batches())
        callback.finish()
        assert points(number) == [1, 3, 5, 7]
    assert folds() == [("version_0", "finished"), ("version_1", "finished")]


def test_a_fold_that_fails_does_not_touch_the_others() -> None:
    for fail_at in (None, 4, None):
        with suppress(ValueError), AccelTrackLogger(name="kfold") as logger:
            trainer(logger, enable_checkpointing=False).fit(Tiny(fail_at=fail_at), batches())
    assert folds() == [("version_0", "finished"), ("version_1", "failed"), ("version_2", "finished")]
    assert [points(number) for number in range(3)] == [[1, 3, 5, 7], [1, 3], [1, 3, 5, 7]]


# -- the `with` block ---------------------------------------------------------------------------------------------------


def test_a_with_block_that_fails_outside_of_the_trainer() -> None:
    tracker = Remembers()
    with pytest.raises(OSError, match="no data"), AccelTrackLogger(tracker) as logger:  # noqa: PT012 - the block's end
        trainer(logger).fit(Tiny(), batches())
        raise OSError("no data")
    assert tracker.calls[-1] == ("finish", "failed")
    assert only(".") == ("failed", "OSError: no data")


def test_a_with_block_that_a_failed_fit_leaves_keeps_the_reason() -> None:
    with pytest.raises(ValueError, match="planned failure"), AccelTrackLogger(Remembers()) as logger:
        trainer(logger).fit(Tiny(fail_at=4), batches())
    assert only(".") == ("failed", "ValueError: planned failure")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_with_block_that_a_signal_leaves_is_not_failed(number: int) -> None:
    """After Ctrl-C, Lightning itself raises SystemExit(1)."""

    class Signalled(Tiny):
        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            if batch_idx == 4:
                os.kill(os.getpid(), number)
            return super().training_step(batch, batch_idx)

    tracker = Remembers()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(SystemExit), AccelTrackLogger(tracker) as logger:
            trainer(logger).fit(Signalled(), batches())
    finally:
        signal.signal(signal.SIGINT, before)
    status, reason = {
        signal.SIGINT: ("interrupted", "KeyboardInterrupt"),
        signal.SIGTERM: ("preempted", "SIGTERMException"),
    }[signal.Signals(number)]
    assert only(".") == (status, reason)
    assert tracker.calls[-1] == ("finish", status)
