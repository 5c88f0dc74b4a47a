"""The append to a segment's file: one `write`, which keeps the interpreter where the disk is this machine's own.

`os.write` gives the interpreter's lock away around the system call. A worker that has something to do takes it then, and
the thread that trains waits until the worker gives it back: a hundred times as long as the page cache of a local disk
needs for a record. `ctypes.PyDLL` calls the very same function and keeps the lock
([ctypes](https://docs.python.org/3/library/ctypes.html#ctypes.PyDLL)). A network file system may keep a write waiting for
as long as its server likes, so there the lock is given away.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import psutil

Append = Callable[[int, bytes, int], int]
"""Writes bytes, of which the number is given, to a descriptor; returns how many were written, or -1 for an error."""

_LOCAL = frozenset(("apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "overlay", "tmpfs", "xfs", "zfs"))
"""File systems of a machine's own disks."""


def append_to(folder: Path) -> Append:
    """Return what appends to files in a folder.

    Raises:
        OSError: There is no such folder.
    """
    return (_libc_write() if _is_local(os.stat(folder).st_dev, os.path.realpath(folder)) else None) or _os_write


def _os_write(file: int, data: bytes, _: int) -> int:
    return os.write(file, data)


@lru_cache(1)
def _libc_write() -> Append | None:
    try:
        write = ctypes.PyDLL(None).write
    except (OSError, TypeError, AttributeError):  # Windows
        return None
    write.argtypes, write.restype = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t), ctypes.c_ssize_t
    found: Append = write
    return found


@lru_cache(64)
def _is_local(device: int, folder: str) -> bool:
    """Whether a folder is on a disk of this machine; on another device it is asked anew."""
    try:
        mounted = [(one.mountpoint, one.fstype) for one in psutil.disk_partitions(all=True)]
    except OSError:
        return False
    above = [(len(place), kind) for place, kind in mounted if os.path.commonpath([place, folder]) == place]
    return max(above, default=(0, ""))[1] in _LOCAL
