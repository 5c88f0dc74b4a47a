"""wandb's global run: what `wandb.run`, `wandb.log`, `wandb.watch` and the like refer to."""

from __future__ import annotations

import threading
from typing import Any

_METHODS = (
    "alert",
    "define_metric",
    "link_model",
    "log",
    "log_artifact",
    "log_model",
    "mark_preempting",
    "save",
    "unwatch",
    "use_artifact",
    "use_model",
    "watch",
)
"""Functions of the module that are methods of its global run."""

_runs: list[Any] = []
"""The trackers' runs that are not finished, oldest first."""

_lock = threading.Lock()


def opened(wandb: Any, run: Any) -> None:
    """Let a run be wandb's global one, unless there is one: `wandb.init(reinit="create_new")` itself does not."""
    with _lock:
        _runs.append(run)
        _promote(wandb)


def finished(wandb: Any, run: Any) -> None:
    """Let the oldest run that goes on take the place of one that is over: hooks of `watch` log to the global run."""
    with _lock:
        _runs[:] = [one for one in _runs if one is not run]
        if wandb.run is run:  # wandb itself takes it back only where `finish` came to its end
            wandb.run = None
        _promote(wandb)


def _promote(wandb: Any) -> None:
    if wandb.run is None and _runs:
        run = _runs[0]
        wandb.run, wandb.config, wandb.summary = run, run.config, run.summary
        for name in _METHODS:
            if hasattr(wandb, name) and hasattr(run, name):
                setattr(wandb, name, getattr(run, name))
