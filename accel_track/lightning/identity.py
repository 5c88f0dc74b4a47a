"""Which run a logger logs to: a new one, or one that it continues."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

import torch

from accel_track.delivery.settings import Settings
from accel_track.errors import ResumeError, warn
from accel_track.journal.directory import RunDirectory, free_name
from accel_track.resume import NOTHING_FOUND, Mark, find_earlier, find_mark, is_free

_VERSION = re.compile(r"version_(\d+)")
_CONTINUED_BY = "continued_by"
"""File in a run directory that holds the id of the logger that has continued the run in a process launched for it."""


class Identity(NamedTuple):
    """What all ranks have to agree on.

    Attributes:
        version: Number or name of the run.
        run_id: Name of the run directory.
        resumed: Path of the run directory to continue, or None for a new run.
        step: The step that a continued run logs next, or None if that is not known.
        rewinds: Whether a continued run may log steps again that it has, which then count in their place.
    """

    version: int | str
    run_id: str
    resumed: str | None = None
    step: int | None = None
    rewinds: bool = True


def decide(
    settings: Settings,
    directory: str,
    project: str,
    version: int | str | None,
    run_id: str,
    checkpoint: str | os.PathLike[str] | None,
) -> Identity:
    """Return who the run is, as `resume` wants it.

    Continued is, in this order: the run of this id, which another process of this program has begun; the run that the
    checkpoint belongs to; the run of this version, or of this cluster job, that ended before its end.

    Args:
        settings: How to deliver.
        directory: The logging directory.
        project: Name of the project.
        version: What the user gave, or None.
        run_id: Id of the logger.
        checkpoint: The checkpoint that a `fit` goes on from, or None.

    Raises:
        ResumeError: `resume="must"` and there is none, or another process is logging to it.
    """
    if settings.delivery != "inline":
        mark, own = mark_of(checkpoint), own_run(directory, project, run_id)
        if own is not None:
            again = mark is not None and mark.run.path.samefile(own.path)
            return continued(mark) if mark is not None and again else continued(Mark(own, None))._replace(rewinds=False)
        if settings.resume != "never":
            if mark is None:
                name = None if version is None else run_name(version)
                earlier = find_earlier(directory, project, name, finished=settings.resume == "must")
                mark = None if earlier is None else Mark(earlier, None)
            if mark is not None and is_free(mark.run, must=settings.resume == "must"):
                return continued(mark)
        if settings.resume == "must":
            raise ResumeError(NOTHING_FOUND)
    if version is None:
        return Identity(new_version(directory, project), run_id)
    folder = os.path.join(directory, project, run_name(version))
    if free_name(directory, project, run_name(version)) != run_name(version):
        warn(f"version={version!r} is that of an earlier run, too: local files of both are in {folder}.")
    return Identity(version, run_id)


def own_run(directory: str, project: str, run_id: str) -> RunDirectory | None:
    """Return the run that a logger of this id has begun or continued, in another process, or None."""
    own = RunDirectory.of(directory, project, run_id)
    if (own.path / "run.json").is_file():
        return own
    for path in own.path.parent.glob(f"*/{_CONTINUED_BY}"):
        if path.read_text() == run_id:
            return RunDirectory(path.parent)
    return None


def note_continued(run: str | os.PathLike[str], run_id: str) -> None:
    """Have `own_run` find a run that is continued in a launched process; the launching one knows nothing of it."""
    with contextlib.suppress(OSError):
        Path(run, _CONTINUED_BY).write_text(run_id)


def continued(mark: Mark) -> Identity:
    """Return who a run is that is continued."""
    info = mark.run.load()
    name = info.name or info.run_id
    match = _VERSION.fullmatch(name)
    return Identity(int(match[1]) if match else name, info.run_id, os.fspath(mark.run.path), mark.step)


def run_name(version: int | str) -> str:
    """Return a version as the name of a run and of its folder: itself if a text, else `version_<number>`."""
    return version if isinstance(version, str) else f"version_{version}"


def next_version(directory: str, project: str) -> int:
    """Return the next free number in a project's folder."""
    folders = Path(directory, project).glob("version_*")
    taken = [int(match[1]) for path in folders if (match := _VERSION.fullmatch(path.name))]
    return max(taken, default=-1) + 1


def new_version(directory: str, project: str) -> int:
    """Return the next free number in a project's folder, taken by its folder: others may be started at this moment."""
    number, parent = next_version(directory, project), Path(directory, project)
    if "://" in directory:
        return number
    with contextlib.suppress(OSError):  # a folder that takes nothing, which is told when the run begins
        parent.mkdir(parents=True, exist_ok=True)
        while not _taken(parent / run_name(number)):
            number += 1
    return number


def _taken(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def mark_of(checkpoint: str | os.PathLike[str] | None) -> Mark | None:
    """Return which run a checkpoint belongs to, by the file beside it or by what AccelTrackCallback saved in it."""
    if checkpoint is None:
        return None
    return find_mark(checkpoint) or _mark_inside(checkpoint)


def _mark_inside(checkpoint: str | os.PathLike[str]) -> Mark | None:
    if not os.path.isfile(checkpoint):
        return None
    try:  # tensors stay on disk; no object is built but what a checkpoint of plain values needs
        content = torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=True)
        states = content["callbacks"]
        state = next(one for key, one in states.items() if str(key).startswith("AccelTrackCallback") and one)
        run, step = RunDirectory(state["run"]), state["step"]
    except Exception:  # noqa: BLE001 - objects that are refused, another format, no such callback: nothing is known
        return None
    return Mark(run, step) if (run.path / "run.json").is_file() else None
