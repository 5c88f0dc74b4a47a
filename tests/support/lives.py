"""Lives of a tracker, each in a process of its own, that end by themselves or by SIGKILL."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from accel_track.delivery.sync import Sync
from accel_track.journal.directory import find_runs
from tests.support import warm

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
    with warm.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=variables) as process:
        assert process.stdout is not None
        told = next((line for line in process.stdout if line.startswith("IDENTITY ")), None)
        if status is None:
            process.kill()
        _, errors = process.communicate(timeout=60)
        assert told is not None, errors
        assert process.returncode == (-9 if status is None else 0), errors
    identity: dict[str, Any] = json.loads(told.removeprefix("IDENTITY "))
    return identity


_KILLED_IN_START = """
import importlib, os, sys
from accel_track import Accelerator

sdk = importlib.import_module(sys.argv[1])
init = sdk.init

def killed(**arguments):
    init(**arguments)
    os.kill(os.getpid(), 9)

sdk.init = killed
accelerator = Accelerator(sys.argv[1], project_dir=sys.argv[2], cpu=True)
accelerator.init_trackers("p", {"lr": 0.1})
"""


def killed_in_start(name: str, folder: Path) -> str:
    """Kill a process when its backend's run is there and nobody knows, deliver what it left, and return the noted id.

    Args:
        name: Name of the tracker, whose SDK has a function `init`.
        folder: The logging directory.
    """
    command = [sys.executable, "-W", "ignore", "-c", _KILLED_IN_START, name, str(folder)]
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
    assert warm.run(command, env=environment, timeout=120).returncode == -9
    (run,) = find_runs(folder)
    (result,) = Sync(run).deliver(follow=False, timeout=60)
    assert (result.obstacle, result.error) == (None, None)
    identity: str = run.load().trackers[name].identity["id"]
    return identity
