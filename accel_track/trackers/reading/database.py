"""The databases of SQLite in a source, opened so that nothing in their folders changes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from accel_track.trackers.reading.places import is_regular

_PATIENCE = 30.0
"""Seconds for which another process may be writing."""

_HEAD = b"SQLite format 3\0"
_JOURNAL = 18
"""Place of the byte of a database's header that is 2 where it has a write-ahead log."""


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to read it, which changes nothing in its folder.

    Raises:
        sqlite3.Error: It is none.
        OSError: It cannot be read.
    """
    beside = [database.with_name(database.name + suffix) for suffix in ("-wal", "-shm", "-journal")]
    if not database.is_file() or not all(is_regular(one) for one in beside if os.path.lexists(one)):
        message = "it, or its log, is no regular file"
        raise sqlite3.DatabaseError(message)
    with open(database, "rb") as file:
        head = file.read(_JOURNAL + 1)
    if not head.startswith(_HEAD):
        message = "it is no database"
        raise sqlite3.DatabaseError(message)
    # Without a log, nobody has it open; to read it as one that nobody changes makes no new log.
    alone = head[_JOURNAL:] == b"\2" and not beside[0].exists()
    address = f"{database.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)) as connection:
        connection.text_factory = lambda data: data.decode(errors="replace")
        connection.execute("pragma trusted_schema = off")
        try:
            yield connection
        except UnicodeDecodeError as error:  # raised in place of SQLite's message about names that are damaged
            message = "its names are damaged"
            raise sqlite3.DatabaseError(message) from error
