"""Tell a ClearML task how its run goes, and delete its artifacts."""

from __future__ import annotations

import functools
import os
from typing import Any

from accel_track.outcome import Outcome
from accel_track.trackers._clearml_process import forget_closed_task, forget_exit, signal_handlers_kept


def save_whole(task_class: Any) -> None:
    """Let tasks of the offline mode replace their session's file, so that a process killed meanwhile leaves one.

    ClearML empties the file and then writes it; it takes an empty one for a task without hyperparameters.
    """
    save = getattr(task_class, "_save_data_to_offline_dir", None)
    if save is None or hasattr(save, "__wrapped__"):  # another version of ClearML, or done already
        return

    @functools.wraps(save)
    def replace(task: Any, **kwargs: Any) -> None:
        with task._edit_lock:  # noqa: SLF001
            task.data  # noqa: B018 - may read the file, under its name
            folder = task.get_offline_mode_folder()
            if folder is None:  # a task that has no id yet
                save(task, **kwargs)
                return
            whole = folder / task._offline_filename  # noqa: SLF001
            part = whole.with_name(f"{whole.name}.part")
            task._offline_filename = part.name  # noqa: SLF001
            try:
                save(task, **kwargs)
            finally:
                del task._offline_filename  # noqa: SLF001 - it is the class's again
            os.replace(part, whole)

    task_class._save_data_to_offline_dir = replace  # noqa: SLF001


def open_again(task: Any) -> None:
    """Note in a session of the offline mode that its run goes on; with a server, `Task.init` has told it so."""
    if task.is_offline():
        _say(task, "running", "")


def _say(task: Any, status: str, reason: str) -> None:
    # ClearML reads and writes the session's file in a thread, which would take back what changes in between.
    with task._edit_lock:  # noqa: SLF001 - the methods for hyperparameters take it, this one does not
        task.set_user_properties(status=status, status_reason=reason)


def close(task: Any, outcome: Outcome) -> None:
    """Close a task with a status: completed, failed, or stopped, for a run that was interrupted or preempted.

    Offline, ClearML stores no status and would upload each session as completed, so user properties tell it.
    """
    reason = outcome.status if outcome.reason is None else f"{outcome.status}: {outcome.reason}"
    if task.is_offline():
        _say(task, outcome.status, outcome.reason or "")
    forget_exit(type(task))  # else an exception that was caught long ago would make `close` say that the task failed
    with signal_handlers_kept():
        task.close()
    forget_closed_task()
    # `close` says that the task is completed, whatever was said before it.
    if outcome.status == "failed":
        task.mark_failed(status_reason=reason, status_message=outcome.reason, force=True)
    elif outcome.status != "finished":
        task.stopped(status_reason=reason, status_message=outcome.reason, force=True)


def delete_artifact(task: Any, name: str) -> None:
    """Delete an artifact, if there is one of that name, and its file."""
    if name in task.artifacts:
        task.delete_artifacts([name], raise_on_errors=False, silent_on_errors=True)
        uploaded = task._artifacts_manager._task_artifact_list  # noqa: SLF001 - the next upload adds all of them again
        uploaded[:] = [artifact for artifact in uploaded if artifact.key != name]
