"""Locks between processes, also on file systems that have none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from accel_track.errors import warn
from accel_track.files import make_private, open_regular

SOFT = ".soft"
"""The ending of the name of a file that is a lock by its existence, where `flock` does not work."""

_UNSUPPORTED = frozenset(
    (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EIO, errno.EINVAL, errno.ENOTTY, errno.EPERM)
)
_told: set[str] = set()


def acquired(path: Path, patience: float = 0.0) -> BaseFileLock | None:
    """Return a lock, held by the caller until released; None if another holds it for that long.

    It ends with the process, and a forked child does not hold it. Where the file system has no `flock`, it is a file
    that names the process; what is left of it by one that was killed is known on the same machine only.

    Args:
        path: The lock's file. Its folder is made.
        patience: Seconds to wait.

    Raises:
        OSError: It cannot be made.
    """
    make_private(path.parent)
    lock: BaseFileLock = FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
    try:
        return lock if _is_acquired(lock, patience) else None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        reason = error.strerror or type(error).__name__
    lock = SoftFileLock(path.with_name(path.name + SOFT), mode=0o600, thread_local=False)
    held = _is_acquired(lock, 0.0) or _is_acquired(lock, patience)  # the first try removes what a killed process left
    if reason not in _told:
        _told.add(reason)
        warn(
            f"journal: the file system of {path.parent} has no locks ({reason}); files are used instead, which tell a "
            "run that goes on from one that was killed on the same machine only. On another machine, delete the run's "
            f"files that end in {SOFT!r} before you continue or deliver one that was killed."
        )
    return lock if held else None


def _is_acquired(lock: BaseFileLock, patience: float) -> bool:
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        return False
    return True


def is_held(path: str | os.PathLike[str]) -> bool:
    """Return whether somebody holds a lock, as far as that can be told; its file is neither made nor changed."""
    try:
        import fcntl

        file = open_regular(path)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(file)
    except BlockingIOError:
        return True
    except (ImportError, OSError):  # no `flock` on this system, or on this file system, or nobody has ever held it
        name = os.fspath(path)  # no Path before there is a file: a list asks this of thousands of runs
        return (os.path.exists(name) or os.path.exists(name + SOFT)) and _is_held_somehow(Path(name))
    return False


def _is_held_somehow(path: Path) -> bool:
    try:
        lock = acquired(path)
    except OSError:
        return False
    if lock is not None:
        lock.release()
    return lock is None
