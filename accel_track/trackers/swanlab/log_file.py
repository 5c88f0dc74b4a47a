"""SwanLab's log file: how it begins, and its records, also behind damage, where SwanLab's own reader ends."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from accel_track.trackers.reading import level_log
from accel_track.trackers.reading.places import begins_with

SUFFIX = ".swanlab"
_HEAD = struct.pack("<4sHB", b":SWL", 0xE1D6, 2)


def is_log_file(path: Path) -> bool:
    """Return whether a file begins as SwanLab's do; never raises."""
    return begins_with(path, _HEAD)


def payloads(path: Path, lost: Counter[str] | None = None, *, end_only: bool = False) -> Iterator[bytes]:
    """Yield the records of a log file, as `level_log.payloads` does; `lost` may be None."""
    return level_log.payloads(path, Counter() if lost is None else lost, end_only=end_only)
