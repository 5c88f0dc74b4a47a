"""Likeness: whether what a backend has of a medium is the medium that was logged, in one of its forms."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_track.delivery.comparing.points import hashed
from accel_track.media import sound
from accel_track.media.fallbacks import converted, stored
from accel_track.media.kinds import (
    Audio,
    ConfusionMatrix,
    Figure,
    Histogram,
    Html,
    Image,
    Medium,
    Points3D,
    Table,
    Text,
    Video,
)
from accel_track.media.pages import plotly_page
from accel_track.media.pixels import opened
from accel_track.media.tables import distinct

_DECIMALS = 1e-5
"""Relative error of the numbers of histograms and points: backends store 32-bit floats, or texts."""


class Look(NamedTuple):
    """The traits of a medium that are kept for the comparison.

    Attributes:
        marks: Hashes: of two media that are the same, one at least is the same.
        paths: Files that are looked at, pixel by pixel, where no mark is.
        numbers: Arrays that may be rounded: of a histogram or of points.
    """

    marks: frozenset[bytes] = frozenset()
    paths: tuple[Path, ...] = ()
    numbers: tuple[tuple[NDArray[Any], ...], ...] = ()

    def and_of(self, other: Look) -> Look:
        """Return the traits of both."""
        return Look(self.marks | other.marks, (*self.paths, *other.paths), (*self.numbers, *other.numbers))


def look(medium: Medium | str, scratch: Path) -> Look:
    """Return the traits of a medium for the comparison.

    Args:
        medium: The medium; or a text, which is how some backends keep texts and tables.
        scratch: Where files can be made of it.

    Raises:
        OSError: Its file cannot be read.
        ValueError: Its file is damaged, or it was made of something that cannot be of its kind.
        TypeError: It was made of something that cannot be of its kind.
    """
    if isinstance(medium, str):
        return Look(frozenset([mark(medium)]))
    medium = stored(medium, scratch)
    marks = {_digest(data)} if (data := medium.data()) else set()  # a confusion matrix has no file
    numbers: list[tuple[NDArray[Any], ...]] = []
    if isinstance(medium, (Text, Html)):
        marks.add(mark(medium.text))
    elif isinstance(medium, Table):
        marks |= {_cells(medium), mark(medium.markdown()), _digest(medium.csv().encode())}
    elif isinstance(medium, Figure) and medium.is_plotly:
        figure = medium.plotly()
        marks |= {_digest(json.dumps(figure.get("data"), sort_keys=True).encode()), mark(plotly_page(figure))}
    elif isinstance(medium, ConfusionMatrix):
        marks.add(_digest(repr((distinct(medium.labels), [list(map(float, row)) for row in medium.matrix])).encode()))
    elif isinstance(medium, Histogram):
        numbers.append((np.asarray(medium.counts, float), np.asarray(medium.edges, float)))
    elif isinstance(medium, Points3D):
        numbers.append((_in_order(medium.array()),))
    paths = (medium.path,) if isinstance(medium, (Image, Video, Audio)) and medium.path is not None else ()
    return Look(frozenset(marks), paths, tuple(numbers))


def look_of_all(forms: Sequence[Medium], scratch: Path) -> Look:
    """Return the traits of a medium in its forms, each of which may be the file that a backend has.

    Args:
        forms: The medium, and what is made of it.
        scratch: As for `look`.

    Raises:
        OSError: As `look`.
        ValueError: As `look`.
    """
    found = Look()
    for medium in forms:
        found = found.and_of(look(medium, scratch))
        with contextlib.suppress(ValueError, OSError):
            found = found.and_of(Look(frozenset([_digest(converted(medium, "file", scratch).data())])))
    return found


def same(sent: Look, found: Look) -> bool:
    """Return whether two are the same medium."""
    if sent.marks & found.marks:
        return True
    if any(_close(one, other) for one in sent.numbers for other in found.numbers):
        return True
    return any(_same_files(one, other) for one in sent.paths for other in found.paths)


def mark(text: str) -> bytes:
    """Return the hash of a text."""
    return hashed(text).to_bytes(8, "little", signed=True)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _cells(table: Table) -> bytes:
    """Return a hash of a table's cells as texts, numbers as they are written short, and NaN like None."""

    def cell(value: Any) -> str:
        try:
            text = f"{float(value):.9g}"
        except (TypeError, ValueError, OverflowError):
            return "" if value is None else str(value)
        return "" if text == "nan" else text

    # A backend that tells columns apart by their names has other ones where two are the same, and none without rows.
    columns = distinct([str(one) for one in table.columns]) if table.rows else []
    return _digest(repr([columns, [list(map(cell, row)) for row in table.rows]]).encode())


def _in_order(points: NDArray[Any]) -> NDArray[Any]:
    """Return the places of points, sorted: a backend may shuffle them, and keep colours in a form of its own."""
    places = points[:, :3].astype(float)
    return places[np.lexsort(places.round(3).T)]


def _close(one: Sequence[NDArray[Any]], other: Sequence[NDArray[Any]]) -> bool:
    if len(one) != len(other) or any(a.shape != b.shape for a, b in zip(one, other, strict=True)):
        return False
    return all(
        np.allclose(a, b, rtol=_DECIMALS, atol=_DECIMALS * float(np.abs(a).max(initial=0.0)))
        for a, b in zip(one, other, strict=True)
    )


def _same_files(one: Path, other: Path) -> bool:
    """Return whether two files hold the same pixels, frame by frame, or the same samples; False if one is neither."""
    with contextlib.suppress(Exception):  # anything may be in a file that somebody has changed
        if one.suffix == other.suffix == ".wav":
            return _sound(one) == _sound(other)
        return _same_pixels(one, other)
    return False


def _sound(path: Path) -> tuple[int, bytes]:
    samples, rate = sound.samples(path.read_bytes())
    return rate, samples.tobytes()


def _same_pixels(one: Path, other: Path) -> bool:
    """Compare images and those that move; what has no transparency is opaque."""
    from PIL import ImageSequence

    with opened(one) as mine, opened(other) as theirs:
        shapes = [(image.size, getattr(image, "n_frames", 1)) for image in (mine, theirs)]
        moves = "duration" in mine.info and "duration" in theirs.info
        return shapes[0] == shapes[1] and all(
            a.convert("RGBA").tobytes() == b.convert("RGBA").tobytes()
            and (not moves or a.info["duration"] == b.info["duration"])
            for a, b in zip(ImageSequence.Iterator(mine), ImageSequence.Iterator(theirs), strict=True)
        )
