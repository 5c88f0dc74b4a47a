"""Walks through a folder that somebody else has filled: no link leads out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_QUICK = 20_000
"""How many entries a quick look takes."""


def folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and all below it, in the order of their names, each with the names of its files.

    Folders that cannot be read, and links to folders, are left out. Raises nothing.

    Args:
        root: The folder. Of a file, it is its folder, with that file alone.
    """
    if os.path.isfile(root):
        yield root.parent, [root.name]
        return
    with suppress(ValueError):  # of a NUL in its name
        for folder, below, names in os.walk(root):
            below.sort()
            yield Path(folder), sorted(names)


def quick_look(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the same, and end after 20,000 files and folders: to find out what a place holds."""
    seen = 0
    for folder, names in folders(root):
        yield folder, names
        seen += 1 + len(names)
        if seen > _QUICK:
            return


def is_within(path: Path, root: Path) -> bool:
    """Whether a path, with its links followed, is in a folder or is it."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: links in a circle; ValueError: a NUL
        return False


def stays_within(path: Path, root: Path) -> bool:
    """Whether a file, or a folder with everything in it, is in a folder, with all links followed."""
    if not is_within(path, root):
        return False
    links = (
        Path(folder, name)
        for folder, below, names in os.walk(path)
        for name in (*below, *names)
        if Path(folder, name).is_symlink()
    )
    return all(is_within(link, root) for link in links)
