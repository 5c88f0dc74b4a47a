"""Media that readers of backends make of bytes and files, by what these begin with and how they are called."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from accel_track.files import read_file
from accel_track.media import Audio, Figure, Histogram, Html, Image, Points3D, Table, Text, Video, pixels
from accel_track.media.content import Content
from accel_track.media.fallbacks import stored
from accel_track.media.folder import MediaFolder
from accel_track.media.kinds import Medium
from accel_track.trackers.reading.lost import NO_FILE, LostError
from accel_track.trackers.reading.values import LARGEST, json_file, literal_of

MediumT = TypeVar("MediumT", bound=Medium)

_SOUND = {b"RIFF": ".wav", b"OggS": ".ogg", b"fLaC": ".flac", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}
_LONG = 64 * 1024


def whole(medium: MediumT) -> MediumT:
    """Return a medium of which `log` can store something.

    Raises:
        LostError: It cannot be stored, for it is damaged, or too large.
    """
    try:
        medium.kept()
    except Exception as error:  # a damaged image's may be of any type
        message = f"a medium of the kind {medium.kind} that is damaged, or cannot be one"
        raise LostError(message) from error
    return medium


def with_file(medium: Medium, scratch: Path) -> Medium:
    """Return a medium as trackers are given it: its file stays where it is, or is made.

    Raises:
        TypeError: As `Medium.content`.
        ValueError: As `Medium.content`.
        OSError: As `Medium.content`; or the file cannot be made.
    """
    content = medium.kept()
    return stored(medium, scratch) if content.path is None else type(medium).of_stored(content.info, Path(content.path))


def text_of(text: str) -> str | Text:
    """Return a text as a value of `log`: as a medium where it is so long that it needs a file."""
    return text if len(text) <= _LONG else Text(text)


def file_of(data: bytes, suffix: str, scratch: Path) -> Path:
    """Return the path of a file of some bytes, which is there once, however often they are given.

    Args:
        data: The bytes.
        suffix: What the file's name ends in.
        scratch: Where to make the file.

    Raises:
        OSError: The file cannot be made.
        ValueError: The suffix is none.
    """
    files = MediaFolder(scratch)
    path = files.file(files.keep(Content({}, suffix, data=data)))
    assert path is not None  # noqa: S101 - it was stored in the line before
    return path


def sound(data: bytes, scratch: Path) -> Audio:
    """Return sound in a format that its first bytes tell.

    Raises:
        ValueError: They tell none that is known.
        OSError: Its file cannot be made.
    """
    suffix = next((suffix for begin, suffix in _SOUND.items() if data.startswith(begin)), None)
    if suffix is None:
        message = f"these are no bytes of sound: {data[:8]!r}"
        raise ValueError(message)
    return Audio(file_of(data, suffix, scratch))


def picture(given: Path, caption: str = "") -> Image | Video:
    """Return the image in a file; a GIF that moves is a video."""
    return Video(given, caption=caption) if _moves(given) else Image(given, caption)


def picture_of(data: bytes, scratch: Path, caption: str = "") -> Image | Video:
    """Return the image that some bytes are; a GIF that moves is a video.

    Raises:
        OSError: No file can be made.
    """
    return Video(file_of(data, ".gif", scratch), caption=caption) if _moves(data) else Image(data, caption)


def points(file: Path, caption: str | None = None) -> Points3D:
    """Return the points in a file of NumPy's, which stays where it is.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no numbers.
    """
    import numpy as np

    return Points3D(np.load(file, mmap_mode="r", allow_pickle=False), caption)


def table(file: Path) -> Table:
    """Return the table in a CSV file below a line of names; cells that are numbers as Python writes them are such.

    Raises:
        OSError: It cannot be read, or has more than 256 MiB.
        ValueError: It is empty.
        csv.Error: It is none.
    """
    lines = io.StringIO(read_file(file, LARGEST).decode(errors="replace"), newline="")
    columns, *rows = csv.reader(lines)
    return Table([[literal_of(cell) for cell in row] for row in rows], columns)


def read_medium(file: Path, caption: str = "") -> Medium | None:
    """Return the medium that a file is, by its name and content; None if it is none of those known.

    Args:
        file: The file, which stays where it is.
        caption: What is written below it, where its kind has that.

    Raises:
        LostError: It cannot be read, or is damaged.
    """
    make = _BY_SUFFIX.get(_suffix(file.name.lower()))
    if make is None:
        return None
    if not file.is_file():  # the opening of a pipe may never end
        raise LostError(NO_FILE)
    try:
        made = make(file, caption)
    except LostError:
        raise
    except Exception as error:  # anything may be in a file that somebody else wrote
        message = "a file of a medium that is damaged, or cannot be read"
        raise LostError(message) from error
    return None if made is None else whole(made)


def medium_of_file(file: Path, caption: str = "") -> Medium | None:
    """Return the medium; None also for a damaged file, which is a file all the same."""
    with suppress(LostError):
        return read_medium(file, caption)
    return None


def _moves(given: Path | bytes) -> bool:
    """Return whether an image is a GIF of several frames; what is none does not move."""
    with suppress(Exception), pixels.opened(io.BytesIO(given) if isinstance(given, bytes) else given) as image:
        return image.format == "GIF" and bool(image.is_animated)
    return False


def _suffix(name: str) -> str:
    return ".plotly.json" if name.endswith(".plotly.json") else os.path.splitext(name)[1]


def _figure(file: Path, caption: str) -> Figure:
    json_file(file)
    return Figure.of_stored({"caption": caption} if caption else {}, file)


def _histogram(file: Path, _: str) -> Histogram | None:
    found = json_file(file)
    if not isinstance(found, dict) or not {"counts", "edges"} <= found.keys():
        return None
    return Histogram(counts=found["counts"], edges=found["edges"])


def _table(file: Path, _: str) -> Table | None:
    with suppress(OSError, ValueError, csv.Error, LostError):  # any lines may be in a file of that name
        return whole(table(file))
    return None


_BY_SUFFIX: dict[str, Callable[[Path, str], Medium | None]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"), picture),
    **dict.fromkeys(
        (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"), lambda file, caption: Audio(file, caption=caption)
    ),
    **dict.fromkeys(
        (".mp4", ".webm", ".mov", ".mkv", ".avi", ".wmv"), lambda file, caption: Video(file, caption=caption)
    ),
    **dict.fromkeys((".html", ".htm"), Html),
    **dict.fromkeys((".txt", ".md"), lambda file, _: Text(read_file(file, LARGEST).decode(errors="replace"))),
    ".plotly.json": _figure,
    ".csv": _table,
    ".json": _histogram,
    ".npy": points,
}
