"""Passing media: those of calls that go to trackers at once, as files of a temporary folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from accel_track.media.folder import MediaFolder
from accel_track.values.capture import Captured, Found
from accel_track.values.structures import reason


class PassingMedia:
    """Media in their places, as trackers are given them; their folder goes with this object."""

    def __init__(self) -> None:
        """Make no folder yet."""
        self._folder: Path | None = None
        self._forget: weakref.finalize[..., object] | None = None

    def keep(self, call: Captured) -> None:
        """Put the media of a call in their places, as trackers are given them."""
        for found in call.media:
            try:
                content = found.content.settled()
                files = MediaFolder(self.folder) if content.suffix else None
                path = None if files is None else files.file(files.keep(content))
                found.place[found.key] = found.kind.of_stored(content.info, path)
            except Exception as error:  # noqa: BLE001, PERF203 - whatever is wrong with one costs the others nothing
                leave_out(found, error, call)

    @property
    def folder(self) -> Path:
        """The folder."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="accel_track-media-"))
            self._forget = weakref.finalize(self, _delete, self._folder, os.getpid())
        return self._folder

    def forget(self) -> None:
        """Delete the files."""
        if self._forget is not None:
            self._forget()
            self._folder = self._forget = None


def _delete(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # not at the end of a forked child
        shutil.rmtree(folder, ignore_errors=True)


def leave_out(found: Found, error: Exception, call: Captured) -> None:
    """Leave a medium out of a call's values, and note why."""
    call.unread[found.name] = reason(error)
    if type(found.place) is dict:  # in a list, None stays
        found.place.pop(found.key, None)
