"""Servers that tests start: on which port, and MLflow's."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`mlflow server` on a port of its own, that can be stopped and started again.

    Args:
        folder: Where its database is.
    """

    def __init__(self, folder: Path) -> None:
        """Choose a free port; nothing runs yet."""
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.database = f"sqlite:///{folder / 'server.db'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", f"{self.port}"]
        command += ["--workers", "1", "--backend-store-uri", self.database]
        command += ["--default-artifact-root", str(self.folder / "artifacts")]
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
