"""The media of an export: files with readable names."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from accel_track.delivery.media import KeptMedia
from accel_track.journal.directory import RunDirectory
from accel_track.media import File, Medium
from accel_track.media.fallbacks import converted
from accel_track.records import Metrics, Stored

_ODD = re.compile(r"[^\w.\- ]")
_LONGEST = 100


class MediaFiles:
    """The writing of media to a folder, as `<name>/<step>.<ending>`.

    Args:
        run: The run that they are of.
        folder: Where they go; made when needed.
        beside: The folder to which paths are relative.
    """

    def __init__(self, run: RunDirectory, folder: Path, beside: Path) -> None:
        """Write nothing yet."""
        self.count = 0
        self.lacking = 0
        """How many cannot be written, since their files are missing or damaged."""
        self._run, self._folder, self._beside = run, folder, beside
        self._kept: dict[int, KeptMedia] = {}
        self._taken: set[str] = set()

    def write(self, rank: int, record: Metrics, name: str, one: Stored, place: int | None = None) -> str | None:
        """Write a medium; return its path, or None if it cannot be.

        Args:
            rank: The rank that logged it.
            record: The call.
            name: Its name in there.
            one: What stands for it.
            place: Its number where the name has several.

        Raises:
            OSError: There is no room.
        """
        kept = self._kept.setdefault(rank, KeptMedia(self._run.rank(rank)))
        medium = kept.medium(one)
        if not isinstance(medium, Medium):
            self.lacking += 1
            return None
        with tempfile.TemporaryDirectory(prefix="accel_track-export-") as scratch:
            try:
                file = converted(medium, "file", Path(scratch))
            except (KeyError, TypeError, ValueError):  # what a record says of it is damaged
                file = None
            if not isinstance(file, File) or file.path is None:
                self.lacking += 1
                return None
            stem = f"record-{record.seq}" if record.step is None else str(record.step)
            stem += "" if place is None else f"_{place}"
            target = self._free(_parts(name), f"rank-{rank}_{stem}" if rank else stem, file.suffix)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, target)
        self.count += 1
        return Path(os.path.relpath(target, self._beside)).as_posix()

    def _free(self, folders: list[str], stem: str, suffix: str) -> Path:
        """Return a path that no other medium has, even if the case of letters makes no difference."""
        number = 1
        while True:
            target = self._folder.joinpath(*folders, f"{stem}{f'-{number}' if number > 1 else ''}{suffix}")
            if (key := os.fspath(target).casefold()) not in self._taken:
                self._taken.add(key)
                return target
            number += 1


def _parts(name: str) -> list[str]:
    """Return a name as names of folders, none of which leads elsewhere."""
    parts = [_ODD.sub("_", part).strip(". ")[:_LONGEST] for part in name.split("/")]
    return [part or "_" for part in parts][:20]
