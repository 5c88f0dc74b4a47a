"""The readable parts of a source: files within its folder, media that are whole, and numbers stored as texts."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from accel_track.media.kinds import Medium

MediumT = TypeVar("MediumT", bound=Medium)

_WORDS = {"True": True, "False": False, "None": None}
_NUMBERS = {"NaN": math.nan, "nan": math.nan, "Infinity": math.inf, "inf": math.inf, "-Infinity": -math.inf}
_NUMBERS["-inf"] = -math.inf
_LONGEST_NUMBER = 400


class LostError(ValueError):
    """A part of a source cannot be read; the message is the sentence under which it is counted."""


class MissingError(LostError):
    """A file or folder that a source names is not there."""


def within(place: str | Path, *folders: str | Path) -> Path:
    """Return the path of a file or folder that a source names, if it is in one of these folders and is there.

    Args:
        place: The path, absolute or relative to the first folder.
        *folders: Where it may be. Symbolic links are followed first, so that none leads out of them.

    Raises:
        LostError: It is elsewhere, or there is nothing.
    """
    try:
        path = Path(folders[0], place).resolve()
        there, inside = path.exists(), any(path.is_relative_to(Path(folder).resolve()) for folder in folders)
    except (OSError, RuntimeError, ValueError) as error:  # too long, a loop of links, a NUL
        message = "files have paths that no file can have"
        raise LostError(message) from error
    if not there:
        message = "files that the source names are not there"
        raise MissingError(message)
    if not inside:
        message = "files are outside of the source's folders, where nothing is read"
        raise LostError(message)
    return path


def target(place: str, folder: Path) -> Path:
    """Return the path for a new file in a folder, as a source names it.

    Raises:
        LostError: It would be elsewhere.
    """
    parts = PurePosixPath(place.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or "\0" in place:
        message = "files have names that lead out of their folder"
        raise LostError(message)
    return folder.joinpath(*parts)


def whole(medium: MediumT) -> MediumT:
    """Return a medium of which `log` can store something.

    Raises:
        LostError: It cannot be stored, for it is damaged, or too large.
    """
    try:
        medium.kept()
    except Exception as error:  # a damaged image's may be of any type
        message = f"a medium of the kind {medium.kind} is damaged, or cannot be one"
        raise LostError(message) from error
    return medium


def json_file(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        LostError: It holds no JSON, or cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        message = "files that should hold JSON hold none"
        raise LostError(message) from error


def number_of(text: Any) -> Any:
    """Return the number, also NaN or an infinity, that a text stands for; other values as they are."""
    return _NUMBERS.get(text, text) if isinstance(text, str) else text


def literal_of(text: Any) -> Any:
    """Return the number, boolean or None of which `str` makes exactly this text; other values as they are."""
    if not isinstance(text, str):
        return text
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float) if len(text) < _LONGEST_NUMBER else ():
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return text


def copied(source: Path, target: Path) -> Path:
    """Return the path of a copy, for which folders are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def new_folder(folder: Path) -> Path:
    """Return the path of a new, empty folder in a folder."""
    return Path(tempfile.mkdtemp(dir=folder))
