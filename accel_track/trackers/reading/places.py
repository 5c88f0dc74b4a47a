"""The places that a source names: they are read where they are in its own folders, with all links followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from accel_track.files import open_regular
from accel_track.trackers.reading.lost import MISSING, NO_FILE, OUTSIDE, LostError, MissingError


def within(place: str | Path, *folders: str | Path) -> Path:
    """Return the path of a file or folder that a source names, if it is in one of these folders and is there.

    Args:
        place: The path, absolute or relative to the first folder.
        *folders: Where it may be. Symbolic links are followed first, so that none leads out of them.

    Raises:
        LostError: It is elsewhere, or no file can have such a path.
        MissingError: There is nothing.
    """
    try:
        path = Path(folders[0], place).resolve()
        there = path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a loop of links, a NUL
        raise LostError(MISSING) from error
    if not there:
        raise MissingError(MISSING)
    if not any(is_within(path, Path(folder)) for folder in folders):
        raise LostError(OUTSIDE)
    return path


def file_within(place: str | Path, *folders: str | Path) -> Path:
    """Return the path of a regular file that a source names, as `within` does; ".." is in no such path.

    Raises:
        LostError: As `within`; or it is a folder, or a pipe, of which the opening may never end.
        MissingError: There is nothing.
    """
    path = within(place, *folders)
    if ".." in Path(place).parts:
        raise LostError(OUTSIDE)
    if not path.is_file():
        raise LostError(NO_FILE)
    return path


def is_within(path: Path, folder: Path) -> bool:
    """Return whether a path, with its links followed, is in a folder or is it."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: links in a circle; ValueError: a NUL
        return False


def stays_within(path: Path, folder: Path) -> bool:
    """Return whether a file, or a folder with everything in it, is in a folder, with all links followed."""
    if not is_within(path, folder):
        return False
    links = (
        Path(home, name)
        for home, below, names in os.walk(path)
        for name in (*below, *names)
        if Path(home, name).is_symlink()
    )
    return all(is_within(link, folder) for link in links)


def begins_with(path: Path, head: bytes) -> bool:
    """Return whether a regular file, or the one that a link leads to, begins with some bytes; raises nothing."""
    try:
        with open(open_regular(path), "rb") as file:
            return file.read(len(head)) == head
    except (OSError, ValueError):
        return False


def is_regular(path: Path) -> bool:
    """Return whether there is a file, and no link to one, nor a pipe, of which the opening may never end."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False
