"""The companion's log: each line that it and its SDKs print, without credentials."""

from __future__ import annotations

import io
import threading
from typing import TextIO

from accel_track.texts import clean


class CleanLog(io.TextIOBase):
    """A text stream in place of the standard output and error.

    Args:
        file: Where cleaned lines go.
    """

    encoding = "utf-8"

    def __init__(self, file: TextIO) -> None:
        """Begin with an empty line."""
        self._file = file
        self._begun = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            self._file.write("".join(f"{clean(line)}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        """Write what there is of a line, too."""
        with self._lock:
            self._file.write(clean(self._begun))
            self._begun = ""
            self._file.flush()

    def fileno(self) -> int:
        """Return the file's number, for what writes past this."""
        return self._file.fileno()

    def writable(self) -> bool:
        """Say that it is."""
        return True
