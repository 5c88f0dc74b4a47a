"""Files that are replaced as a whole, and read within bounds."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

_EXCLUSIVE = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_SMALL = 65_536
"""Bytes up to which parts are copied together: that takes less time than a call of the system for each."""


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that readers see either as it was or complete, also where several processes write it at once.

    The data goes to a new file with a random name that ends in `.new`, which is then renamed: a file or link that
    somebody has put in its place is never opened.

    Args:
        path: The file. A link is replaced, not followed.
        data: The content.
        mode: The file's permissions, less what the process's umask takes.

    Raises:
        OSError: The file cannot be written.
    """
    new = path.with_name(f".{secrets.token_hex(8)}.new")  # with an ending, the name of `path` might be too long
    file = os.open(new, os.O_WRONLY | _EXCLUSIVE, mode)
    try:
        with open(file, "wb") as stream:
            stream.write(data)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def write_whole(file: int, *parts: bytes | memoryview) -> int:
    """Write all bytes of some parts to a descriptor, small ones at once; return how many.

    Raises:
        OSError: They cannot be written; a part of them may be there.
    """
    views = [memoryview(part).cast("B") for part in parts]
    whole = sum(map(len, views))
    if whole <= _SMALL:
        views = [memoryview(b"".join(views))]
    for view in views:
        written = 0
        while written < len(view):  # the system may write a part
            written += os.write(file, view[written:])
    return whole


def make_private(folder: Path) -> None:
    """Make a folder, and its parents that are missing, for their owner only.

    Raises:
        OSError: The folder cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
    if not missing:
        folder.mkdir(exist_ok=True)  # a file in its place is an error


def sync_file(path: str | os.PathLike[str]) -> None:
    """Have the disk store what is in a file, or which files are in a folder; Windows cannot be told to of a folder.

    Raises:
        OSError: The disk fails, or there is no such file.
    """
    with contextlib.suppress(PermissionError):
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(file)
        finally:
            os.close(file)


def open_regular(path: str | os.PathLike[str]) -> int:
    """Return a descriptor for reading a file; unlike the opening of a FIFO, this never waits.

    Raises:
        OSError: The file cannot be opened, or is a folder, a FIFO, a socket or a device.
    """
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        message = "it is no regular file"
        raise OSError(message)
    return file


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: The file cannot be read, is no regular file, or holds more bytes than `limit`.
    """
    with open(open_regular(path), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        # Not `read(limit)`, which takes that much memory first, however short the file is.
        data = stream.read() if size <= limit else b""
    if max(size, len(data)) > limit:
        message = f"it holds more than {limit} bytes"
        raise OSError(message)
    return data
