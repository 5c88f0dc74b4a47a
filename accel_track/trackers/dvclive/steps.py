"""The files of media in DVCLive's folder: one for each step, by names that no other medium has."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from accel_track.trackers.names import hashed_name, safe_name

IMAGES, OTHERS = "images", "media"
"""The folders of media by step, below that of plots: DVCLive shows images, and knows nothing of the other folder."""

NOT_IN_PATHS = r'[<>:"\\|?*\x00-\x1f\x7f\ud800-\udfff]'
"""The characters that some file system does not take."""

NAME_LENGTH = 200

_FILE = re.compile(r"(\d+)(-\d+)?(\.\w+)+")


def fitting(name: str) -> str:
    """Return `name`, or a similar one where it is not a path below a folder, or one of a file of another name there."""
    safe = safe_name(name, NOT_IN_PATHS, NAME_LENGTH)
    if any(_FILE.fullmatch(part) or part.endswith(".json") for part in safe.split("/")):
        return hashed_name(re.sub(r"[/.]", "_", safe), name, NAME_LENGTH)
    return safe


def step_in(name: str) -> int | None:
    """Return the step in the name of a file; None if it has none."""
    match = _FILE.fullmatch(name)
    return int(match[1]) if match else None


def kept(source: Path, folder: Path, step: int, suffix: str) -> Path:
    """Copy a file to `<step><suffix>`, or where another one is there to `<step>-1<suffix>`, …; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        target = folder / f"{step}{f'-{number}' if number else ''}{suffix}"
        if not target.exists():
            replaced(source, target)
            return target
        if filecmp.cmp(source, target, shallow=False):
            return target
    raise AssertionError


def replaced(source: Path, target: Path) -> None:
    """Put a copy of a file in the place of another, in one step."""
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, partial)
    os.replace(partial, target)


def cut(plots: Path, step: int) -> set[str]:
    """Delete the files of a step and later ones; return the names of the media that are no images.

    Args:
        plots: The folder of plots.
        step: The step.
    """
    names = set()
    for kind in (IMAGES, OTHERS):
        for path, number in _files(plots / kind):
            if number >= step:
                path.unlink()
                if kind == OTHERS:
                    names.add(path.parent.relative_to(plots / kind).as_posix())
    return names


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files of media and their steps; not those right in the folder, which the program itself has logged."""
    for path in sorted(folder.rglob("*")):
        match = _FILE.fullmatch(path.name)
        if match and path.parent != folder and path.is_file():
            yield path, int(match[1])
