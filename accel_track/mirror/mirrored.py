"""The note of a program's own run directory about its mirror: how far it is."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from accel_track.journal.directory import RunDirectory
from accel_track.mirror.layout import SEGMENT, decoded


class Mirrored(msgspec.Struct):
    """The content of `rank-…/mirrored.json`.

    Attributes:
        url: The mirror's URL, without credentials.
        time: When the last copy that came to its end began, in seconds since 1970-01-01 UTC; None before the first.
        segments: Bytes of each segment that are in the store, by the name of its file.
        lacking: Bytes of the journal and of media that were not in the store when this was written.
        error: What keeps them from it, or None.
    """

    url: str
    time: float | None = None
    segments: dict[str, int] = {}
    lacking: int = 0
    error: str | None = None


def noted_file(run: RunDirectory, rank: int) -> Path:
    """Return the file with a rank's note."""
    return run.rank(rank) / "mirrored.json"


def mirrored(run: RunDirectory, rank: int) -> Mirrored | None:
    """Return a rank's note, with what its journal has more by now; None if it has no mirror."""
    try:
        note: Mirrored | None = decoded(noted_file(run, rank).read_bytes(), Mirrored)
    except OSError:
        return None
    if note is not None:
        files = (one for one in os.scandir(run.rank(rank)) if SEGMENT.fullmatch(one.name))
        more = sum(max(0, one.stat().st_size - note.segments.get(one.name, 0)) for one in files)
        note.lacking = max(note.lacking, more)
    return note
