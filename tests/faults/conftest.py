"""What the tests of faults share: programs that are started and killed, a real MLflow server, runs read back."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics
from tests.support import warm

PYTHON = sys.executable


def only_run(folder: Path) -> RunDirectory:
    """Return the one run below a folder."""
    (found,) = find_runs(folder)
    return found


def journaled(run: RunDirectory) -> list[int | None]:
    """Return the steps in a run's journal, in order."""
    return [record.step for record in JournalReader(run.rank()) if isinstance(record, Metrics)]


def accel_track(*arguments: object, check: int | None = 0) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own."""
    command = [PYTHON, "-m", "accel_track", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False, env=own_environment())
    if check is not None:
        assert done.returncode == check, f"{done.stdout}\n{done.stderr}"
    return done


def own_environment(**more: object) -> dict[str, str]:
    """Return an environment in which wandb starts a service of its own, not that of this process."""
    variables = {**os.environ, **{name: str(value) for name, value in more.items()}}
    variables.pop("WANDB_SERVICE", None)
    return variables


def scalars(folder: Path, name: str = "loss") -> list[tuple[int, float]]:
    """Return what TensorBoard's own reader finds of a metric, in the folder of the only run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = next((file.parent for file in folder.rglob("events.out.tfevents.*")), folder)
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)] if name in events.Tags()["scalars"] else []


def metric_history(uri: str, name: str = "loss") -> list[tuple[int, float]]:
    """Return what MLflow has of a metric, in the only run of the only experiment that has runs."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name))


class Server:
    """`mlflow server` on a port of its own, that can be stopped and started again.

    Args:
        folder: Where its database is.
    """

    def __init__(self, folder: Path) -> None:
        """Choose a free port; nothing runs yet."""
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.database = f"sqlite:///{folder / 'server.db'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(exist_ok=True)
        command = [PYTHON, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", self.database, "--default-artifact-root", str(self.folder / "artifacts")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                urlopen(f"{self.uri}/health", timeout=1).close()
            except (URLError, OSError):  # noqa: PERF203 - until it answers
                assert self._process.poll() is None, (self.folder / "server.log").read_text()
                time.sleep(0.2)
            else:
                return
        pytest.fail("the MLflow server does not answer")

    def stop(self) -> None:
        """End it at once, with its children."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Give a server that is not started yet, and stop it in the end."""
    one = Server(tmp_path / "server")
    yield one
    one.stop()


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start Python code as a program that can import what the tests can."""

    def start(code: str, *, cold: bool = False, forks: bool = False, **environment: Any) -> "subprocess.Popen[str]":
        path = tmp_path / "program.py"
        path.write_text(code)
        if forks:  # coverage's tracer takes a lock, with which a child that is forked meanwhile hangs
            environment |= {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
        variables = own_environment(**environment)
        kind = subprocess.Popen if cold or forks else warm.Popen
        return kind([PYTHON, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)

    return start
