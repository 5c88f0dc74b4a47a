"""Walks through a folder that somebody else has filled: no link leads out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from accel_track.trackers.reading.places import is_regular

_QUICK = 20_000
"""The number of entries for a quick look."""


def walked(place: Path, *, quick: bool = False) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield a folder and all below it, in the order of their names, each with the names of its folders and files.

    As of `os.walk`, folders that are taken out of the list are not entered. Folders that cannot be read, and links to
    folders, are left out. Raises nothing.

    Args:
        place: The folder. Of a file, it is its folder, with that file alone.
        quick: Whether to end after 20,000 files and folders: to find out what a place holds.
    """
    if os.path.isfile(place):
        yield place.parent, [], [place.name]
        return
    seen = 0
    with suppress(ValueError):  # of a NUL in its name
        for folder, folders, files in os.walk(place):
            folders.sort()
            yield Path(folder), folders, sorted(files)
            seen += 1 + len(files)
            if quick and seen > _QUICK:
                return


def files_below(place: Path, suffix: str, *, quick: bool = False) -> Iterator[Path]:
    """Yield the regular files below a folder whose names end so, or the one that a file is; `quick` as for `walked`."""
    if os.path.isfile(place):
        yield place
        return
    for folder, _, files in walked(place, quick=quick):
        paths = (folder / file for file in files if file.endswith(suffix))
        yield from filter(is_regular, paths)
