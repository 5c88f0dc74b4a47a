"""The lines of a text file, of bounded length, with the places where they begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from typing_extensions import Self

from accel_track.files import open_regular

LONGEST = 16 * 1024 * 1024
"""Bytes of the longest line that is read."""


class Lines:
    """A file that is read line by line; a context manager, which closes it.

    Args:
        place: Path of the file.
        lost: Counts lines that cannot be read.
        at: The byte with which to begin.

    Attributes:
        at: Where the next line begins, in bytes.

    Raises:
        OSError: The file cannot be opened, or is none.
    """

    def __init__(self, place: str, lost: Counter[str], at: int = 0) -> None:
        """Open the file."""
        self._file = open(open_regular(place), "rb")  # noqa: SIM115 - closed with this object
        self._lost, self.at = lost, at
        self._file.seek(at)

    def __enter__(self) -> Self:
        """Return the lines."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def bytes(self) -> Iterator[bytes]:
        """Yield each line with its end."""
        readline, last = self._file.readline, False
        while line := readline(LONGEST):
            self.at += len(line)
            if len(line) < LONGEST or line.endswith(b"\n"):
                if not last:
                    yield line
                last = False
            else:
                if not last:
                    self._lost[f"lines of more than {LONGEST // 1024**2} MiB"] += 1
                last = True

    def texts(self) -> Iterator[str]:
        """Yield each line as a text; what is no UTF-8 in it becomes a replacement character."""
        for line in self.bytes():
            try:
                yield line.decode()
            except UnicodeDecodeError:  # noqa: PERF203 - most lines are
                self._lost["lines that are not in UTF-8, in which characters are replaced"] += 1
                yield line.decode(errors="replace")
