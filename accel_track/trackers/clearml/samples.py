"""ClearML's debug samples: the names and the files of media, none of which takes another's place."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from accel_track.trackers.names import hashed_name, safe_name

_FORBIDDEN = r"[\\\x00-\x1f\x7f\ud800-\udfff]"
_ESCAPED = "#\"';?:@&=+$,%!"
"""Characters that ClearML writes as four in the names of files; "/" is ".slash.", by whoever wrote it."""
_ALIKE = re.compile(r"\.slash\.|0x[0-9a-f]{2}")
_LENGTH = 100
"""Bytes of a name in the names of files: one has title, series and a number in it."""


def place(name: str) -> tuple[str, str]:
    """Return title and series of a medium; those of one list share the title."""
    parent, _, number = name.rpartition("/")
    return fitting(parent if parent and number.isdecimal() else name), fitting(name)


def fitting(name: str) -> str:
    """Return `name`, or a similar one where its files would lead elsewhere, or have the place of another name's."""
    if safe_name(name, _FORBIDDEN, _LENGTH) == name and not _ALIKE.search(name):
        escaped = 3 * sum(map(name.count, _ESCAPED)) + 6 * name.count("/")
        if len(name.encode()) + escaped <= _LENGTH:
            return name
    return hashed_name(re.sub(r"[^A-Za-z0-9._-]+", "_", name), name, _LENGTH)


class Samples:
    """Files that wait for ClearML's threads to upload them."""

    def __init__(self) -> None:
        """Touch nothing yet."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._count = 0

    def file(self, path: Path, suffix: str, *, lasting: bool) -> str:
        """Return the path of a link to a file, or of a copy, which ClearML may delete.

        Args:
            path: The file, whose name begins with its checksum.
            suffix: What its name ends in.
            lasting: Whether it is to stay where later ones have the same title and series. ClearML counts those in a
                process, so that another one that continues the task begins anew; the checksum keeps them apart.
        """
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="accel_track-clearml-", ignore_cleanup_errors=True)
        self._count += 1
        # What ClearML takes for the suffix begins with the first point.
        link = os.path.join(self._folder.name, f"{self._count}{f'.{path.name[:12]}' if lasting else ''}{suffix}")
        try:
            os.link(path, link)
        except OSError:  # another file system, or one without links
            shutil.copyfile(path, link)
        return link

    def forget(self) -> None:
        """Delete the links, whose files ClearML has uploaded, or never will."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
