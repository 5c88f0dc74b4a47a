"""Copies of a source's files under names that the source chooses, in folders of our own."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from accel_track.trackers.reading.lost import UNREADABLE, LostError

FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))
"""Numbers of the errors of a disk that takes nothing: that of the copy, not of the source."""


def target(folder: Path, name: str) -> Path:
    """Return the path for a new file in a folder, under a name of the source's, perhaps with "/"; make its folders.

    Raises:
        LostError: The name leads out of the folder, or no file can have it.
        OSError: The disk takes nothing.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or Path(name).anchor or "\0" in name:
        message = "a file has a name that leads out of its folder, and was not read"
        raise LostError(message)
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _lost_unless_full(error) from error
    return path


def copied(file: Path, folder: Path, name: str) -> Path:
    """Put a file into a folder, under a name as for `target`: as a link where the file system allows that.

    Raises:
        LostError: As `target`, or the file cannot be read.
        OSError: The disk takes nothing.
    """
    path = target(folder, name)
    try:
        try:
            os.link(file, path)
        except OSError:  # another file system
            shutil.copyfile(file, path)
    except OSError as error:
        raise _lost_unless_full(error) from error
    return path


def new_folder(folder: Path) -> Path:
    """Return the path of a new, empty folder in a folder."""
    return Path(tempfile.mkdtemp(dir=folder))


def only(folder: Path, files: Sequence[Path]) -> Path:
    """Return the only file of an artifact if it is right in its folder; else the folder."""
    return files[0] if len(files) == 1 and files[0].parent == folder else folder


def _lost_unless_full(error: OSError) -> Exception:
    return error if error.errno in FULL else LostError(UNREADABLE)
