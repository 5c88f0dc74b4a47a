"""Artifacts: files and folders that records point to, copied, linked, or left where they are."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from accel_track.delivery.staging import FOLDER, Staging, kept_file
from accel_track.errors import warn
from accel_track.files import open_regular
from accel_track.journal.directory import PARENT
from accel_track.media import sums
from accel_track.records import Artifact

SMALL = 16 * 1024 * 1024
"""Bytes of the files that are copied at once where nobody says whether they are to be."""

MOST_FILES = 100_000
_LONGEST_NAMES = 8 * 1024 * 1024
"""Bytes of the names of all files of an artifact, which its record has to hold."""

_CHUNK = 1024 * 1024


class Described(NamedTuple):
    """The files of an artifact.

    Attributes:
        files: Size in bytes and time of the last change of each file, by its path in the folder; "" for a file alone.
        whole: Whether nothing of a folder is left out.
    """

    files: dict[str, tuple[int, int]]
    whole: bool = True


class Logged(NamedTuple):
    """An artifact as it was in the call.

    Attributes:
        path: Absolute, or relative to the rank's folder.
        files: As in `Described`.
    """

    path: str
    files: dict[str, tuple[int, int]]


def logged(path: str, staging: Staging, copy: bool | None) -> Logged:
    """Return an artifact as it is now, copied or linked into the rank's folder where that is asked for.

    Args:
        path: The file or folder, absolute.
        staging: Copies and links.
        copy: Whether files are copied; None: small ones are, larger ones in the temporary folder, which the program may
            delete, are linked, and others stay where they are. Of a folder of which something is left out, the rest is
            linked at least, since a backend takes all that is there.

    Raises:
        OSError: A file cannot be read, or there is no room.
        ValueError: There are too many files, or none, or a name is not a text.
    """
    files, whole = described(path)
    small = sum(size for size, _ in files.values()) <= SMALL
    copies = small if copy is None else copy
    if whole and not copies and (copy is False or not _is_temporary(path)):
        return Logged(path, files)
    place = shutil.copy2 if copies else None
    kept = staging.keep(path, copy=place, only=None if "" in files else files)
    return Logged(kept, {name: _state(os.stat(file)) for name, file in _places(staging.folder / kept, files)})


def described(path: str) -> Described:
    """Return the description of a file, or of each regular file in a folder; others are left out.

    Raises:
        OSError: A file cannot be read.
        ValueError: There are more files than can be, or none, or a name is not a text.
    """
    path.encode()
    if not os.path.isdir(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            message = "it is no regular file"
            raise OSError(message)
        return Described({"": _readable(path)})
    found: dict[str, tuple[int, int]] = {}
    others, names = [], 0
    for name in _content(path):
        file = os.path.join(path, name)
        if not os.path.isfile(file):
            others.append(name)
            continue
        found[name] = _readable(file)
        names += len(name.encode())
        if len(found) > MOST_FILES or names > _LONGEST_NAMES:
            message = f"it has more than {MOST_FILES:,} files, or too long names"
            raise ValueError(message)
    if others:
        warn(f"log_artifact: {len(others)} in {path!r} are left out, such as {others[0]!r}: no regular files, or ours.")
    if not found:
        message = "the folder has no files"
        raise ValueError(message)
    return Described(found, whole=not others)


def name_of(name: str, path: str) -> str:
    """Return the name of an artifact, made from its path if it has none."""
    return name or os.path.basename(os.path.normpath(path)).encode(errors="backslashreplace").decode() or "artifact"


def checksums(folder: Path, artifact: Logged) -> Iterator[None]:
    """Note the checksums of an artifact's files, step by step; there is none of a file that has changed meanwhile.

    Args:
        folder: The rank's folder.
        artifact: The artifact.

    Raises:
        OSError: They cannot be written.
    """
    for name, file in _places(folder / artifact.path, artifact.files):
        digest = hashlib.sha256()
        try:
            with open(open_regular(file), "rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    yield
                if _state(os.fstat(stream.fileno())) != tuple(artifact.files[name]):
                    continue
        except OSError:  # gone, as whoever delivers it finds out
            continue
        sums.note(folder / FOLDER, _sum_name(artifact.path, name), digest.hexdigest())
        yield


def deliverable(folder: Path, record: Artifact) -> str | None:
    """Return the path of an artifact if it is what was logged; None if it is gone or has changed.

    The bytes are looked at where they are few.

    Args:
        folder: The rank's folder.
        record: The artifact.
    """
    few = sum(size for size, _ in record.files.values()) <= SMALL
    known = sums.known(folder / FOLDER) if few else {}
    return os.fspath(folder / record.path) if problem(folder, record, known) is None else None


def problem(folder: Path, record: Artifact, known: dict[str, set[str]]) -> str | None:  # noqa: PLR0911 - one each
    """Return the difference between an artifact and its state when it was logged, or None.

    Args:
        folder: The rank's folder.
        record: The artifact.
        known: Checksums, as `sums.known` returns them; a file without one is not read.
    """
    place = Path(record.path) if os.path.isabs(record.path) else kept_file(folder, record.path)
    if place is None:
        return "it is missing"
    try:
        if "" not in record.files and set(_regular(os.fspath(place))) != record.files.keys():
            return "other files are there than were logged"
        for name, file in _places(place, record.files):
            if not os.path.isfile(file):
                return f"{name or 'it'} is missing"
            if _state(os.stat(file)) != tuple(record.files[name]):
                return f"{name or 'it'} has changed"
            digests = known.get(_sum_name(record.path, name))
            if digests and sums.sha256(file) not in digests:
                return f"the bytes of {name or 'it'} are not what was logged"
    except (OSError, ValueError) as error:
        return str(error)
    return None if record.files else "its record names no files"


def _places(place: Path, files: dict[str, tuple[int, int]]) -> Iterator[tuple[str, Path]]:
    for name in files:
        yield name, place / name if name else place


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _sum_name(path: str, name: str) -> str:
    """Return the name under which there is the checksum of an artifact's file."""
    below = path if os.path.isabs(path) else os.fspath(PurePath(path).relative_to(FOLDER))
    return f"{below}/{name}" if name else below


def _readable(path: str) -> tuple[int, int]:
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(13, os.strerror(13), path)
    return _state(os.stat(path))


def _regular(path: str) -> Iterator[str]:
    return (name for name in _content(path) if os.path.isfile(os.path.join(path, name)))


def _content(path: str) -> Iterator[str]:
    """Yield the paths of what is in a folder: files, what else is not a folder, links to folders, and our own folders.

    Raises:
        OSError: A folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(path, onerror=refuse):
        ends = [one for one in folders if one == PARENT or os.path.islink(os.path.join(parent, one))]
        folders[:] = [one for one in folders if one not in ends]
        for name in (*names, *ends):
            yield os.path.relpath(os.path.join(parent, name), path)


def _is_temporary(path: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(tempfile.gettempdir()) + os.sep)
