"""ClearML's failures: what its own threads, which report, upload and write files, could not store, by its log."""

from __future__ import annotations

import logging
import os

_SOURCE = os.path.join("backend_interface", "metrics")
_WARN_AND_GO_ON = ("_do_write_events", "get_file_entry")
"""The functions of ClearML's that warn of an event's own error, and go on without it or its file."""


class Failures(logging.Handler):
    """The record of ClearML's log about values and images that it did not store, from `begin` to `end`."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        super().__init__(logging.WARNING)
        self._said: list[str] = []

    def begin(self) -> None:
        """Listen."""
        self._said.clear()
        logging.getLogger("clearml").addHandler(self)

    def end(self) -> None:
        """Listen no more."""
        logging.getLogger("clearml").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message about a value that was not stored; others of that file are about waiting and repetitions."""
        if _SOURCE in record.pathname and (
            record.levelno >= logging.ERROR
            or (record.funcName in _WARN_AND_GO_ON and "starvation" not in record.getMessage())
        ):
            self._said.append(record.getMessage())

    def take(self) -> str | None:
        """Return the first message since the last look, with how many others there are; None if there is none."""
        said, self._said = self._said, []
        if not said:
            return None
        return said[0] + (f" (and {len(said) - 1} more)" if said[1:] else "")
