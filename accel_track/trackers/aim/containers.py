"""A container of Aim's, which is a database of RocksDB's, opened so that nothing in its folder changes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.places import is_regular


class Container:
    """The part of one run.

    Args:
        native: Aim's container.
        root: The path on which everything of the run is.
    """

    def __init__(self, native: Any, root: tuple[str, ...]) -> None:
        """Read nothing yet."""
        encoding: Any = importlib.import_module("aim.storage.encoding")  # compiled, so mypy finds nothing in it
        self._native, self._root = native, root
        self._encode_path, self._decode_path, self.decode = encoding.encode_path, encoding.decode_path, encoding.decode

    def close(self) -> None:
        """Give back its files."""
        self._native.close()

    def value(self, *path: Any) -> Any:
        """Return the content of a path: a dictionary, a list, a plain value or an object of Aim's; None for nothing."""
        try:
            return self._native.tree().subtree(self._path(path)).collect()
        except KeyError:
            return None

    def items(self, *path: Any) -> Iterator[tuple[bytes, Any]]:
        """Yield the encoded content below a path: the rest of its path, and the value."""
        prefix = self._encode_path(self._path(path))
        size, found = len(prefix), self._native.db.iteritems()
        found.seek(prefix)
        for key, value in found:
            if not key.startswith(prefix):
                return
            yield key[size:], value

    def rest(self, key: bytes) -> tuple[Any, ...]:
        """Return the rest of a path."""
        found: tuple[Any, ...] = self._decode_path(key)
        return found

    def _path(self, path: tuple[Any, ...]) -> tuple[Any, ...]:
        # Aim has sequences of numbers on a path with their version behind the first part.
        root = self._root
        return (*root[:1], path[0], *root[1:], *path[1:]) if path[:1] == ("v2",) else (*root, *path)


def opened_container(folder: Path, root: tuple[str, ...], logs: str) -> Container:
    """Open a container to read it.

    Args:
        folder: Its folder.
        root: As for `Container`.
        logs: A folder for RocksDB's messages, which it would write into that of the container.

    Raises:
        LostError: A part of it is a link, or a pipe.
        Exception: RocksDB cannot open it.
    """
    if not all(map(is_regular, folder.iterdir())):
        message = "a database that has links or pipes in it, which was not read"
        raise LostError(message)
    aimrocks: Any = importlib.import_module("aimrocks")
    rocks: Any = importlib.import_module("aim.storage.rockscontainer")

    class Unchanged(rocks.RocksContainer):  # type: ignore[misc] # compiled, so mypy finds nothing in it
        """Aim's container; its own `db` would bring the files in order first."""

        _db: Any

        @property
        def db(self) -> Any:
            if self._db is None:
                options = {**self._db_opts, "create_if_missing": False, "db_log_dir": logs}
                self._db = aimrocks.DB(str(self.path), aimrocks.Options(**options), read_only=True)
            return self._db

    return Container(Unchanged(str(folder), read_only=True), root)
