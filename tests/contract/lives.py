"""Lives of a tracker, each in a process of its own, that end by themselves or by SIGKILL."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_LIFE = """
import json, sys
from accel_track.outcome import Outcome
from accel_track.registry import tracker_class

life = json.loads(sys.argv[1])
tracker = tracker_class(life["name"]).for_run("digits", None, life["folder"], life["kwargs"])
tracker.start()
if life["config"]:
    tracker.store_init_configuration(life["config"])
if life["rewind"] is not None:
    tracker.rewind(life["rewind"])
for step, value in life["points"]:
    tracker.log({"loss": value}, step=step)
tracker.flush()
print("IDENTITY", json.dumps(tracker.identity()), flush=True)
if life["status"] is None:
    sys.stdin.read()
tracker.outcome = Outcome(life["status"])
tracker.finish()
"""


def live(
    name: str,
    folder: Path,
    points: list[tuple[int, float]],
    status: str | None = "finished",
    /,
    *,
    config: dict[str, Any] | None = None,
    rewind: int | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Start a tracker in another process, log, and end it there; return its identity.

    Args:
        name: Name of the tracker.
        folder: The logging directory.
        points: Steps and values of the metric "loss".
        status: How the run ends, or None to kill the process once everything was logged.
        config: Hyperparameters.
        rewind: Step to rewind to before logging.
        **kwargs: Constructor arguments.
    """
    life = {"name": name, "folder": str(folder), "points": points, "status": status}
    life |= {"config": config, "rewind": rewind, "kwargs": kwargs}
    variables = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
    command = [sys.executable, "-W", "ignore", "-c", _LIFE, json.dumps(life)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=variables) as process:
        assert process.stdout is not None
        told = next((line for line in process.stdout if line.startswith("IDENTITY ")), None)
        if status is None:
            process.kill()
        _, errors = process.communicate(timeout=60)
        assert told is not None, errors
        assert process.returncode == (-9 if status is None else 0), errors
    identity: dict[str, Any] = json.loads(told.removeprefix("IDENTITY "))
    return identity
