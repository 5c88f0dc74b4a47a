"""The kinds of media: what users log, and what trackers are given in its place."""

from __future__ import annotations

from typing import Any

from accel_track.media import drawing, pixels, tables
from accel_track.media.kinds.clip import Audio, Video
from accel_track.media.kinds.file import File
from accel_track.media.kinds.histogram import Histogram
from accel_track.media.kinds.image import MOST_PIXELS, Batch, Figure, Image, ImageOf
from accel_track.media.kinds.medium import Medium
from accel_track.media.kinds.points import Points3D
from accel_track.media.kinds.table import ConfusionMatrix, Table
from accel_track.media.kinds.text import Html, Text

__all__ = [
    "KINDS",
    "MOST_PIXELS",
    "Audio",
    "Batch",
    "ConfusionMatrix",
    "Figure",
    "File",
    "Histogram",
    "Html",
    "Image",
    "ImageOf",
    "Medium",
    "Points3D",
    "Table",
    "Text",
    "Video",
    "medium_of",
]

KINDS: dict[str, type[Medium]] = {
    one.kind: one for one in (Image, Figure, Table, Histogram, Text, Audio, Video, Html, Points3D, ConfusionMatrix)
}
"""The kinds that users log, by name."""


def medium_of(value: Any) -> Medium | None:
    """Return the medium that a plain object is without doubt: a PIL image, a figure or a table; None for others."""
    if isinstance(value, Medium):
        return value
    if pixels.is_pil(value):
        return Image(value)
    if drawing.is_figure(value):
        return Figure(value)
    return Table(value) if tables.is_frame(value) and type(value).__name__ != "Series" else None
