"""Bundles: files that hold the pixels of one call's images together, until each of them is encoded."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from accel_track.files import make_private, open_regular, write_whole

SUFFIX = ".raw"
_FILE = re.compile(r"[0-9a-f]{16}" + re.escape(SUFFIX))
_HEAD = re.compile(rb"([0-9a-f]{64}(?:\.[a-z0-9]{1,8}){1,2}) (\d{1,19})\n")
_LONGEST_HEAD = 128
_END = b"end\n"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Bundle:
    """A bundle that is being written, by one thread.

    Args:
        path: The file, made with the first entry.
    """

    def __init__(self, path: Path) -> None:
        """Make no file yet."""
        self.path = path
        self._file: int | None = None
        self._size = 0

    def add(self, name: str, *parts: bytes | memoryview) -> tuple[int, int]:
        """Append the plain form of a medium; return where it begins, and its length.

        Raises:
            OSError: It cannot be written, and nothing of it stays.
        """
        length = sum(memoryview(part).nbytes for part in parts)
        if self._file is None:
            self._file = _new_file(self.path)
        begin = self._size
        try:
            self._size += write_whole(self._file, f"{name} {length}\n".encode(), *parts)
        except BaseException:
            os.ftruncate(self._file, begin)
            os.lseek(self._file, begin, os.SEEK_SET)
            raise
        return self._size - length, length

    def close(self, *, durable: bool) -> None:
        """Close the file, if there is one, behind the line that says that nothing more comes.

        Args:
            durable: Whether the disk itself is to have it.
        """
        if self._file is not None:
            file, self._file = self._file, None
            try:
                os.write(file, _END)
                if durable:
                    os.fsync(file)
            finally:
                os.close(file)


class Bundles:
    """The bundles of a folder of media: which medium is where, and which are not needed any more.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet."""
        self._folder = folder
        self._places: dict[str, tuple[Path, int, int]] = {}
        self._left: dict[Path, set[str]] = {}
        self._closed: set[Path] = set()
        self._seen: dict[Path, int] = {}
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def open(self, *, durable: bool) -> Iterator[Bundle]:
        """Open a bundle for the block."""
        bundle = Bundle(self._folder / (secrets.token_hex(8) + SUFFIX))
        try:
            yield bundle
        finally:
            with contextlib.suppress(OSError):  # a full disk, of which the journal warns
                bundle.close(durable=durable)
            self._closed.add(bundle.path)
            self._delete_if_done(bundle.path)

    def add(self, bundle: Bundle, name: str, *parts: bytes | memoryview) -> None:
        """Append the plain form of a medium to a bundle.

        Raises:
            OSError: It cannot be written.
        """
        begin, length = bundle.add(name, *parts)
        self._note(bundle.path, name, begin, length)

    def __contains__(self, name: str) -> bool:
        """Whether a medium is in a bundle that is known here."""
        return name in self._places

    def plain(self, name: str) -> bytes | None:
        """Return the plain form of a medium, from any bundle of the folder; None where none has it.

        Raises:
            OSError: It cannot be read.
        """
        if name not in self._places:
            self._look()
        place = self._places.get(name)
        if place is None:
            return None
        path, begin, length = place
        try:
            with open(open_regular(path), "rb") as file:
                file.seek(begin)
                return file.read(length)
        except FileNotFoundError:  # another process has encoded all of it
            self._forget(path)
            return None

    def waiting(self) -> Iterator[tuple[str, int]]:
        """Yield the media in the folder's bundles, and the bytes of each."""
        self._look()
        for name, (_, _, length) in list(self._places.items()):
            yield name, length

    def done(self, name: str) -> None:
        """Note that a medium is encoded; a bundle of which all are is deleted."""
        place = self._places.pop(name, None)
        if place is not None:
            with self._lock:
                self._left.get(place[0], set()).discard(name)
            self._delete_if_done(place[0])

    def _note(self, path: Path, name: str, begin: int, length: int) -> None:
        with self._lock:
            self._places.setdefault(name, (path, begin, length))
            self._left.setdefault(path, set()).add(name)

    def _delete_if_done(self, path: Path) -> None:
        with self._lock:
            if path not in self._closed or self._left.get(path):
                return
            self._closed.discard(path)
            self._left.pop(path, None)
            self._seen.pop(path, None)
        path.unlink(missing_ok=True)

    def _forget(self, path: Path) -> None:
        with self._lock:
            self._closed.discard(path)
            self._seen.pop(path, None)
            for name in self._left.pop(path, ()):
                self._places.pop(name, None)

    def _look(self) -> None:
        """Look for bundles, or parts of one, that another process has written; one is deleted once it is closed."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if not _FILE.fullmatch(path.name) or path in self._closed:
                continue
            with contextlib.suppress(OSError), open(open_regular(path), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if self._seen.get(path) == size:
                    continue
                self._seen[path] = size
                end = 0
                for name, begin, length in _entries(file, size):
                    end = begin + length
                    if not (self._folder / name).exists():
                        self._note(path, name, begin, length)
                file.seek(end)
                if file.read(len(_END) + 1) == _END:
                    self._closed.add(path)
                self._delete_if_done(path)


def _entries(file: IO[bytes], size: int) -> Iterator[tuple[str, int, int]]:
    """Yield the name, the place and the length of each entry, as far as the file is whole."""
    at = 0
    while at < size:
        file.seek(at)
        head = _HEAD.match(file.read(_LONGEST_HEAD))
        if head is None or at + head.end() + int(head[2]) > size:
            return
        yield head[1].decode(), at + head.end(), int(head[2])
        at += head.end() + int(head[2])


def _new_file(path: Path) -> int:
    try:
        return os.open(path, _NEW, 0o600)
    except FileNotFoundError:  # the folder is not made yet, or gone
        make_private(path.parent)
        return os.open(path, _NEW, 0o600)
