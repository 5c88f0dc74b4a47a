"""The set-up of a local store: one process at a time, and one whose making was cut off is made again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from accel_track.errors import warn

PATIENCE = 60.0
"""Seconds to wait for another process, which may be making a database on a slow disk."""

_BESIDE = ("", "-journal", "-wal", "-shm")
"""The endings of the names of a store and of the files that SQLite keeps beside it."""


@contextmanager
def alone_at(store: Path, beside: Path | None = None, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock beside a store while it is opened inside, and made where it is not there.

    SDKs make databases in many steps, in which other processes fail, and cannot open what a killed process has half
    made: that is put aside. Network file systems may refuse `flock`, and a folder that others share may not be
    writable: neither keeps a run from its store.

    Args:
        store: The file or folder, there or not.
        beside: The folder for the lock; the one around the store, which is made, unless given.
        patience: Seconds to wait for who holds the lock.

    Raises:
        TimeoutError: Another process has held the lock all that time.
        OSError: The folder cannot be made.
    """
    folder = beside or store.parent
    folder.mkdir(parents=True, exist_ok=True)
    hidden = f".{store.name.lstrip('.')}"
    lock = FileLock(folder / f"{hidden}.lock", thread_local=False)
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        message = f"another process has been opening {store} for over {patience:.0f} s"
        raise TimeoutError(message) from error
    except (OSError, NotImplementedError):
        yield
        return
    try:
        with _whole(store, folder / f"{hidden}.unfinished"):
            yield
    finally:
        lock.release()


@contextmanager
def _whole(store: Path, mark: Path) -> Iterator[None]:
    """Leave a mark while a store is made, and put aside one that another process has marked and not finished."""
    own = f"{os.getpid()}"
    if mark.exists() and mark.read_text() != own:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for end in _BESIDE:
            if (part := store.with_name(store.name + end)).exists():
                part.rename(part.with_name(f"{store.name}-unfinished-{stamp}{end}"))
        warn(f"{store} was left unfinished by a process that ended while making it; it is put aside and made again.")
    if not store.exists():
        mark.write_text(own)
    yield
    mark.unlink(missing_ok=True)
