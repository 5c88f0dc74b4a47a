"""What a folder of event files has, for a run that goes on in it."""

from __future__ import annotations

import math
import mmap
import os
import struct
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from accel_track.trackers._tensorboard_wire import FOOTER, HEADER, WALL_TIME, header

_MOST = 1_000_000
_PATTERN = "events.out.tfevents.*"
_LENGTH, _TIME = struct.Struct("<Q"), struct.Struct("<d")


class Delivered:
    """The last million events of a folder: what was delivered and perhaps not acknowledged.

    A process that was killed may have written more than it knew, and that is handed over again. A call of `log` is one
    event, and makes the same bytes each time, so an event is known by its checksum and half of its time: 8 bytes each.

    Args:
        folder: Where the event files are; the newest are read first.
    """

    def __init__(self, folder: Path) -> None:
        """Read the files."""
        import numpy as np

        self._until, self._before = -math.inf, math.inf
        every = array("Q")
        for path in sorted(folder.glob(_PATTERN), reverse=True):
            keys = array("Q")
            with _mapped(path) as data:
                for begin, end in events(data):
                    keys.append(_key(data[begin:end]))
                    self._until = max(self._until, _time(data, begin))
                    if len(keys) == 2 * _MOST:
                        del keys[:_MOST]
            every += keys[-_MOST:]
            if len(every) >= _MOST:
                break
        self._keys = np.sort(np.frombuffer(every, np.uint64))

    def rewind(self, step: int) -> None:
        """Forget events of this step and later ones: TensorBoard hides them now."""
        self._before = min(self._before, step)

    def has(self, event: bytes, step: int | None, time: float) -> bool:
        """Whether a framed event is among them."""
        import numpy as np

        if time > self._until or (step or 0) >= self._before:
            return False
        key = np.uint64(_key(event))
        place = int(np.searchsorted(self._keys, key))
        return place < len(self._keys) and bool(self._keys[place] == key)


def events(data: Any) -> Iterator[tuple[int, int]]:
    """Yield where each whole framed event of a file begins and ends."""
    begin = 0
    while begin + HEADER + FOOTER <= len(data):
        (length,) = _LENGTH.unpack_from(data, begin)
        end = begin + HEADER + length + FOOTER
        if end > len(data) or data[begin : begin + HEADER] != header(length):
            return
        yield begin, end
        begin = end


def stored(folder: Path) -> tuple[dict[str, Any], bool]:
    """Return the content of `hparams.yml`, and whether an event file has a session for the HParams tab."""
    file = folder / "hparams.yml"
    config = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None
    return config or {}, any(_has_session(path) for path in folder.glob(_PATTERN))


def outlast(folder: Path) -> None:
    """Wait until a new event file comes after those in the folder.

    TensorBoard reads files in the order of their names, which begin with the second of their creation and go on with
    the number of the process. Files of the future, from a computer whose clock is ahead, are not waited for.
    """
    seconds = [path.name.split(".")[3] for path in folder.glob(f"{_PATTERN}.*")]
    latest = max((int(second) for second in seconds if second.isdigit()), default=0)
    left = latest + 1 - time.time()
    if 0 < left <= 1:
        time.sleep(left)


def _has_session(path: Path) -> bool:
    with _mapped(path) as data:
        place = data.find(b"_hparams_/session_start_info")
        return any(begin <= place < end for begin, end in events(data)) if place >= 0 else False


@contextmanager
def _mapped(path: Path) -> Iterator[Any]:
    """Give a file's bytes without reading all of them into memory."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:  # cannot be mapped
            yield b""
        else:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data


def _time(data: Any, begin: int) -> float:
    """Return an event's time, which comes first; one of 0.0 is left out by protobuf's classes."""
    place = begin + HEADER
    return float(_TIME.unpack_from(data, place + 1)[0]) if data[place] == WALL_TIME else 0.0


def _key(event: bytes) -> int:
    return int.from_bytes(event[-FOOTER:] + event[HEADER + 1 : HEADER + 5], "little")
