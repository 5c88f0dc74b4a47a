"""The choice of a logger's run: a new one, or one that it continues."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from accel_track.errors import ResumeError, warn
from accel_track.journal.directory import RunDirectory, free_name
from accel_track.options import Settings
from accel_track.resume import NOTHING_FOUND, Mark, find_earlier, find_marks, is_free

INSIDE = "accel_track"
"""The key under which the callback saves in a checkpoint which runs the checkpoint belongs to."""

_VERSION = re.compile(r"version_(\d+)")
_CONTINUED_BY = "continued_by"
"""File in a run directory that holds the id of the logger that has continued the run in a process launched for it."""


class Identity(NamedTuple):
    """The identity of a logger's run, on which all ranks have to agree.

    Attributes:
        version: Number or name of the run.
        run_id: Name of the run directory.
        resumed: Path of the run directory to continue, or None for a new run.
        step: The step that a continued run logs next, or None if the step is not known.
        rewinds: Whether a continued run may log steps again that it has; the new ones then count in their place.
    """

    version: int | str
    run_id: str
    resumed: str | None = None
    step: int | None = None
    rewinds: bool = True


def decide(
    settings: Settings,
    directory: str,
    names: tuple[str, str],
    version: int | str | None,
    run_id: str,
    trackers: Collection[str],
    marks: Sequence[Mark],
    mine: Mark | None,
    seen: int | str | None = None,
) -> Identity:
    """Return the identity of a logger's run, by the option `resume`.

    The first of these that exists is continued: the run of this id, which another process of this program has begun;
    the run that the checkpoint belongs to; the run of this version, or of this cluster job, that did not finish.

    Args:
        settings: The options of the run.
        directory: The logging directory.
        names: Of the project and of its folder below the logging directory.
        version: The version that the user gave, or None.
        run_id: Id of the logger.
        trackers: Names of the logger's trackers.
        marks: The runs of the checkpoint that a `fit` goes on from.
        mine: The one of `marks` that is for this logger, or None.
        seen: The version that was looked up for a new run before, such as for the Trainer's `log_dir`, or None.

    Raises:
        ResumeError: `resume="must"`, and there is no run to continue or another process is logging to it.
    """
    project, folder = names
    if settings.keeps_journal:
        own, mark = own_run(directory, project, run_id), mine
        if own is not None:
            again = mark_for(own, marks)
            return continued(Mark(own, None))._replace(rewinds=False) if again is None else continued(again)
        if settings.resume != "never":
            if mark is None:
                name = None if version in (None, "") else run_name(version)
                earlier = find_earlier(
                    directory, project, name, trackers, finished=settings.resume == "must", mirror=settings.mirror
                )
                mark = None if earlier is None else Mark(earlier, None)
            if mark is not None and is_free(mark.run, must=settings.resume == "must"):
                return continued(mark)
        if settings.resume == "must":
            raise ResumeError(NOTHING_FOUND)
    if version is None:
        return Identity(new_version(directory, folder, seen), run_id)
    folder = os.path.join(directory, folder, run_name(version))
    if version != "" and free_name(RunDirectory.of(directory, project, "").path, run_name(version)) != run_name(
        version
    ):
        warn(f"version={version!r} is that of an earlier run, too: local files of both are in {folder}.")
    return Identity(version, run_id)


def mark_for(run: RunDirectory, marks: Sequence[Mark]) -> Mark | None:
    """Return the mark of a run, or None."""
    return next((one for one in marks if one.run.path.samefile(run.path)), None)


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
    """Let `own_run` find, in the launching process, a run that a launched process continues."""
    with contextlib.suppress(OSError):
        Path(run, _CONTINUED_BY).write_text(run_id)


def continued(mark: Mark) -> Identity:
    """Return the identity of a run that is continued."""
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


def new_version(directory: str, project: str, seen: int | str | None = None) -> int:
    """Return the next free number in a project's folder, and take it by making its folder, before another run does.

    The number that was seen to be free is returned unless another run has taken it since.
    """
    number = seen if isinstance(seen, int) else next_version(directory, project)
    parent = Path(directory, project)
    if "://" in directory:
        return number
    with contextlib.suppress(OSError):  # not writable, which the beginning of the run reports
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


def marks_of(checkpoint: str | os.PathLike[str] | None) -> list[Mark]:
    """Return the runs of a checkpoint, by the file beside it or by AccelTrackCallback's entry in it."""
    if checkpoint is None:
        return []
    return find_marks(checkpoint) or _marks_inside(checkpoint)


def match(marks: Sequence[Mark], loggers: Sequence[tuple[str, Collection[str]]]) -> list[Mark | None]:
    """Return for each logger of a Trainer the run of a checkpoint that it continues, or None.

    A run goes to a logger of the same project all of whose trackers the run has; a run that is left, to a logger for
    which one of the two holds; equal ones, in their order. A logger that is alone takes the first run, whatever its
    project.

    Args:
        marks: The checkpoint's runs.
        loggers: Project and trackers' names of each logger.
    """
    infos = [one.run.load() for one in marks]
    found: list[Mark | None] = [None] * len(loggers)
    left = list(range(len(marks)))
    for wanted in (2, 1):
        for place, (project, trackers) in enumerate(loggers):
            for number in left if found[place] is None else ():
                same = infos[number].project == project, infos[number].trackers.keys() >= set(trackers)
                if sum(same) >= wanted:
                    found[place] = marks[number]
                    left.remove(number)
                    break
    return [marks[0]] if marks and found == [None] else found


def marks_in(content: Any) -> list[Mark]:
    """Return the runs that the content of a checkpoint names."""
    states = content.get(INSIDE)
    if states is None:  # of a version that allowed one callback only
        callbacks = content.get("callbacks", {})
        states = [one for key, one in callbacks.items() if str(key).startswith("AccelTrackCallback") and one]
    return [mark for one in states if (mark := Mark.of(one["run"], one["step"])) is not None]


def _marks_inside(checkpoint: str | os.PathLike[str]) -> list[Mark]:
    try:  # tensors stay on disk; no object is built but what a checkpoint of plain values needs
        return marks_in(torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=True))
    except Exception:  # noqa: BLE001 - no file, objects that are refused, another format: nothing is known
        return []
