"""Processes of one group, with the environment that torchrun gives to its own, forked from the warm process."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.support import warm
from tests.support.servers import free_port

_GRACE = 20.0
"""Seconds that a rank has to end once the other one has failed: it may wait for that for half an hour."""

_TRIES = 3
"""How often a group is started whose port another process has taken meanwhile."""


def ranks(
    command: Sequence[str], *, timeout: float, env: dict[str, str] | None = None, **arguments: Any
) -> list["subprocess.CompletedProcess[str]"]:
    """Run a command as both ranks of a group of two, to their end."""
    for _ in range(_TRIES):
        done = _group(command, timeout, {**os.environ, **(env or {})}, arguments)
        if not any("address already in use" in one.stderr.lower() for one in done if one.returncode):
            break
    return done


def _group(
    command: Sequence[str], timeout: float, env: dict[str, str], arguments: dict[str, Any]
) -> list["subprocess.CompletedProcess[str]"]:
    shared = {**env, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "tests"}
    pipe, texts = subprocess.PIPE, {}
    started = [
        warm.Popen(
            command, stdout=pipe, stderr=pipe, text=True, env=shared | {"RANK": one, "LOCAL_RANK": one}, **arguments
        )
        for one in ("0", "1")
    ]

    def follow(process: "subprocess.Popen[str]") -> None:
        try:
            texts[process] = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            texts[process] = process.communicate()

    threads = {process: threading.Thread(target=follow, args=[process]) for process in started}
    for thread in threads.values():
        thread.start()
    while all(thread.is_alive() for thread in threads.values()):
        time.sleep(0.05)
    failed = any(process.returncode for process, thread in threads.items() if not thread.is_alive())
    for process, thread in threads.items():
        thread.join(_GRACE if failed else None)
        if thread.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            thread.join()
    return [subprocess.CompletedProcess(command, one.returncode, *texts[one]) for one in started]
