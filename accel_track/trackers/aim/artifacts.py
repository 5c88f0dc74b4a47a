"""Checkpoints as artifacts of an Aim run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from accel_track.trackers.fast import FastPath, Gate

_FOLDER = "checkpoints"
_LOCAL = "file"


class ArtifactsPath(FastPath):
    """Strikes an artifact off Aim's list, for which it has no call."""

    distribution = "aim"
    tested = "==3.29.*"
    attributes = ("meta_run_tree.subtree",)

    def strike(self, name: str) -> bool:
        """Take an artifact off the list."""
        del self.native.meta_run_tree.subtree("artifacts")[name]
        return True


def without_artifacts(run: Any) -> str:
    """Give a run without `artifacts_uri` one beside its repository; return why not where that cannot be."""
    if run.artifacts_uri is not None:
        return ""
    if run.repo.is_remote_repo:
        return "the repository is remote, and the run has no `artifacts_uri`"
    place = f"file://{Path(run.repo.root_path, 'aim_artifacts').as_posix()}"
    if urlsplit(place).query or urlsplit(place).fragment:  # Aim takes no escapes, and would cut the path there
        return "the repository's path holds '?' or '#', and the run has no `artifacts_uri`"
    run.set_artifacts_uri(place)
    return ""


def store_checkpoint(run: Any, name: str, path: str, list_of: Gate[ArtifactsPath]) -> None:
    """Copy a checkpoint, a file or a folder, then delete what is left of one of that name before it."""
    source = Path(path)
    whole = source.is_dir()
    files = [file for file in source.rglob("*") if file.is_file()] if whole else [source]
    root = source if whole else source.parent
    names = {f"{_FOLDER}/{name}/{file.relative_to(root).as_posix()}": file for file in files}
    for key, file in names.items():
        run.log_artifact(os.fspath(file), key, block=True)
    _delete(run, _of(run, name) - set(names), list_of)


def delete_checkpoint(run: Any, name: str, list_of: Gate[ArtifactsPath]) -> bool:
    """Delete a checkpoint, if it is in a local folder, and Aim's list of artifacts as it is known; say whether."""
    return _delete(run, _of(run, name), list_of)


def _of(run: Any, name: str) -> set[str]:
    return {key for key in run.artifacts if PurePosixPath(key).is_relative_to(f"{_FOLDER}/{name}")}


def _delete(run: Any, names: Iterable[str], list_of: Gate[ArtifactsPath]) -> bool:
    place = urlsplit(run.artifacts_uri or "")
    if place.scheme != _LOCAL:
        return False
    for name in names:
        if not list_of.use(lambda fast: fast.strike(name)):  # noqa: B023 - called at once
            return False
        # Aim's own way to delete an artifact takes the file for a folder, and fails.
        file = Path(place.path, name)
        file.unlink(missing_ok=True)
        for folder in PurePosixPath(name).parents[:-2]:
            with suppress(OSError):  # it holds something
                Path(place.path, folder).rmdir()
    return True
