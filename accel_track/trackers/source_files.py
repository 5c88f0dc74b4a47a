"""The files that a source names: only those in its own folder, and the media that they are."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from accel_track import media

MediumT = TypeVar("MediumT", bound=media.Medium)


FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))
"""Numbers of the errors of a disk that takes nothing: that of the copy, not of the source."""

_QUICK = 20_000
_LONG = 64 * 1024


class LostError(Exception):
    """Something of a source cannot be read; the message is the sentence under which it is counted."""


def walked(place: Path, *, quick: bool) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield a folder and all below it, each with the names of its folders and of its files, as `os.walk` does.

    Links are not followed; folders that cannot be read are left out.

    Args:
        place: The folder.
        quick: Whether to end after 20,000 files and folders: to find out what a place holds.
    """
    seen = 0
    for folder, folders, files in os.walk(place):
        folders.sort()
        yield Path(folder), folders, sorted(files)
        seen += 1 + len(files)
        if quick and seen > _QUICK:
            return


def files_below(place: Path, suffix: str, *, quick: bool = False) -> Iterator[Path]:
    """Yield the regular files below a folder whose names end so, or the one that a file is; `quick` as for `walked`."""
    if place.is_file():
        yield place
        return
    for folder, _, files in walked(place, quick=quick):
        paths = (folder / file for file in files if file.endswith(suffix))
        yield from filter(is_regular, paths)


def is_regular(path: Path) -> bool:
    """Whether there is a file, and no link to one, nor a pipe, of which the opening may never end."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def file_inside(folder: Path, path: str) -> Path:
    """Return the regular file that a source names, by its path in a folder.

    Args:
        folder: The folder that the file must be in.
        path: The path, as the source has it.

    Raises:
        LostError: There is no such file, or the path leads out of the folder, perhaps through a symbolic link.
    """
    try:
        root = folder.resolve(strict=True)
        found = Path(folder, path).resolve(strict=True)
        regular = found.is_file()
    except (OSError, RuntimeError, ValueError):  # nothing there, links in a circle, a zero byte
        message = "a file that the source names is not there"
        raise LostError(message) from None
    if ".." in Path(path).parts or not found.is_relative_to(root):
        message = "a file that the source names is outside of its folder, and was not read"
        raise LostError(message)
    if not regular:
        message = "what the source names as a file is none"
        raise LostError(message)
    return found


def copy_as(file: Path, folder: Path, name: str) -> Path:
    """Put a file under a name, perhaps with "/", into a folder: as a link where the file system allows that.

    Raises:
        LostError: The name leads out of the folder, or the file cannot be read.
        OSError: The disk is full.
    """
    parts = Path(name).parts
    target = folder.joinpath(*parts)
    if not parts or ".." in parts or Path(name).is_absolute() or "\0" in name:
        message = "a file of an artifact has a name that leads out of the artifact, and was not read"
        raise LostError(message)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, target)
        except OSError:  # another file system
            shutil.copyfile(file, target)
    except OSError as error:
        if error.errno in FULL:
            raise
        message = "a file of an artifact cannot be read"
        raise LostError(message) from error
    return target


def medium_of_file(file: Path, caption: str = "") -> media.Medium | None:
    """Return the medium that a file holds, by its suffix and its content; None where it is none."""
    make = _BY_SUFFIX.get(_suffix(file.name.lower()))
    try:
        return None if make is None else whole(make(file, caption))
    except (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, RecursionError, csv.Error, LostError):
        return None


def with_numbers(value: Any, words: Mapping[str, float]) -> Any:
    """Return a JSON value with numbers in place of the words that stand for those that JSON does not have."""
    if type(value) is str:
        return words.get(value, value)
    if type(value) is dict:
        return {name: with_numbers(item, words) for name, item in value.items()}
    return [with_numbers(item, words) for item in value] if type(value) is list else value


def text_of(text: str) -> str | media.Text:
    """Return a text as a value of `log`: as a medium where it is so long that it needs a file."""
    return text if len(text) <= _LONG else media.Text(text)


def whole(medium: MediumT) -> MediumT:
    """Return a medium of which something can be stored.

    Raises:
        LostError: It is damaged, or too large.
    """
    try:
        medium.kept()
    except Exception as error:  # a damaged image's may be of any type
        message = f"a medium of the kind {medium.kind} that is damaged, or cannot be one"
        raise LostError(message) from error
    return medium


def picture(file: Path, caption: str = "") -> media.Image | media.Video:
    """Return the image in a file, or the video, where it is a GIF that moves."""
    from PIL import Image as Pil

    moves = False
    if file.suffix.lower() == ".gif":
        with (
            contextlib.suppress(OSError, ValueError, EOFError, SyntaxError, Pil.DecompressionBombError),
            Pil.open(file) as image,
        ):
            image.seek(1)
            moves = True
    return media.Video(file, caption=caption) if moves else media.Image(file, caption)


def _suffix(name: str) -> str:
    return ".plotly.json" if name.endswith(".plotly.json") else os.path.splitext(name)[1]


def _table(file: Path) -> media.Medium:
    with open(file, encoding="utf-8", errors="replace", newline="") as lines:
        columns, *rows = list(csv.reader(lines)) or [[]]
    return media.Table([[_cell(cell) for cell in row] for row in rows if len(row) == len(columns)], columns)


def _cell(text: str) -> Any:
    """Return the number that a cell of a CSV file shows, or its text."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if str(number) == text else text
    return text


def _histogram(file: Path) -> media.Medium:
    found = json.loads(file.read_bytes())
    return media.Histogram(counts=found["counts"], edges=found["edges"])


def _points(file: Path, caption: str) -> media.Medium:
    import numpy as np

    return media.Points3D(np.load(file, mmap_mode="r", allow_pickle=False), caption)


_BY_SUFFIX: dict[str, Callable[[Path, str], media.Medium]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"), picture),
    **dict.fromkeys(
        (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"),
        lambda file, caption: media.Audio(file, caption=caption),
    ),
    **dict.fromkeys(
        (".mp4", ".webm", ".mov", ".mkv", ".avi", ".wmv"), lambda file, caption: media.Video(file, caption=caption)
    ),
    **dict.fromkeys((".html", ".htm"), media.Html),
    **dict.fromkeys((".txt", ".md"), lambda file, _: media.Text(file.read_text(encoding="utf-8", errors="replace"))),
    ".plotly.json": lambda file, caption: media.Figure.of_stored({"caption": caption} if caption else {}, file),
    ".csv": lambda file, _: _table(file),
    ".json": lambda file, _: _histogram(file),
    ".npy": _points,
}
