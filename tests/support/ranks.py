"""Processes of one group, with the environment that torchrun gives to its own, forked from the warm process."""

import os
import subprocess
from collections.abc import Sequence
from typing import Any

from tests.support import warm
from tests.support.servers import free_port


def ranks(
    command: Sequence[str], *, timeout: float, env: dict[str, str] | None = None, **arguments: Any
) -> list["subprocess.CompletedProcess[str]"]:
    """Run a command as both ranks of a group of two, to their end."""
    shared = {**os.environ, **(env or {}), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "tests"}
    pipe, done = subprocess.PIPE, []
    started = [
        warm.Popen(
            command, stdout=pipe, stderr=pipe, text=True, env=shared | {"RANK": one, "LOCAL_RANK": one}, **arguments
        )
        for one in ("0", "1")
    ]
    for process in started:
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            process.kill()
        done.append(subprocess.CompletedProcess(command, process.returncode, output, errors))
    return done
