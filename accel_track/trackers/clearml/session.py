"""The files of one offline session of ClearML: a folder, or the archive that ClearML makes of one."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from accel_track.errors import NotReadableError
from accel_track.trackers.reading.copies import target
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.places import file_within

TASK, EVENTS = "task.json", "metrics.jsonl"
_LARGEST = 2**30


class Session:
    """A session.

    Args:
        place: The folder, or the archive.

    Raises:
        NotReadableError: It is neither.
    """

    def __init__(self, place: Path) -> None:
        """Look for the task's description."""
        self.place = place
        if not os.path.isfile(place / TASK) and not (zipfile.is_zipfile(place) and TASK in self._names()):
            message = f"clearml: there is no offline session at {place}."
            raise NotReadableError(message)

    def _names(self) -> list[str]:
        try:
            with zipfile.ZipFile(self.place) as archive:
                return archive.namelist()
        except (OSError, zipfile.BadZipFile):
            return []

    def file(self, name: str, scratch: Path) -> Path | None:
        """Return a file of the session; None if there is none, or it would be outside.

        Args:
            name: Its path in the session.
            scratch: Where to unpack it.

        Raises:
            OSError: It cannot be unpacked.
        """
        try:
            if self.place.is_dir():
                return file_within(name, self.place)
            path = target(scratch / "session", name)
        except LostError:
            return None
        try:
            with zipfile.ZipFile(self.place) as archive:
                if archive.getinfo(name).file_size > _LARGEST:
                    return None
                with archive.open(name) as member, path.open("wb") as copy:
                    shutil.copyfileobj(member, copy)
                return path
        except (KeyError, RuntimeError, zipfile.BadZipFile) as error:  # RuntimeError: it is encrypted
            message = f"{name} cannot be unpacked: {error}"
            raise OSError(message) from error

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a file; none where there is no such file.

        Raises:
            OSError: It cannot be read any further.
        """
        if self.place.is_dir():
            with suppress(LostError), file_within(name, self.place).open("rb") as file:
                yield from file
            return
        try:
            with zipfile.ZipFile(self.place) as archive, archive.open(name) as member:
                yield from member
        except KeyError:
            return
        except (RuntimeError, zipfile.BadZipFile, EOFError) as error:
            message = f"{name} cannot be unpacked: {error}"
            raise OSError(message) from error


def is_session(place: Path) -> bool:
    """Return whether a folder or an archive is a session."""
    try:
        Session(place)
    except (NotReadableError, OSError):
        return False
    return True
