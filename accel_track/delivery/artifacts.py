"""Artifacts: files and folders that records point to, copied, linked, or left where they are."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from accel_track.delivery.staging import Staging, kept_file
from accel_track.errors import warn
from accel_track.records import Artifact

SMALL = 16 * 1024 * 1024
"""Bytes of the files that are copied at once where nobody says whether they are to be."""

MOST_FILES = 100_000


class Logged(NamedTuple):
    """An artifact as it was in the call.

    Attributes:
        path: Absolute, or relative to the rank's folder.
        files: Size in bytes and time of the last change of each file, by its path in there, or "" for a file alone.
    """

    path: str
    files: dict[str, tuple[int, int]]


def logged(path: str, staging: Staging, copy: bool | None) -> Logged:
    """Return an artifact as it is now, copied or linked into the rank's folder where that is asked for.

    Args:
        path: The file or folder, absolute.
        staging: Copies and links.
        copy: Whether files are linked, or copied to another file system; None: small ones are copied, those in the
            temporary folder, which the program may delete, are linked, and others stay where they are.

    Raises:
        OSError: A file cannot be read, or there is no room.
        ValueError: There are too many files, or none.
    """
    files = described(path)
    small = sum(size for size, _ in files.values()) <= SMALL
    if copy is False or (copy is None and not small and not _is_temporary(path)):
        return Logged(path, files)
    kept = staging.keep(path, copy=shutil.copy2 if small else None, only=None if "" in files else files)
    place = staging.folder / kept
    return Logged(kept, {name: _state(place / name if name else place) for name in files})


def described(path: str) -> dict[str, tuple[int, int]]:
    """Return size and time of the last change of a file, or of each regular file in a folder; others are left out.

    Raises:
        OSError: A file cannot be read.
        ValueError: There are more files than can be, or none.
    """
    if not os.path.isdir(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            message = "it is no regular file"
            raise OSError(message)
        _check_readable(path)
        return {"": _state(path)}
    found: dict[str, tuple[int, int]] = {}
    others = []
    for name in _files(path):
        file = os.path.join(path, name)
        if not os.path.isfile(file):
            others.append(name)
            continue
        _check_readable(file)
        found[name] = _state(file)
        if len(found) > MOST_FILES:
            message = f"it has more than {MOST_FILES:,} files"
            raise ValueError(message)
    if others:
        warn(f"log_artifact: {len(others)} in {path!r} are no regular files and left out, such as {others[0]!r}.")
    if not found:
        message = "the folder has no files"
        raise ValueError(message)
    return found


def deliverable(folder: Path, record: Artifact) -> str | None:
    """Return the path of an artifact if it is what was logged; None if it is gone or has changed.

    Args:
        folder: The rank's folder.
        record: The artifact.
    """
    place = Path(record.path) if os.path.isabs(record.path) else kept_file(folder, record.path)
    if place is None:
        return None
    return os.fspath(place) if _is_same(place, record.files) else None


def _is_same(place: Path, files: Mapping[str, tuple[int, int]]) -> bool:
    try:
        return all(_state(place / name if name else place) == tuple(state) for name, state in files.items())
    except OSError:
        return False


def _state(path: str | os.PathLike[str]) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _check_readable(path: str) -> None:
    if not os.access(path, os.R_OK):
        raise PermissionError(13, os.strerror(13), path)


def _files(path: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(path, onerror=refuse):
        for name in names:
            yield os.path.relpath(os.path.join(parent, name), path)


def _is_temporary(path: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(tempfile.gettempdir()) + os.sep)
