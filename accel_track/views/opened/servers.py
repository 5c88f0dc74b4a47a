"""The pages of backends that run on this machine: the server of each, as its package brings it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

HOST = "127.0.0.1"

_PATIENCE = 180.0
"""Seconds until a server has to answer; MLflow's takes a third of that on a machine with other work."""

_GRACE = 5.0
"""Seconds that a server gets to end by itself."""

_GUARD = '("$@"; kill 0) & read _; kill 0'
"""For the shell: runs a command, and ends all of its processes with it, or as soon as the standard input is closed,
which happens whatever way this process ends."""


class Page(NamedTuple):
    """A page that can be opened.

    Attributes:
        port: The port that its package takes by default.
        command: Returns the command of its server, given the folder of a tracker's files and a port.
        variables: Returns variables for tracker and server, given the folder.
        foreign: What the names of variables begin with that would lead tracker or server elsewhere.
    """

    port: int
    command: Callable[[Path, int], Sequence[str]]
    variables: Callable[[Path], dict[str, str]] = lambda _: {}
    foreign: tuple[str, ...] = ()


def _tensorboard(folder: Path, port: int) -> Sequence[str]:
    where = ("--logdir", os.fspath(folder), "--host", HOST, "--port", str(port))
    return ("-m", "tensorboard.main", *where, "--reload_interval", "2")


def _mlflow(folder: Path, port: int) -> Sequence[str]:
    where = ("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--host", HOST, "--port", str(port))
    return ("-m", "mlflow", "ui", *where, "--workers", "1")


def _trackio(_: Path, port: int) -> Sequence[str]:
    where = f"host={HOST!r}, server_port={port}, share=False, open_browser=False, block_thread=True"
    return ("-c", f"import trackio; trackio.show({where})")  # its command takes no port


def _variables_of_trackio(folder: Path) -> dict[str, str]:
    return {"TRACKIO_DIR": os.fspath(folder / "trackio"), "HF_HUB_OFFLINE": "1"}


PAGES = {
    "tensorboard": Page(6006, _tensorboard),
    "mlflow": Page(5000, _mlflow, foreign=("MLFLOW_",)),
    "trackio": Page(7860, _trackio, _variables_of_trackio, foreign=("TRACKIO_", "GRADIO_")),
}
"""The pages by the names of their trackers."""


def settle(page: Page, folder: Path) -> None:
    """Set the variables of this process so that tracker and server stay in the folder; before the SDK is imported."""
    for name in [name for name in os.environ if name.startswith(page.foreign or ("\0",))]:
        del os.environ[name]
    os.environ.update(page.variables(folder))


def free_port(wanted: int, *, only: bool) -> int:
    """Return a port on which nobody listens: the one wanted, or if it need not be that one, any other.

    Raises:
        OSError: There is none.
    """
    for port in (wanted,) if only else (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    message = f"port {wanted} of {HOST} is taken; choose another one."
    raise OSError(message)


class Server:
    """The server of a page, which ends with this process.

    Args:
        page: The page.
        folder: The folder of the tracker's files.
        port: The port.
    """

    def __init__(self, page: Page, folder: Path, port: int) -> None:
        """Start the server."""
        self.url = f"http://{HOST}:{port}/"
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a command of ours
                ["sh", "-c", _GUARD, "sh", sys.executable, *page.command(folder, port)],  # noqa: S607
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )

    @property
    def over(self) -> bool:
        """Whether the server has ended."""
        return self._process.poll() is not None

    def wait(self) -> bool:
        """Wait until it answers; False if it ends before, or does not in time."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and not self.over:
            if self._answers():
                return True
            time.sleep(0.1)
        return False

    def _answers(self) -> bool:
        direct = build_opener(ProxyHandler({}))
        try:
            with direct.open(self.url, timeout=5):
                return True
        except OSError as error:  # an answer that is an error is one, too
            return isinstance(error, HTTPError)

    def last_words(self) -> str:
        """Return the last line that it has written."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"

    def end(self) -> None:
        """End the server, with all of its processes."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
