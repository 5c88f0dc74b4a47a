"""Report many scalars to a ClearML task, with the times at which they were logged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Scalar = tuple[str, str, float, int | None, float]
"""Title, series, value, step or None for a single value, and wall-clock time in seconds."""

# Where `Logger.report_single_value` keeps them, and the iteration that tells them from others.
SUMMARY, _SINGLE = "Summary", -(2**31)

_FILE = "metrics.jsonl"
"""Where a session of the offline mode keeps its events: a list of them on each line."""


class Scalars:
    """Reports what `Logger.report_scalar` would, which knows no other time than the present.

    With a server, events go to the task's reporter as all others do. In the offline mode, a batch becomes a line of the
    session's file at once, without ClearML's four objects for each value.

    Args:
        task: A `clearml.Task`.
    """

    def __init__(self, task: Any) -> None:
        """Ask ClearML what an event looks like."""
        from clearml.backend_api import Session
        from clearml.backend_api.services import events
        from clearml.backend_interface.metrics.events import ScalarEvent

        self._task, self._event = task, ScalarEvent
        self._logger, self._reporter = task.get_logger(), task._reporter  # noqa: SLF001 - no public way to it
        self._file = Path(task.get_offline_mode_folder(), _FILE) if task.is_offline() else None
        example = ScalarEvent(metric="m", variant="v", value=0.5, iter=1, timestamp=1, task=task.id)
        more = {"model_event": False} if Session.check_min_api_version("2.23") else {}
        self._example = events.AddRequest(event=example.get_api_event(), **more).to_dict()
        as_known = {"metric": "m", "variant": "v", "value": 0.5, "iter": 1, "timestamp": 1, "task": task.id}
        if not (as_known.items() <= self._example.items() and callable(self._reporter._report)):  # noqa: SLF001
            raise AttributeError(name="_report", obj=self._reporter)
        self._logger._touch_title_series, self._reporter._max_iteration  # noqa: B018, SLF001 - raise if there are none

    @classmethod
    def of(cls, task: Any) -> Scalars | None:
        """Return one for a task; None where ClearML is another version."""
        try:
            return cls(task)
        except (AttributeError, ImportError, TypeError):
            return None

    def report(self, scalars: Sequence[Scalar]) -> None:
        """Report scalars; offline, all of them or, when it raises, none."""
        if self._file is None:
            for title, series, value, step, moment in scalars:
                iteration = _SINGLE if step is None else step
                self._logger._touch_title_series(title, series)  # noqa: SLF001
                event = self._event(title, series, value, iteration, timestamp=int(moment * 1000))
                self._reporter._report(event)  # noqa: SLF001
        elif scalars:
            self._append(self._file, scalars)

    def _append(self, file: Path, scalars: Sequence[Scalar]) -> None:
        offset = self._task.get_initial_iteration()
        example = self._example
        lines = [
            {
                **example,
                "metric": title,
                "variant": series,
                "value": value,
                "iter": (_SINGLE if step is None else step) + offset,
                "timestamp": int(moment * 1000),
            }
            for title, series, value, step, moment in scalars
        ]
        line = (json.dumps(lines) + "\n").encode()
        # One write: ClearML's own thread appends other events to the file.
        with file.open("ab", buffering=0) as stream:
            if stream.write(line) != len(line):
                message = f"clearml: the disk is full, {file} is cut short."
                raise OSError(message)
        for title, series in {(title, series) for title, series, *_ in scalars}:
            self._logger._touch_title_series(title, series)  # noqa: SLF001
        # What ClearML's own monitor of the machine uses as its step.
        last = max(event["iter"] for event in lines)
        self._reporter._max_iteration = max(self._reporter._max_iteration, last)  # noqa: SLF001
