"""Run code where an SDK must neither fail nor wait: on a terminal with nothing configured, in a worker thread."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

_LONG = ("test_a_run_leaves_no_thread_and_no_descriptor", "test_a_forgotten_end_loses_nothing")
"""Tests of the contract that run programs, which the two quickest trackers show in each run of the tests."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark such tests of the other trackers `long`."""
    for item in items:
        if item.name in _LONG and item.path.name not in ("test_tensorboard.py", "test_jsonl.py"):
            item.add_marker("long")


DEADLINE = 60.0
"""Seconds after which a program counts as waiting for somebody to type; importing a heavy SDK takes a few."""


@pytest.fixture
def in_worker() -> Callable[[Callable[[], T]], T]:
    """Call a function in a thread that is not the main one, and return what it returns."""

    def call(function: Callable[[], T]) -> T:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function).result(timeout=DEADLINE)

    return call


@pytest.fixture
def on_terminal(tmp_path: Path) -> Callable[[str], str]:
    """Run Python code with a terminal as its input and output and without anybody's settings; return what it shows.

    The home directory is empty and the environment has no credentials and no offline settings. A program that does not
    end, for instance because it waits for input, fails the test.
    """

    def run(code: str) -> str:
        home = tmp_path / "empty-home"
        home.mkdir(exist_ok=True)
        environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TERM": "xterm",
        }
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=home
        )
        os.close(slave)
        try:
            return _shown(master, process)
        finally:
            process.kill()
            process.wait()
            os.close(master)

    return run


def _shown(master: int, process: "subprocess.Popen[bytes]") -> str:
    shown, end = b"", time.monotonic() + DEADLINE
    while (left := end - time.monotonic()) > 0:
        if not select.select([master], [], [], left)[0]:
            break
        try:
            chunk = os.read(master, 4096)
        except OSError:  # Linux's way to say that the other side of a terminal is closed
            chunk = b""
        shown += chunk
        if not chunk:
            assert process.wait(timeout=max(1.0, left)) == 0, shown.decode(errors="replace")
            return shown.decode(errors="replace")
    pytest.fail(f"still running after {DEADLINE:.0f} s, having shown: {shown.decode(errors='replace')}")
