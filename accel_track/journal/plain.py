"""The plain content of a run directory: files and folders, and nothing that leads out of it or blocks its reader."""

from __future__ import annotations

import os
import stat

from accel_track.errors import JournalError
from accel_track.journal.directory import RunDirectory


def check_plain(run: RunDirectory) -> None:
    """Make sure that nothing in a run directory leads out of it or blocks its reader.

    Raises:
        JournalError: The run directory holds a symbolic link, a device, a pipe, or the like.
    """
    folders = [os.fspath(run.path)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    folders.append(entry.path)
                elif not stat.S_ISREG(mode):
                    message = f"{entry.path} is a link or a device, which no run directory has; it is not touched."
                    raise JournalError(message)
