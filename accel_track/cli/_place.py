"""The logging directory below which commands find runs: `-C DIR`, `ACCEL_TRACK_DIR`, or the working directory."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path

VARIABLE = "ACCEL_TRACK_DIR"

_place: ContextVar[Path] = ContextVar("place", default=Path())


def place() -> Path:
    """Return the directory below which runs are found."""
    return _place.get()


def set_place(directory: Path | None) -> None:
    """Make a directory the one below which the commands of this process look; None for the working directory."""
    _place.set(Path() if directory is None else directory)
