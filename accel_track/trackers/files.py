"""The files of checkpoints, artifacts and media, and the names under which a backend keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from accel_track.texts import storable_text


def files_of(path: str) -> Iterator[tuple[str, str]]:
    """Yield each file of a checkpoint or artifact, and its name: its own, or in a folder its path from there, with "/".

    Args:
        path: The file or folder.
    """
    if not os.path.isdir(path):
        yield path, os.path.basename(path)
        return
    found = (os.path.join(folder, file) for folder, _, files in os.walk(path) for file in files)
    for file in sorted(found):
        yield file, os.path.relpath(file, path).replace(os.sep, "/")


def artifact_files(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Yield each regular file of an artifact, and its name, as a text that a backend can hold.

    Args:
        path: The file or folder.
    """
    for file, part in files_of(os.fspath(path)):
        if os.path.isfile(file) or file == path:  # that there is no such file, who reads it says
            yield file, storable_text(part)


def checkpoint_files(name: str, path: str) -> Iterator[tuple[str, str]]:
    """Yield each file's path and its name: `name` with the file's suffix, or in a sharded one `name/part`.

    Args:
        name: Name of the checkpoint.
        path: The file or folder.
    """
    suffix = os.path.splitext(path)[1]
    alone = name if name.endswith(suffix) else name + suffix
    for file, part in files_of(path):
        yield file, f"{name}/{part}" if os.path.isdir(path) else alone


def lasting(values: Mapping[str, Any], step: int | None = None) -> dict[str, Any]:
    """Return the facts of a checkpoint that stay true, for a backend whose metadata cannot change: without "best".

    Args:
        values: What is known about it.
        step: Training step, which is left out where there is none.
    """
    kept = {name: value for name, value in values.items() if name not in ("best", "last")}
    return kept if step is None else {"step": step, **kept}
