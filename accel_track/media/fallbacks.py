"""Fallbacks: a medium as one of another kind, for backends that have none of its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accel_track.media.content import Content
from accel_track.media.folder import MediaFolder
from accel_track.media.heat import heat
from accel_track.media.kinds import ConfusionMatrix, Figure, File, Histogram, Image, Medium, Table, Text, Video

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The shares of a histogram's numbers below the numbers that stand for it."""

_SUFFIXES = {"table": ".csv", "text": ".md", "histogram": ".json", "confusion_matrix": ".csv"}
_BAR, _HEIGHT = 8, 256


def converted(medium: Medium, kind: str, folder: Path) -> Medium:
    """Return a stored medium as one of another kind.

    Args:
        medium: The medium.
        kind: "image" for figures, videos in GIF, histograms and confusion matrices; "table" for histograms and
            confusion matrices; "text" for tables (Markdown); "file" for all.
        folder: Where to store a file that is made of it.

    Raises:
        ValueError: It cannot be one.
        OSError: Its file cannot be read.
    """
    if kind == "file":
        return _as_file(medium, folder)
    make = _WAYS.get((medium.kind, kind))
    made = None if make is None else make(medium)
    if made is None:
        message = f"a {medium.kind} cannot be stored as a {kind}"
        raise ValueError(message)
    return stored(made, folder)


def stored(medium: Medium, folder: Path) -> Medium:
    """Return a medium as trackers are given it, with its file in a folder.

    Raises:
        TypeError: As `Medium.content`.
        ValueError: As `Medium.content`.
        OSError: As `Medium.content`; or the file cannot be stored.
    """
    if medium.path is not None or not hasattr(medium, "_given"):
        return medium
    content, files = medium.content().settled(), MediaFolder(folder)
    name = files.keep(content)
    return type(medium).of_stored(content.info, files.file(name) if name else None)


def _as_file(medium: Medium, folder: Path) -> Medium:
    if isinstance(medium, File):
        return medium
    if isinstance(medium, ConfusionMatrix):
        return _as_file(stored(_matrix_table(medium), folder), folder)
    suffix = _SUFFIXES.get(medium.kind)
    if medium.path is not None and suffix in (None, medium.path.suffix):
        return File(medium.path, "".join(medium.path.suffixes), medium.caption)
    data = medium.csv().encode() if isinstance(medium, Table) else medium.data()
    files = MediaFolder(folder)
    path = files.file(files.keep(Content({}, suffix or ".bin", data=data)))
    assert path is not None  # noqa: S101 - it was stored in the line before
    return File(path, suffix or ".bin", medium.caption)


def _picture(medium: Medium) -> Medium | None:
    assert isinstance(medium, (Figure, Video))  # noqa: S101 - as `_WAYS` says
    if medium.path is None or medium.path.suffix not in (".png", ".gif", ".jpg"):
        return None
    return Image.of_stored({key: value for key, value in medium.info.items() if key == "caption"}, medium.path)


def _as_text(medium: Medium) -> Medium:
    assert isinstance(medium, Table)  # noqa: S101 - as above
    return Text(medium.markdown())


def _bins_table(medium: Medium) -> Medium:
    assert isinstance(medium, Histogram)  # noqa: S101 - as above
    edges = medium.edges
    return Table(list(zip(edges, edges[1:], medium.counts, strict=False)), ["from", "to", "count"])


def _matrix_table(medium: Medium) -> Medium:
    assert isinstance(medium, ConfusionMatrix)  # noqa: S101 - as above
    data = [[label, *row] for label, row in zip(medium.labels, medium.matrix, strict=True)]
    return Table(data, ["target", *(f"predicted {label}" for label in medium.labels)])


def _bars(medium: Medium) -> Medium:
    """Draw a histogram: a bar for each bin, the edges of all below."""
    assert isinstance(medium, Histogram)  # noqa: S101 - as above
    from PIL import Image as Pil
    from PIL import ImageDraw

    counts, edges = medium.counts, medium.edges
    width = max(1, min(_BAR, 2048 // len(counts)))
    picture = Pil.new("RGB", (max(160, width * len(counts)) + 20, _HEIGHT + 24), "white")
    draw, most = ImageDraw.Draw(picture), max(counts) or 1
    for place, count in enumerate(counts):
        left, top = 10 + place * width, 4 + round((_HEIGHT - 4) * (1 - count / most))
        if count:
            draw.rectangle((left, top, left + max(width - 2, 0), _HEIGHT), fill="#4477aa")
    draw.text((10, _HEIGHT + 8), f"{edges[0]:.4g}", fill="black")
    last = f"{edges[-1]:.4g}"
    draw.text((picture.width - 10 - draw.textlength(last), _HEIGHT + 8), last, fill="black")
    return _image(picture)


def _heat(medium: Medium) -> Medium:
    """Draw a confusion matrix."""
    assert isinstance(medium, ConfusionMatrix)  # noqa: S101 - as above
    return _image(heat(medium.matrix, medium.labels))


def _image(picture: Any) -> Medium:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return Image(stream.getvalue())


_WAYS: dict[tuple[str, str], Callable[[Medium], Medium | None]] = {
    ("figure", "image"): _picture,
    ("video", "image"): _picture,
    ("histogram", "image"): _bars,
    ("histogram", "table"): _bins_table,
    ("confusion_matrix", "image"): _heat,
    ("confusion_matrix", "table"): _matrix_table,
    ("table", "text"): _as_text,
}
"""The conversion of each kind to another."""
