"""The media of a report: the last of each name, then earlier ones, as much of them as there is room for."""

from __future__ import annotations

import json
import tempfile
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from accel_track.delivery.media import KeptMedia
from accel_track.errors import DamagedMediumError
from accel_track.journal.directory import RunDirectory
from accel_track.media import Audio, ConfusionMatrix, Histogram, Html, Image, Medium, Table, Text, Video
from accel_track.media.fallbacks import converted
from accel_track.media.kinds import KINDS
from accel_track.records import Stored, media_in
from accel_track.views.content import Content
from accel_track.views.media_calls import MediaCall
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
"""The types that browsers show, by the ending of a file's name; none of them can hold a script."""
_MOST = 16
"""Media of one call that are shown."""
_CALLS = 20
"""Calls that are shown of one name in one run."""
_EARLIER = 200
"""Calls but for the last ones that a page shows, of all names and runs: each is read, and some are drawn."""
_ROWS, _COLUMNS = 50, 20
_PARTS = 1000
"""Bins of a histogram, and classes of a confusion matrix, that are drawn."""


class Room:
    """The room for media in a page.

    Args:
        size: How many bytes of files fit in.

    Attributes:
        left: How many bytes are free.
        shown: How many media are in the page.
        left_out: How many are not, of those that were looked at.
        refused: How many of these found no room.
    """

    def __init__(self, size: int) -> None:
        """Hold nothing yet."""
        self.left = size
        self.shown = self.left_out = self.refused = 0

    def take(self, size: int) -> bool:
        """Say whether so many bytes fit in, and keep them free."""
        fits = size <= self.left
        self.left -= size if fits else 0
        self.refused += not fits
        return fits


class Shelf:
    """The media of one name in one run, as a page has them: at first the last call's, then those of earlier ones.

    Args:
        content: What the run's journals hold.
        name: The name.
        files: Returns the media of a rank.
        room: What the media have to fit in.

    Attributes:
        document: What the page gets.
        size: Bytes that the last call's media take.
        earlier: How many calls may be added.
    """

    def __init__(self, content: Content, name: str, files: Callable[[int], KeptMedia], room: Room) -> None:
        """Put in what was logged last."""
        self._calls, self._files = content.media_calls[name], files
        free, refused = room.left, room.refused
        self.document: dict[str, Any] = {
            "name": short(name),
            "kind": content.media[name]["kind"],
            "logged": self._calls.count,
            "calls": [self._call(one, room) for one in self._calls.chosen(1)],
        }
        self.size = free - room.left
        self.earlier = 0 if room.refused > refused else min(_CALLS, self._calls.count) - 1

    def fill(self, most: int, size: int, room: Room) -> int:
        """Add evenly spaced calls, the first among them; return how many.

        Args:
            most: How many at most.
            size: How many bytes they may take; a call for which there are too few is left out.
            room: What the media have to fit in.
        """
        shown = []
        for one in self._calls.chosen(1 + min(most, self.earlier, size // max(1, self.size)))[:-1]:
            part = Room(size)
            call = self._call(one, part)
            if not part.refused:
                shown.append(call)
                room.left -= size - part.left
                room.shown, room.left_out, size = room.shown + part.shown, room.left_out + part.left_out, part.left
        self.document["calls"][:0] = shown
        return len(shown)

    def _call(self, call: MediaCall, room: Room) -> dict[str, Any]:
        every = list(media_in(call.value))
        items = [_item(self._files(call.rank), one, room) for one in every[:_MOST]]
        room.shown += sum("why" not in one for one in items)
        room.left_out += sum("why" in one for one in items) + len(every[_MOST:])
        return {"step": call.step, "time": call.time, "items": items, "more": len(every[_MOST:])}


def media(runs: Sequence[tuple[RunDirectory, Content]], room: Room) -> list[list[dict[str, Any]]]:
    """Return the media of each run on a page: of each name the last call's, then others, while there is room.

    Args:
        runs: The runs and what their journals hold.
        room: What the media of all have to fit in.
    """
    shelves = [[Shelf(content, name, _files_of(run), room) for name in sorted(content.media)] for run, content in runs]
    growing = sorted((one for each in shelves for one in each if one.earlier > 0), key=lambda one: one.size)
    left = _EARLIER
    for place, one in enumerate(growing):  # small ones first: what they do not need, others have
        share = len(growing) - place
        left -= one.fill(left // share, room.left // share, room)
    return [[one.document for one in each] for each in shelves]


def _files_of(run: RunDirectory) -> Callable[[int], KeptMedia]:
    return cache(lambda rank: KeptMedia(run.rank(rank)))


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
    data = _drawn(medium.kind, json.dumps(dict(medium.info)))
    if not room.take(len(data)):
        return _too_large(medium.kind, len(data))
    return {"type": "image", "mime": "image/png", "data": b64encode(data).decode()}


@lru_cache(maxsize=2 * _EARLIER)
def _drawn(kind: str, info: str) -> bytes:
    """Return the PNG of a medium that is numbers; a live page asks for the same ones again and again."""
    medium = KINDS[kind].of_stored(json.loads(info), None)
    with tempfile.TemporaryDirectory(prefix="accel_track-report-") as folder:
        return converted(medium, "image", Path(folder)).data()


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
