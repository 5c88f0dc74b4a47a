"""The media of a report: the last of each name, as much of them as there is room for."""

from __future__ import annotations

import tempfile
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accel_track.delivery.media import KeptMedia
from accel_track.errors import DamagedMediumError
from accel_track.journal.directory import RunDirectory
from accel_track.media import Audio, ConfusionMatrix, Histogram, Html, Image, Medium, Table, Text, Video
from accel_track.media.fallbacks import converted
from accel_track.records import Stored, media_in
from accel_track.views.report.texts import short

_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
"""What browsers show, by how a file's name ends; nothing of it can hold a script."""
_MOST = 16
"""Media of one call that are shown."""
_ROWS, _COLUMNS = 50, 20
_PARTS = 1000
"""Bins of a histogram, and classes of a confusion matrix, that are drawn."""


class Room:
    """The room for media in a page.

    Args:
        size: How many bytes of files fit in.

    Attributes:
        shown: How many media are in the page.
        left_out: How many are not, of those that were looked at.
    """

    def __init__(self, size: int) -> None:
        """Hold nothing yet."""
        self._left = size
        self.shown = self.left_out = 0

    def take(self, size: int) -> bool:
        """Say whether so many bytes fit in, and keep them free."""
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits


def media(run: RunDirectory, found: Mapping[str, Mapping[str, Any]], room: Room) -> list[dict[str, Any]]:
    """Return what a page shows of a run's media: of each name, what was logged last.

    Args:
        run: The run.
        found: The media, as `Content.media` has them.
        room: What they have to fit in.
    """
    kept: dict[int, KeptMedia] = {}
    shown = []
    for name, about in sorted(found.items()):
        files = kept.setdefault(about["rank"], KeptMedia(run.rank(about["rank"])))
        every = list(media_in(about["last"]))
        items = [_item(files, one, room) for one in every[:_MOST]]
        room.shown += sum("why" not in one for one in items)
        room.left_out += sum("why" in one for one in items) + len(every[_MOST:])
        shown.append(
            {
                "name": short(name),
                "kind": about["kind"],
                "step": about["step"],
                "logged": about["count"],
                "items": items,
                "more": len(every[_MOST:]),
            }
        )
    return shown


def _item(files: KeptMedia, stored: Stored, room: Room) -> dict[str, Any]:
    try:
        medium = files.medium(stored)
        if not isinstance(medium, Medium):
            return {"why": short(medium.what)}
        return {**({"caption": short(medium.caption)} if medium.caption else {}), **_shown(medium, room)}
    except (OSError, DamagedMediumError, KeyError, TypeError, ValueError, OverflowError) as error:
        return {"why": short(f"{stored.kind} that cannot be read: {error}")}


def _shown(medium: Medium, room: Room) -> dict[str, Any]:
    """Return a medium as the page has it: its `type` and content, or `why` it is left out."""
    if isinstance(medium, (Text, Html)):
        text = short(medium.text)
        return {"type": "text", "text": text} if room.take(len(text)) else _too_large(medium.kind, len(text))
    if isinstance(medium, Table):
        return _table(medium, room)
    if isinstance(medium, (Histogram, ConfusionMatrix)):
        return _picture(medium, len(medium.counts if isinstance(medium, Histogram) else medium.labels), room)
    if isinstance(medium, (Image, Audio, Video)):
        return _file(medium, room)
    return {"why": f"{medium.kind}, which this page does not show"}


def _table(medium: Table, room: Room) -> dict[str, Any]:
    rows = [[short(str(cell)) for cell in row[:_COLUMNS]] for row in medium.rows[:_ROWS]]
    columns = [short(str(name)) for name in medium.columns[:_COLUMNS]]
    size = sum(len(cell) for row in [columns, *rows] for cell in row)
    if not room.take(size):
        return _too_large("table", size)
    return {"type": "table", "columns": columns, "rows": rows, "shape": [len(medium.rows), len(medium.columns)]}


def _picture(medium: Medium, parts: int, room: Room) -> dict[str, Any]:
    if parts > _PARTS:
        return {"why": f"{medium.kind} of {parts:,} parts, more than this page draws"}
    with tempfile.TemporaryDirectory(prefix="accel_track-report-") as folder:
        return _file(converted(medium, "image", Path(folder)), room)


def _file(medium: Medium, room: Room) -> dict[str, Any]:
    path = medium.path
    if path is None or (kind := _TYPES.get(path.suffix)) is None:
        return {"why": f"{medium.kind} in a format that browsers do not show"}
    size = path.stat().st_size
    if not room.take(size):
        return _too_large(medium.kind, size)
    return {"type": kind.partition("/")[0], "mime": kind, "data": b64encode(path.read_bytes()).decode()}


def _too_large(kind: str, size: int) -> dict[str, Any]:
    return {"why": f"{kind} of {size:,} bytes, for which there is no room in this page"}
