"""The notes of a run's watcher, a file of JSON lines: which alerts rules have raised, and which were sent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from accel_track.files import make_private
from accel_track.records import Alert


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line.

    Attributes:
        time: When it was written, in seconds since 1970-01-01 UTC.
        raised: The alert that a rule has raised, as title, text, level, rule and id.
        sent: The alert that services have got: its id or, of one that the program raised, the number of its record.
        ended: Of which process that logged to the run everything was looked at, as `starts` of `run.json` counts them.
    """

    time: float
    raised: Alert | None = None
    sent: str = ""
    ended: int = 0


class Notes:
    """The file of notes, to which they are appended, and from which those since the last time are read.

    Args:
        folder: The rank's folder.
    """

    def __init__(self, folder: Path) -> None:
        """Touch nothing."""
        self._path = folder / "alerts.jsonl"
        self._place = 0

    def skip(self) -> None:
        """Leave out what is there."""
        with contextlib.suppress(OSError):
            self._place = self._path.stat().st_size

    def read(self) -> Iterator[Note]:
        """Yield the notes that came since; what is torn or damaged is left out."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._place)
                data = file.read()
        except OSError:  # none yet, or the folder is gone
            return
        whole = data.rfind(b"\n") + 1
        self._place += whole
        for line in data[:whole].splitlines():
            with contextlib.suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(line, type=Note)

    def append(self, note: Note) -> None:
        """Append a note.

        Raises:
            OSError: The disk does not take it.
        """
        make_private(self._path.parent)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, b"\n" * self._is_torn(file) + msgspec.json.encode(note) + b"\n")
        finally:
            os.close(file)

    def _is_torn(self, file: int) -> bool:
        """Return whether the last line has no end, since its writer was killed."""
        size = os.fstat(file).st_size
        if not size:
            return False
        with open(self._path, "rb") as whole:
            whole.seek(size - 1)
            return whole.read(1) != b"\n"
