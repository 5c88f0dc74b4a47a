"""ClearML's private parts: scalars with the times of their calls, and what surrounds its tasks."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from accel_track.errors import EndedError
from accel_track.trackers.fast import FastPath

_SINGLE = -(2**31)
"""The iteration by which `Logger.report_single_value` tells its values from others."""


class Scalars(FastPath):
    """The reports of `Logger.report_scalar`, with times other than the present.

    Args:
        native: A `clearml.Task`.
    """

    distribution = "clearml"
    tested = "==2.1.*"
    parts = ("clearml.backend_interface.metrics.events:ScalarEvent",)
    attributes = ("_reporter._report", "_reporter._report_service.is_alive")

    def __init__(self, native: Any) -> None:
        """Ask ClearML what an event looks like."""
        super().__init__(native)
        from clearml.backend_interface.metrics.events import ScalarEvent

        self._event, self._touch = ScalarEvent, native.get_logger()._touch_title_series  # noqa: SLF001

    def prepare(self, scalars: Sequence[tuple[str, str, float]], step: int | None, moment: float) -> list[Any]:
        """Return the events of one call.

        Args:
            scalars: Title, series and value of each.
            step: Training step; None for single values.
            moment: When the call was made, in seconds since 1970-01-01 UTC.

        Raises:
            ConnectionError: The task is closed.
        """
        self.check()
        iteration, milliseconds = _SINGLE if step is None else step, int(moment * 1000)
        return [(*scalar[:2], self._event(*scalar, iteration, timestamp=milliseconds)) for scalar in scalars]

    def check(self) -> None:
        """Raise an error if the task is closed: ClearML takes values for it in silence.

        Raises:
            EndedError: It is.
        """
        reporter = self.native._reporter  # noqa: SLF001
        if reporter._report and reporter._report_service is None:  # noqa: SLF001
            message = "clearml: the task takes no more values; the program has closed it."
            raise EndedError(message)

    @contextmanager
    def at(self, moment: float) -> Iterator[None]:
        """Give events that this thread reports meanwhile the time of their call.

        Args:
            moment: In seconds since 1970-01-01 UTC.
        """
        reporter, thread = self.native._reporter, threading.get_ident()  # noqa: SLF001
        report = reporter._report  # noqa: SLF001

        def timed(event: Any) -> None:
            if threading.get_ident() == thread:
                event._timestamp = int(moment * 1000)  # noqa: SLF001
            report(event)

        reporter._report = timed  # noqa: SLF001 - of this object alone
        try:
            yield
        finally:
            del reporter._report  # noqa: SLF001 - it is the class's again

    def store(self, ready: Sequence[tuple[str, str, Any]]) -> None:
        """Report events."""
        report = self.native._reporter._report  # noqa: SLF001
        for title, series, event in ready:
            self._touch(title, series)
            report(event)

    def stopped(self) -> bool:
        """Return whether the thread that stores events is gone with them, as after an error of the file system."""
        service = self.native._reporter._report_service  # noqa: SLF001 - None for a task that is closed
        return service is not None and not service.is_alive()


class Tasks(FastPath):
    """The calls of a task behind its public methods.

    Args:
        native: The module `clearml`.
    """

    distribution = "clearml"
    tested = ">=2.1"  # as above
    of_module = True
    attributes = ("Task._save_data_to_offline_dir", "Task._offline_filename", "Task._Task__exit_hook")

    def save_whole(self) -> None:
        """Let tasks of the offline mode replace their session's file, so that a process killed meanwhile leaves one.

        ClearML empties the file and then writes it; it takes an empty one for a task without hyperparameters.
        """
        task_class = self.native.Task
        save = task_class._save_data_to_offline_dir  # noqa: SLF001
        if hasattr(save, "__wrapped__"):
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

    def forget_exit(self) -> None:
        """Forget a `sys.exit` or an uncaught exception that the process outlived, before the next task begins.

        ClearML remembers it for ever: each later task would be closed as failed and without waiting for its values.
        """
        hook = self.native.Task._Task__exit_hook  # noqa: SLF001
        if hook is not None:
            hook.exit_code = hook.exception = hook.signal = None

    def lock(self, task: Any) -> Any:
        """Return the lock on a task's session file.

        ClearML reads and writes that file in a thread, which would take back what changes in between; its methods for
        hyperparameters take the lock, the one for user properties does not.
        """
        return task._edit_lock  # noqa: SLF001

    def forget_artifact(self, task: Any, name: str) -> None:
        """Forget a deleted artifact, which the next upload would add again with all others."""
        uploaded = task._artifacts_manager._task_artifact_list  # noqa: SLF001
        uploaded[:] = [artifact for artifact in uploaded if artifact.key != name]
