"""Servers that tests start: on which port, and MLflow's."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

from tests.support.waiting import until


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody takes connections to a port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def answers(address: str) -> bool:
    """Whether a server answers a request."""
    with suppress(OSError), urlopen(address, timeout=5):
        return True
    return False


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
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        process = self._process
        until(lambda: process.poll() is not None or answers(f"{self.uri}/health"))
        assert process.poll() is None, (self.folder / "server.log").read_text()

    def stop(self) -> None:
        """End it at once, with its children."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
