"""`accel-track sync` beside a training process, after one that was killed, and stopped with Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)

TRAINING = """
import sys
from accel_track.delivery.settings import Settings
from accel_track.registry import select
from accel_track.run import Run

run = Run(select("tensorboard", "runs"), project="proj", name="one", directory="runs", settings=Settings.of(delivery="none"))
step = 0
for line in sys.stdin:
    for _ in range(int(line)):
        run.log({"loss": step}, step)
        step += 1
    print("done", flush=True)
run.finish()
"""

SLOW = """
import signal, sys, time
from accel_track.cli import app
from accel_track.registry import register_tracker_class
from accel_track.trackers.base import GeneralTracker

class Slow(GeneralTracker):
    name, requires_logging_directory, tracker = "slow", False, None
    def __init__(self, project):
        super().__init__()
    def log(self, values, step=None, **kwargs):
        time.sleep(0.002)  # a backend's latency
        with open("slow.txt", "a") as file:
            file.write(f"{step}\\n")

register_tracker_class(Slow)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests in the background
app(sys.argv[1:])
"""


@pytest.fixture
def training() -> Any:
    """Yield a process that logs as many values as the lines say that it gets, and the directory of its run."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    log(process, 10)
    (path,) = Path("runs/.accel_track/proj").iterdir()
    yield process, RunDirectory(path)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def log(process: Any, count: int) -> None:
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def steps() -> list[int]:
    events = EventAccumulator("runs/proj/one", size_guidance={"scalars": 0})
    events.Reload()
    return [event.step for event in events.Scalars("loss")]


def test_a_killed_run_is_delivered(training: Any) -> None:
    process, run = training
    process.send_signal(signal.SIGKILL)
    process.wait()
    listed = subprocess.run([sys.executable, "-m", "accel_track", "ls"], capture_output=True, text=True, check=True)
    assert "failed" in listed.stdout
    done = subprocess.run(
        [sys.executable, "-m", "accel_track", "sync", run.path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "10 delivered" in done.stdout
    assert steps() == list(range(10))


def test_follow_goes_on_until_the_run_has_ended(training: Any) -> None:
    process, run = training
    command = [sys.executable, "-m", "accel_track", "sync", run.path.name, "--follow"]
    following = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: cursors.load(run.cursor("tensorboard")).delivered == 10)
    log(process, 5)
    until(lambda: cursors.load(run.cursor("tensorboard")).delivered == 15)
    assert following.poll() is None
    log(process, 5)
    process.stdin.close()
    process.wait()
    out, err = following.communicate(timeout=60)
    assert following.returncode == 0, err
    assert "20 delivered" in out
    assert "following the run" in err
    assert steps() == list(range(20))


def test_without_follow_it_ends_while_the_run_goes_on(training: Any) -> None:
    process, run = training
    subprocess.run([sys.executable, "-m", "accel_track", "sync", run.path], check=True, capture_output=True)
    assert steps() == list(range(10))
    assert process.poll() is None
    listed = subprocess.run([sys.executable, "-m", "accel_track", "ls"], capture_output=True, text=True, check=True)
    assert "running" in listed.stdout


def test_ctrl_c_stores_the_cursor(make: Any) -> None:
    run = make([], count=3000)
    command = [sys.executable, "-c", SLOW, "sync", str(run.path), "--to", "slow"]
    stopped = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: Path("slow.txt").exists() and len(Path("slow.txt").read_text().splitlines()) > 100)
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 1, err
    assert "stopping" in err
    assert "Traceback" not in err
    had = len(Path("slow.txt").read_text().splitlines())
    assert had < 3000
    assert f"slow: {had} delivered, {3000 - had} pending (stopped)" in out
    assert cursors.load(run.cursor("slow")).seq == had
    subprocess.run(command, check=True, capture_output=True)
    assert [int(line) for line in Path("slow.txt").read_text().splitlines()] == list(range(3000))


def piped(command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a shell; its exit code is the last line of the errors."""
    line = f'{{ "{sys.executable}" -m accel_track {command}; echo "code $?" >&2; }}'
    return subprocess.run(line, shell=True, capture_output=True, text=True, check=False, timeout=60)


def test_a_reader_that_ends_early_is_no_error(make: Any) -> None:
    run = make([], count=20_000)
    done = piped(f"export {run.path} --format csv | head -1")
    assert done.stdout == "rank,seq,time,step,name,value\n"
    assert done.stderr == "code 0\n"


@pytest.mark.parametrize("words", ["ls", "ls --json", "show latest", "verify latest", "prune -n", "sync latest"])
def test_a_command_that_nobody_reads_stops_without_a_traceback(make: Any, words: str) -> None:
    make(count=2)
    done = subprocess.run(
        ["bash", "-c", f'(sleep 0.1; "{sys.executable}" -m accel_track {words}; echo "code $?" >&2) | true'],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == "code 141\n"


def test_an_output_without_the_letters_of_a_name_gets_escapes_and_exports_are_utf_8(make: Any) -> None:
    make(count=1, values={"Güte": "schön"})

    def told(words: str) -> bytes:
        command = [sys.executable, "-m", "accel_track", *words.split()]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        return subprocess.run(command, capture_output=True, check=True, env=environment, timeout=60).stdout

    assert rb"G\xfcte" in told("show latest")
    assert "Güte,schön".encode() in told("export latest --format csv")


@pytest.mark.parametrize("words", ["ls", "show latest", "export latest --format csv"])
def test_a_closed_output_is_no_error(make: Any, words: str) -> None:
    make(count=2)
    done = piped(f"{words} >&-")
    assert (done.stdout, done.stderr) == ("", "code 0\n")


@pytest.mark.long
@pytest.mark.extras
def test_a_backend_without_credentials_is_one_line(make: Any) -> None:
    run = make()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}

    def accel_track(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "accel_track", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)

    done = accel_track("sync", run.path, "--to", "wandb")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "wandb: 0 delivered, 5 pending; no credentials; set WANDB_API_KEY" in done.stdout
    told = json.loads(accel_track("doctor", "--json").stdout)["backends"]
    assert told["wandb"]["missing"].startswith("no credentials")
