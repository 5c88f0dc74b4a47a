"""MLflow's surroundings: an empty database to copy, and a real `mlflow server` on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks._settings import environment

_PATIENCE = 90.0


def databases(folder: Path) -> None:
    """Make `mlflow.db` in a folder: the migrations of a new one take seconds."""
    code = "import sys, mlflow; mlflow.MlflowClient(sys.argv[1]).search_experiments()"
    command = [sys.executable, "-c", code, f"sqlite:///{folder}/mlflow.db"]
    subprocess.run(  # noqa: S603 - our own interpreter
        command, check=True, capture_output=True, cwd=folder, env=environment(folder, {})
    )


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run `mlflow server` with one worker and a SQLite database in a folder, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    stores = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/artifacts"]
    command = [sys.executable, "-m", "mlflow", "server", *stores, "--workers", "1", "--host", "127.0.0.1"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [*command, "--port", port],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            # Without this variable, seven more processes start, for jobs that nobody has.
            env=environment(folder, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}),
            start_new_session=True,  # a process group, which holds the server's workers too
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process, folder / "server.log")
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310 - our own server
            return
        time.sleep(0.2)
    message = f"no MLflow server at {address}:\n{log.read_text(errors='replace')[-3000:]}"
    raise RuntimeError(message)
