"""How a plain loop with an Accelerator ended, in `run.json` and for trackers that keep a status."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accel_track import Accelerator
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.testing import RecordingTracker
from tests.support import warm
from tests.support.skips import need

ROOT = Path(__file__).parents[2]
INTERRUPTED = (-signal.SIGINT, 1)
"""Python's exit codes for Ctrl-C: it forgets about the signal where code is compiled at exit."""

PRELUDE = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from accel_track import Accelerator

accelerator = Accelerator(log_with=sys.argv[1], project_dir=".", cpu=True)
accelerator.init_trackers("plain")

def wait():
    accelerator.log({"loss": 1.0}, step=0)
    print("ready", flush=True)
    for _ in range(3000):
        time.sleep(0.02)
"""


class Remembers(RecordingTracker):
    """A tracker that knows how its run ended."""

    keeps_status = True

    def finish(self) -> None:
        self.calls.append(("finish", self.outcome.status, self.outcome.reason))


def begun() -> tuple[Accelerator, Remembers]:
    tracker = Remembers()
    accelerator = Accelerator(log_with=tracker, project_dir=".", cpu=True)
    accelerator.init_trackers("plain")
    accelerator.log({"loss": 1.0}, step=0)
    return accelerator, tracker


def fail(error: BaseException) -> None:
    raise error


def only() -> RunDirectory:
    (run,) = find_runs(".")
    return run


def stored() -> tuple[str, str | None]:
    info = only().load()
    return info.status, info.reason


def in_mlflow() -> str:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return str(run.info.status)


# -- in this process ----------------------------------------------------------------------------------------------------


def test_the_end_of_the_loop() -> None:
    accelerator, tracker = begun()
    assert stored() == ("running", None)
    accelerator.end_training()
    assert stored() == ("finished", None)
    assert tracker.calls[-1] == ("finish", "finished", None)


def test_a_with_block() -> None:
    accelerator, tracker = begun()
    with accelerator:
        accelerator.log({"loss": 0.5}, step=1)
    assert stored() == ("finished", None)
    assert tracker.calls[-1] == ("finish", "finished", None)
    assert accelerator.trackers == [tracker]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("no such file"), "failed", "ValueError: no such file"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (SystemExit(143), "preempted", "SystemExit: 143"),
        (SystemExit(0), "finished", None),
        (SystemExit(), "finished", None),
    ],
)
@pytest.mark.parametrize("how", ["with", "except", "finally"])
def test_an_exception(how: str, error: BaseException, status: str, reason: str | None) -> None:
    accelerator, tracker = begun()
    with pytest.raises(type(error)):  # noqa: PT012 - each form has more than one statement
        if how == "with":
            with accelerator:
                fail(error)
        elif how == "except":
            try:
                fail(error)
            except BaseException:
                accelerator.end_training()
                raise
        else:
            try:
                fail(error)
            finally:
                accelerator.end_training()
    assert stored() == (status, reason)
    assert tracker.calls[-1] == ("finish", status, reason)


def test_a_finally_block_without_an_exception() -> None:
    accelerator, tracker = begun()
    try:
        accelerator.log({"loss": 0.5}, step=1)
    finally:
        accelerator.end_training()
    assert stored() == ("finished", None)
    assert tracker.calls[-1] == ("finish", "finished", None)


def test_an_exception_that_was_handled_is_none() -> None:
    accelerator, _ = begun()
    try:
        fail(ValueError("not so bad"))
    except ValueError:
        accelerator.log({"loss": 0.5}, step=1)
    accelerator.end_training()
    assert stored() == ("finished", None)


def test_what_the_user_says_goes_before_the_exception() -> None:
    accelerator, tracker = begun()
    try:
        fail(StopIteration("early stopping"))
    except StopIteration:
        accelerator.end_training("finished")
    assert stored() == ("finished", None)
    assert tracker.calls[-1] == ("finish", "finished", None)


def test_ending_inside_of_the_with_block_is_the_end() -> None:
    accelerator, tracker = begun()
    with pytest.raises(ValueError, match="after the end"), accelerator:  # noqa: PT012 - the block's end
        accelerator.end_training()
        raise ValueError("after the end")
    assert stored() == ("finished", None)
    assert [call[0] for call in tracker.calls].count("finish") == 1


def test_the_next_run_does_not_inherit_the_status() -> None:
    accelerator, tracker = begun()
    accelerator.end_training("failed")
    accelerator.init_trackers("plain")
    accelerator.end_training()
    assert [call[1] for call in tracker.calls if call[0] == "finish"] == ["failed", "finished"]
    assert sorted(run.load().status for run in find_runs(".")) == ["failed", "finished"]


def test_inline_trackers_are_told_too() -> None:
    tracker = Remembers()
    accelerator = Accelerator(tracker, delivery="inline", cpu=True)
    accelerator.init_trackers("plain")
    with pytest.raises(ValueError, match="planned"), accelerator:
        raise ValueError("planned")
    assert tracker.calls[-1] == ("finish", "failed", "ValueError: planned")


def test_sigterm_is_left_as_it_was() -> None:
    before = signal.getsignal(signal.SIGTERM)
    accelerator, _ = begun()
    during = signal.getsignal(signal.SIGTERM)
    accelerator.end_training()
    assert before == signal.SIG_DFL != during
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_handler_of_the_programs_own_is_kept() -> None:
    def own(*_: Any) -> None:
        """Do nothing."""

    before = signal.signal(signal.SIGTERM, own)
    try:
        accelerator, _ = begun()
        assert signal.getsignal(signal.SIGTERM) is own
        accelerator.end_training()
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


# -- programs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start Python code as a program in this test's folder, after what all of them begin with."""
    started = []

    def start(code: str, tracker: str = "tensorboard") -> "subprocess.Popen[str]":
        path = tmp_path / "program.py"
        path.write_text(PRELUDE + textwrap.dedent(code))
        process = warm.Popen(
            [sys.executable, str(path), tracker],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]", number: int | None = None) -> tuple[int, str]:
    """Return exit code and what is on the error output, after sending a signal to a program that waits for one."""
    if number is not None:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("number", "code", "status", "reason"),
    [
        (signal.SIGINT, INTERRUPTED, "interrupted", "KeyboardInterrupt"),
        (signal.SIGTERM, 143, "preempted", "SystemExit: 143"),
    ],
)
def test_a_signal_in_a_with_block(
    number: int, code: int | tuple[int, ...], status: str, reason: str, program: Callable[..., Any]
) -> None:
    need("mlflow")
    found, errors = ended(program("with accelerator:\n    wait()\n", "mlflow"), number)
    assert found in (code if isinstance(code, tuple) else (code,)), errors
    assert stored() == (status, reason)
    assert in_mlflow() == "KILLED"


@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [(signal.SIGINT, "interrupted", "KeyboardInterrupt"), (signal.SIGTERM, "preempted", "SystemExit: 143")],
)
def test_a_signal_and_an_end_in_finally(number: int, status: str, reason: str, program: Callable[..., Any]) -> None:
    code = """
        try:
            wait()
        finally:
            accelerator.end_training()
    """
    _, errors = ended(program(code), number)
    assert stored() == (status, reason), errors


@pytest.mark.parametrize(
    ("number", "code", "status", "reason"),
    [
        (signal.SIGINT, INTERRUPTED, "interrupted", "KeyboardInterrupt"),
        (signal.SIGTERM, 143, "preempted", "SIGTERM"),
    ],
)
def test_a_signal_and_a_forgotten_end(
    number: int, code: int | tuple[int, ...], status: str, reason: str, program: Callable[..., Any]
) -> None:
    found, errors = ended(program("wait()\n"), number)
    assert found in (code if isinstance(code, tuple) else (code,)), errors
    assert stored() == (status, reason)
    assert "1 record delivered" in errors


def test_a_signal_that_kills_at_once(program: Callable[..., Any]) -> None:
    found, errors = ended(program("wait()\n"), signal.SIGKILL)
    assert found == -signal.SIGKILL, errors
    assert stored() == ("running", None)
    outcome = only().outcome(only().load())
    assert outcome is not None
    assert outcome.status == "failed"


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("accelerator.log({'loss': 1.0}, step=0)", "finished", None),
        ("raise ValueError('planned')", "failed", "ValueError: planned"),
    ],
)
def test_a_forgotten_end(code: str, status: str, reason: str | None, program: Callable[..., Any]) -> None:
    _, errors = ended(program(code))
    assert stored() == (status, reason), errors
