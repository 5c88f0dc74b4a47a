"""The lines of a text file, of bounded length, with the places where they begin."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Iterator

from typing_extensions import Self

from accel_track.files import open_regular

LONGEST = 16 * 1024 * 1024
"""Bytes of the longest line that is read."""

_BLOCK = 256 * 1024
_TOO_LONG = f"lines of more than {LONGEST // 1024**2} MiB"


class Lines:
    """A file that is read line by line; a context manager, which closes it.

    Args:
        place: Path of the file.
        lost: Counts lines that cannot be read.
        at: The byte with which to begin.

    Attributes:
        at: Where the next line begins, in bytes; with `quick_texts`, which does not count, where the first did.
        underscores: Whether there may be an underscore in the line before.

    Raises:
        OSError: The file cannot be opened, or is none.
    """

    def __init__(self, place: str, lost: Counter[str], at: int = 0) -> None:
        """Open the file."""
        self._file = open(open_regular(place), "rb")  # noqa: SIM115 - closed with this object
        self._lost, self.at, self.underscores = lost, at, True
        self._file.seek(at)

    def __enter__(self) -> Self:
        """Return the lines."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def lines(self) -> Iterator[bytes]:
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
                    self._lost[_TOO_LONG] += 1
                last = True

    def quick_texts(self) -> Iterator[str]:
        """Return the same as `texts`, some at once."""
        return itertools.chain.from_iterable(io.StringIO(block, newline="") for block in self._blocks())

    def _blocks(self) -> Iterator[str]:
        """Yield some whole lines at a time."""
        rest, before = b"", False
        while data := self._file.read(_BLOCK):
            whole, end, rest_of_data = data.rpartition(b"\n")
            if not end:
                rest += data
                if len(rest) > LONGEST:
                    self._lost[_TOO_LONG] += 1
                    rest = b""
                    while (data := self._file.read(_BLOCK)) and b"\n" not in data:
                        pass
                    rest = data.partition(b"\n")[2]
                continue
            block, rest = rest + whole + end, rest_of_data
            has = b"_" in block
            self.underscores, before = has or before, has
            yield self._text(block)
        if rest:
            self.underscores = True
            yield self._text(rest)

    def texts(self) -> Iterator[str]:
        """Yield each line as a text; what is no UTF-8 in it becomes a replacement character."""
        return map(self._text, self.lines())

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            for line in data.splitlines():
                try:
                    line.decode()
                except UnicodeDecodeError:  # noqa: PERF203 - once a line
                    self._lost["lines that are not in UTF-8, in which characters are replaced"] += 1
            return data.decode(errors="replace")
