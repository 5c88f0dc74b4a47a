"""Alerts from the companion process: of rules, sent to a real server, whoever is killed or hangs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accel_track.delivery.process.protocol import companion_states
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.views.content import Content
from tests.support.notifications import PASSWORD, Mailbox
from tests.support.processes import own_environment
from tests.support.waiting import until

pytestmark = pytest.mark.extras

TRAINING = """
import sys, time
import accel_track
delivery, alerts, steps, end = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
run = accel_track.init("p", "jsonl", project_dir="runs", run_name="r", delivery=delivery, alerts=alerts)
for step in range(steps):
    run.log({"loss": float("nan") if step == 5 else 1.0}, step)
if "alert" in end:
    run.alert("by hand", "token=abcdefgh12345678", "warning")
print("logged", flush=True)
if "wait" in end:
    sys.stdin.read(1)
if "raise" in end:
    raise ValueError("no good")
run.finish()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def box() -> Iterator[Mailbox]:
    found = Mailbox()
    yield found
    found.close()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, box: Mailbox) -> Iterator[Start]:
    """Return a function that starts a training program; it and its companion are gone behind the test."""
    monkeypatch.chdir(tmp_path)
    started: list[subprocess.Popen[str]] = []

    def start(delivery: str, alerts: str, steps: int = 20, end: str = "", notify: str | None = None) -> Any:
        environment = own_environment(ACCEL_TRACK_NOTIFY=box.address if notify is None else notify, HOME=tmp_path)
        process = subprocess.Popen(
            [sys.executable, "-c", TRAINING, delivery, alerts, str(steps), end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    for _, _, state in companion_states(only_run()):
        until(lambda state=state: state.state != "running" or over())


def only_run() -> RunDirectory:
    (run,) = find_runs("runs")
    return run


def over() -> bool:
    """Whether the companion has nothing more to do."""
    found = companion_states(only_run())  # none before it has begun
    return len(found) == 1 and found[0][2].over


def logged(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"


def recorded() -> list[str]:
    content = Content(only_run())
    content.update()
    return [one["title"] for one in content.alerts]


def delivered() -> list[str]:
    """Return the alerts that the tracker has, each as its first line."""
    (file,) = Path("runs").glob("p/**/*.jsonl")
    rows = map(json.loads, file.read_text().splitlines())
    return [row["alert"]["text"].partition("\n")[0].strip("*") for row in rows if "alert" in row]


@pytest.mark.parametrize("delivery", ["thread", "process"])
def test_rules_and_calls_reach_the_service_the_trackers_and_the_terminal(
    delivery: str, start: Start, box: Mailbox, tmp_path: Path
) -> None:
    process = start(delivery, "nan, finished, failed", end="alert raise")
    shown = process.communicate(timeout=60)[1]
    until(over)
    assert box.said == [("failure", "nan"), ("warning", "by hand"), ("failure", "the run has failed")]
    assert [one["message"] for one in box.messages] == ["loss = nan at step 5", "token=***", "ValueError: no good"]
    assert sorted(recorded()) == ["by hand", "nan", "the run has failed"]
    assert sorted(delivered()) == ["error: nan", "error: the run has failed", "warning: by hand"]
    assert "accel_track error: nan: loss = nan at step 5" in shown
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("delivery", ["thread", "process", "none"])
def test_failed_is_sent_after_kill_9_and_is_in_the_journal(delivery: str, start: Start, box: Mailbox) -> None:
    process = start(delivery, "failed", end="wait")
    logged(process)
    process.kill()
    until(over)
    assert box.said == [("failure", "the run has failed")]
    assert "killed or crashed" in box.messages[0]["message"]
    assert recorded() == ["the run has failed"]
    assert only_run().load().alerts == ["failed"]  # which a collector of mirrors looks at
    if delivery == "process":  # trackers are told before they end
        assert delivered() == ["error: the run has failed"]


def test_a_training_that_hangs_is_told_by_the_companion(start: Start, box: Mailbox) -> None:
    process = start("thread", "no step for 0.5 s", end="wait")
    logged(process)
    process.send_signal(signal.SIGSTOP)  # nothing of the process runs on
    until(lambda: box.messages)
    assert box.said == [("warning", "no step for 0.5 s")]
    process.send_signal(signal.SIGCONT)
    until(lambda: recorded() == ["no step for 0.5 s"])  # also while the run is idle
    process.communicate("x", timeout=60)
    assert len(box.messages) == 1


def test_a_companion_that_is_killed_sends_nothing_twice(start: Start, box: Mailbox) -> None:
    process = start("thread", "nan, finished", end="alert wait")
    logged(process)
    until(lambda: len(box.messages) == 2)
    notes = only_run().rank(0) / "alerts.jsonl"
    until(lambda: notes.read_text().count('"sent"') == 2)
    (state,) = companion_states(only_run())
    os.kill(state[2].pid, signal.SIGKILL)
    until(lambda: companion_states(only_run())[0][2].starts == 2)
    process.communicate("x", timeout=60)
    until(over)
    assert sorted(box.said) == [("failure", "nan"), ("info", "the run has finished"), ("warning", "by hand")]
    assert sorted(recorded()) == ["by hand", "nan", "the run has finished"]


def test_a_run_that_goes_on_does_not_tell_the_past_again(start: Start, box: Mailbox) -> None:
    process = start("process", "nan, failed", end="wait")
    logged(process)
    process.kill()
    until(over)
    start("process", "nan, failed, finished", steps=3).communicate(timeout=60)
    until(over)
    assert box.said == [("failure", "nan"), ("failure", "the run has failed"), ("info", "the run has finished")]


def test_a_dead_service_holds_neither_training_nor_its_end_and_is_told_once(start: Start) -> None:
    process = start("thread", "nan", end="alert", notify="json://user:hunter2hunter2@127.0.0.1:9/")
    shown = process.communicate(timeout=20)[1]  # the companion tries for a minute
    assert process.returncode == 0
    assert shown.count("JSON has not taken an alert") <= 1
    assert "hunter2" not in shown
    (state,) = companion_states(only_run())
    os.kill(state[2].pid, signal.SIGKILL)
