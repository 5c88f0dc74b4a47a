"""The archive of a Comet experiment: messages, one a line in JSON, and the files that they name.

It is a zip file or, until Comet makes that of it, a folder.
"""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from accel_track.files import open_regular
from accel_track.trackers.reading.copies import target
from accel_track.trackers.reading.lost import MISSING, LostError, MissingError
from accel_track.trackers.reading.places import begins_with, file_within

MESSAGES, ABOUT = "messages.json", "experiment.json"
_DAMAGE = (LostError, OSError, ValueError, EOFError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile)
"""The errors of reading a damaged, hostile or encrypted zip file."""
_decode = msgspec.json.Decoder().decode
_LONGEST = 64 * 1024 * 1024
"""Bytes of the longest message that is read."""


def is_archive(path: Path) -> bool:
    """Return whether a zip file or a folder is one; never raises."""
    try:
        if path.is_dir():
            return begins_with(path / MESSAGES, b'{"')
        with open(open_regular(path), "rb") as file, zipfile.ZipFile(file) as archive:
            return {MESSAGES, ABOUT} <= set(archive.namelist())
    except _DAMAGE:
        return False


class Archive:
    """One archive.

    Args:
        path: The zip file or folder.
        lost: Counts, by a sentence, what cannot be read.
    """

    def __init__(self, path: Path, lost: Counter[str]) -> None:
        """Open nothing yet."""
        self.path, self._lost = path, lost

    def about(self) -> dict[str, Any]:
        """Return the archive's description of the experiment; nothing before the experiment has ended."""
        try:
            with self._opened(ABOUT) as file:
                about = json.loads(file.read(_LONGEST))
        except _DAMAGE:
            return {}
        return about if isinstance(about, dict) else {}

    def messages(self, *without: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the kind and the content of each message, but for some kinds, which are not decoded."""
        ends = tuple(f'"type":"{kind}"}}\n'.encode() for kind in without)
        try:
            with self._opened(MESSAGES) as file:
                while line := file.readline(_LONGEST):
                    if line.endswith(ends):
                        continue
                    if (message := _message(line)) is not None:
                        yield message
                    else:
                        self._lost["a message that is damaged, or was not written to its end"] += 1
        except _DAMAGE:
            self._lost["messages behind damage in an archive"] += 1

    def fetch(self, name: Any, folder: Path, own: str) -> Path:
        """Return the path of a copy of a file in a folder, under a name of its own there.

        Raises:
            LostError: It is not there, or damaged.
        """
        place = target(folder, own)
        try:
            with self._opened(str(name)) as source, place.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        except LostError:
            raise
        except Exception as error:  # of the file system, of a zip file, or of what is compressed in one
            message = "a file that cannot be read from an archive"
            raise LostError(message) from error
        return place

    def _opened(self, name: str) -> IO[bytes]:
        if self.path.is_dir():
            return file_within(name, self.path).open("rb")
        with zipfile.ZipFile(self.path) as archive:
            try:
                return archive.open(name)  # the file stays open for it
            except KeyError as error:
                raise MissingError(MISSING) from error


def _message(line: bytes) -> tuple[str, dict[str, Any]] | None:
    try:
        try:
            message = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):  # as of NaN, or a long integer
            message = json.loads(line)
        kind, content = message["type"], message["payload"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return (kind, content) if isinstance(kind, str) and isinstance(content, dict) else None
