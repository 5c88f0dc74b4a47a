"""Plain forms that wait: numbers to be counted for a histogram, cells of a table; and files that are used again."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.files import open_regular
from accel_track.media import tables
from accel_track.media.histograms import histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = ".hist.json"
"""The ending of the name of a histogram that was counted after its call."""

CELLS = ".table.json"
"""The ending of the name of a table that became JSON after its call."""

SUFFIXES = (NUMBERS, CELLS)

_SPARE = ".spare"
_MOST_SPARES, _MOST_BYTES = 4, 64 * 1024 * 1024


def head(numbers: NDArray[Any], bins: int) -> bytes:
    """Return the line in front of plain numbers: their type, how many there are, and in how many bins they go."""
    return f"{numbers.dtype.str} {numbers.size} {bins}\n".encode()


def read(path: Path) -> bytes:
    """Return a plain form from its file, which another process may give another name and write to again.

    Raises:
        FileNotFoundError: The file has that name no longer, so what was read may be another one's.
        OSError: The file cannot be read.
    """
    with open(open_regular(path), "rb") as file:
        data = file.read()
        if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            raise FileNotFoundError(path)
    return data


def encoded(name: str, data: bytes) -> bytes:
    """Return the bytes of a file whose plain form waits.

    Args:
        name: The file's name, which ends in one of `SUFFIXES`.
        data: The plain form.

    Raises:
        OSError: There is not enough memory.
        ValueError: It is damaged, or cannot be counted.
    """
    try:
        return counted(data) if name.endswith(NUMBERS) else _as_json(name, data)
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error


def _as_json(name: str, data: bytes) -> bytes:
    if hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
        message = "its cells are not what was logged"
        raise ValueError(message)
    return tables.as_json(*tables.unpacked(data))


def counted(data: bytes) -> bytes:
    """Return the histogram of plain numbers as JSON.

    Raises:
        ValueError: They are none, or not all there.
    """
    import numpy as np

    line, _, content = data.partition(b"\n")
    try:
        kind, size, bins = line.decode("ascii").split(" ")
        dtype = np.dtype(kind)
        whole = dtype.kind in "iuf" and dtype.itemsize * int(size) == len(content)
        info = histogram(np.frombuffer(content, dtype), int(bins)) if whole else None
    except MemoryError:
        raise
    except Exception as error:
        message = f"its numbers cannot be counted ({type(error).__name__}: {error})"
        raise ValueError(message) from error
    if info is None:
        message = "its numbers are not what was logged"
        raise ValueError(message)
    return json.dumps(info).encode()


class Spares:
    """Files whose numbers are counted, to be written to again.

    A file that has its place in memory takes a tenth of the time that a new one does.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        """Begin without files."""
        self._folder = folder
        self._spares: list[tuple[int, Path]] = []
        self._lock = threading.RLock()

    def take(self, path: Path, size: int) -> bool:
        """Give a spare file another name, and cut it to a size; say whether there is one."""
        with self._lock:
            fitting = [one for one in self._spares if one[0] >= size] or self._spares[:1]
            if not fitting:
                return False
            self._spares.remove(fitting[0])
        with contextlib.suppress(OSError):
            os.replace(fitting[0][1], path)
            if fitting[0][0] > size:
                os.truncate(path, size)
            return True
        return False

    def keep(self, path: Path) -> None:
        """Keep a file for another time, or delete it.

        Raises:
            FileNotFoundError: It is gone.
        """
        size = path.stat().st_size
        with self._lock:
            kept = sum(one for one, _ in self._spares)
            if len(self._spares) < _MOST_SPARES and kept + size <= _MOST_BYTES:
                spare = path.with_name(f".{path.name[:16]}{_SPARE}")
                os.replace(path, spare)
                self._spares.append((size, spare))
                return
        path.unlink()

    def delete(self) -> None:
        """Delete the files whose numbers are counted."""
        with self._lock:
            spares, self._spares = self._spares, []
        for _, path in spares:
            with contextlib.suppress(OSError):
                path.unlink()

    def delete_old(self) -> None:
        """Delete the files of a killed process."""
        for path in self._folder.glob(f".*{_SPARE}"):
            with contextlib.suppress(OSError):
                path.unlink()
