"""The life of a ClearML task: its beginning, its status and its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from accel_track.errors import NotConfiguredError
from accel_track.outcome import Outcome
from accel_track.trackers.clearml.fast import Tasks
from accel_track.trackers.clearml.process import forget_closed_task, signal_handlers_kept, variable
from accel_track.trackers.fast import Gate


def begin(clearml: Any, parts: Gate[Tasks], project: str | None, init_kwargs: Mapping[str, Any]) -> Any:
    """Create a task, or continue one, and return it.

    Raises:
        NotConfiguredError: There is no configuration at all.
    """
    from clearml.backend_api.session.defs import MissingConfigError

    parts.use(Tasks.save_whole)
    parts.use(Tasks.forget_exit)
    forget_closed_task()
    kwargs = {"auto_connect_frameworks": False, "auto_connect_arg_parser": False, **init_kwargs}
    continued = kwargs.get("continue_last_task")
    if continued is None:
        kwargs.setdefault("reuse_last_task_id", False)
    try:
        with signal_handlers_kept():
            task = clearml.Task.init(project_name=project, **kwargs)
    except MissingConfigError as error:
        message = f"clearml: {error}"
        raise NotConfiguredError(message) from error
    if (continued is True or isinstance(continued, str)) and not variable("SET_ITERATION_OFFSET"):
        task.set_initial_iteration(0)  # else ClearML adds the last iteration to every step
    if continued is not None and continued is not False and task.is_offline():  # 0 continues, too
        _say(task, parts, "running", "")  # with a server, `Task.init` has told it so
    return task


def end(task: Any, parts: Gate[Tasks], outcome: Outcome) -> None:
    """Close a task with a status: completed, failed, or stopped, for a run that was interrupted or preempted.

    Offline, ClearML stores no status and would upload each session as completed, so user properties tell it.
    """
    if task.is_offline():
        _say(task, parts, outcome.status, outcome.reason or "")
    # Else an exception that was caught long ago would make `close` say that the task failed.
    parts.use(Tasks.forget_exit)
    with signal_handlers_kept():
        task.close()
    forget_closed_task()
    # `close` says that the task is completed, whatever was said before it.
    if outcome.status != "finished":
        say = task.mark_failed if outcome.status == "failed" else task.stopped
        say(status_reason=outcome.text, status_message=outcome.reason, force=True)


def _say(task: Any, parts: Gate[Tasks], status: str, reason: str) -> None:
    with parts.use(lambda tasks: tasks.lock(task)) or nullcontext():
        task.set_user_properties(status=status, status_reason=reason)
