"""What the tests of faults share: programs that are started and killed, and a real MLflow server."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import warm
from tests.support.processes import PYTHON, own_environment
from tests.support.servers import Server


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
        variables = own_environment(**environment, **(warm.NOT_MEASURED if forks else warm.coverage))
        kind = subprocess.Popen if cold else warm.Popen
        return kind([PYTHON, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)

    return start
