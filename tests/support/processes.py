"""Programs that tests start: with which Python, in which environment, and the command line as one of them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support import warm

PYTHON = sys.executable
PROGRAMS = Path(__file__).parent / "programs"


def accel_track(*arguments: object, check: int | None = 0) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own."""
    command = [PYTHON, "-m", "accel_track", *map(str, arguments)]
    done = warm.run(command, timeout=150, env=own_environment())
    if check is not None:
        assert done.returncode == check, f"{done.stdout}\n{done.stderr}"
    return done


def own_environment(**more: object) -> dict[str, str]:
    """Return an environment in which wandb starts a service of its own, not that of this process."""
    variables = {**os.environ, **{name: str(value) for name, value in more.items()}}
    variables.pop("WANDB_SERVICE", None)
    return variables
