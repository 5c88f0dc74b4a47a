"""Passing media: those of calls that go to trackers at once, as files of a temporary folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from accel_track.media.folder import MediaFolder
from accel_track.values.capture import Captured, Found
from accel_track.values.structures import reason


class PassingMedia:
    """Puts media in their places as trackers are given them; their folder goes with this object."""

    def __init__(self) -> None:
        """Make no folder yet."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def keep(self, call: Captured) -> None:
        """Put the media of a call in their places, as trackers are given them."""
        for found in call.media:
            try:
                files = MediaFolder(self.folder) if found.content.suffix else None
                path = None if files is None else files.file(files.keep(found.content))
                found.place[found.key] = found.kind.of_stored(found.content.info, path)
            except (OSError, ValueError) as error:  # noqa: PERF203 - the others are kept
                leave_out(found, error, call)

    @property
    def folder(self) -> Path:
        """The folder."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="accel_track-media-", ignore_cleanup_errors=True)
        return Path(self._folder.name)

    def forget(self) -> None:
        """Delete the files."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def leave_out(found: Found, error: Exception, call: Captured) -> None:
    """Leave a medium out of a call's values, and note why."""
    call.unread[found.name] = reason(error)
    if type(found.place) is dict:  # in a list, None stays
        found.place.pop(found.key, None)
