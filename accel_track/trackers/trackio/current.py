"""Trackio's current run: what `trackio.log`, `trackio.alert` and the like refer to, in a thread or an asyncio task."""

from __future__ import annotations

import contextvars
import sys
import weakref
from collections.abc import Callable
from typing import Any

_over: weakref.WeakSet[Any] = weakref.WeakSet()
"""Runs that trackers have finished."""


def apart(init: Callable[..., Any], **arguments: Any) -> Any:
    """Call `trackio.init` where there is no current run, which it would finish."""
    return contextvars.Context().run(init, **arguments)


def offer(run: Any) -> None:
    """Let a run be the current one of this thread, unless the program has one."""
    variables = sys.modules.get("trackio.context_vars")
    current, project = (getattr(variables, name, None) for name in ("current_run", "current_project"))
    if current is not None and project is not None and ((one := current.get()) is None or one in _over):
        current.set(run)
        project.set(run.project)


def over(run: Any) -> None:
    """Note that a run is finished, and may be replaced as the current one of any thread."""
    _over.add(run)
