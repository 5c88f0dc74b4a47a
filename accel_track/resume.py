"""Resuming: the run that a program is to continue, by a checkpoint, by its name, or by the cluster's job."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.errors import JournalError, ResumeError, warn
from accel_track.files import read_file, replace_file
from accel_track.journal.directory import PARENT, RunDirectory
from accel_track.journal.info import RunInfo, job_name, job_restarted, outcome_noted
from accel_track.mirror.earlier import fetch_earlier
from accel_track.outcome import CRASHED, Outcome
from accel_track.texts import storable_text

MARKS = ".accel_track.json"
"""File beside checkpoints in which earlier versions noted which run each belongs to."""

_MARK = ".accel_track.json"
_LARGEST = 2**24
_SAVED_WITHIN = 600.0
"""The longest time that a checkpoint takes to be saved in the background, in seconds."""

NOTHING_FOUND = (
    "`resume='must'`: found no run to continue. Give the checkpoint (Trainer.fit(ckpt_path=...), or load_state before "
    "init_trackers), or the name of the run (`version`, `run_name`) and the directory that it is in."
)


class Mark(NamedTuple):
    """The mark of a checkpoint: the run that it belongs to.

    Attributes:
        run: The run directory.
        step: The step that a run continued from the checkpoint logs next, or None if the step is not known.
    """

    run: RunDirectory
    step: int | None

    @classmethod
    def of(cls, path: str | os.PathLike[str], step: Any) -> Mark | None:
        """Return the mark of a stored path and step; None if the run directory is gone or, with a warning, damaged."""
        run = RunDirectory(os.path.normpath(path))
        if not (run.path / "run.json").is_file():
            return None
        try:
            run.load()
        except JournalError as error:
            warn(f"{error} The checkpoint's run cannot be continued.")
            return None
        return cls(run, step if isinstance(step, int) else None)


def mark_checkpoint(path: str | os.PathLike[str], marks: Sequence[Mark]) -> None:
    """Write beside a checkpoint which runs it belongs to, and remove the marks of those runs' deleted checkpoints.

    Marks are removed after ten minutes, since a checkpoint that is saved in the background does not exist yet.

    Each checkpoint has a file of its own, so that several programs may save into one folder. Run directories are noted
    relative to that file, so both may be moved together. A checkpoint on a remote file system, such as `s3://`, gets
    none.
    """
    if "://" in os.fspath(path):
        return
    file = Path(os.path.abspath(path))
    runs = [{"run": os.path.relpath(one.run.path.absolute(), file.parent), "step": one.step} for one in marks]
    with contextlib.suppress(OSError, ValueError):  # then only the checkpoint's runs are not known
        content = {"checkpoint": storable_text(file.name), "runs": runs}
        replace_file(_mark_file(file), json.dumps(content, indent=1).encode())
        for other in file.parent.glob(f".*{_MARK}"):
            noted = _read(other) if time.time() - other.stat().st_mtime > _SAVED_WITHIN else {}
            if [one["run"] for one in _runs(noted)] == [one["run"] for one in runs]:
                name = noted.get("checkpoint")
                if isinstance(name, str) and not os.path.lexists(file.parent / name):
                    other.unlink()


def find_marks(path: str | os.PathLike[str]) -> list[Mark]:
    """Return the marks of a checkpoint, in the order of the runs' loggers; runs that are gone are left out."""
    with contextlib.suppress(OSError, ValueError):  # no file can have this path
        for file in (Path(os.path.abspath(path)), Path(os.path.realpath(path))):  # `last.ckpt` may be a link to another
            noted = _read(_mark_file(file)) or _read(file.parent / MARKS).get(file.name)
            found = [Mark.of(file.parent / one["run"], one.get("step")) for one in _runs(noted)]
            if marks := [one for one in found if one is not None]:
                return marks
    return []


def find_earlier(
    directory: str | os.PathLike[str] | None,
    project: str,
    name: str | None,
    trackers: Collection[str] = (),
    *,
    finished: bool = False,
    mirror: str | None = None,
    parent: str | None = None,
) -> RunDirectory | None:
    """Return the newest run that did not finish and that this program continues, or None.

    It has the same name, or was to have it, or is of the cluster job that SLURM or `torchrun` has started again.
    Children of other runs are looked for by their name alone.

    Args:
        directory: The logging directory.
        project: Name of the project.
        name: The name that the user gave the run, or None.
        trackers: Names of trackers; a run that has them all is preferred, since a program may have had several runs.
        finished: Whether there must be such a run, also one that finished.
        mirror: URL of a store from which the run is fetched if this machine does not have it.
        parent: Id of the run whose child is looked for; None: of runs that are no children.

    Raises:
        ResumeError: With `finished`, another process is logging to the only such run.
    """
    job = job_name() if parent is None and job_restarted() else None
    if name is None and job is None:
        return None
    place = Path(os.path.abspath(directory or os.curdir), PARENT, project)

    def rating(info: RunInfo, outcome: Outcome | None = None) -> tuple[bool, float] | None:
        if info.parent != parent:
            return None
        ours = (name is not None and name in (info.name, info.wanted)) or (job is not None and info.job == job)
        ended = (outcome or outcome_noted(info) or CRASHED).status == "finished"
        return (info.trackers.keys() >= set(trackers), info.created) if ours and (finished or not ended) else None

    if mirror is not None:
        fetch_earlier(mirror, place, project, (name, job), rating)
    found: list[tuple[tuple[bool, float], RunDirectory]] = []
    going_on: list[tuple[tuple[bool, float], RunDirectory]] = []
    for path in place.glob("*/run.json"):
        run = RunDirectory(path.parent)
        with contextlib.suppress(JournalError):
            info = run.load()
            outcome = run.outcome(info)
            if (rated := rating(info, outcome)) is not None and (outcome is not None or finished):
                (going_on if outcome is None else found).append((rated, run))
    if going_on and not found:
        is_free(max(going_on, key=lambda one: one[0])[1], must=True)
    return max(found, key=lambda one: one[0], default=(None, None))[1]


def is_free(run: RunDirectory, *, must: bool) -> bool:
    """Return whether no other process is logging to a run; warn if one is.

    Raises:
        ResumeError: Another process is logging to the run, and `must` is set.
    """
    if not run.is_live():
        return True
    if must:
        message = f"{run.path} cannot be continued: another process is logging to it; end that one first."
        raise ResumeError(message)
    warn(f"{run.path} is not continued, since another process is logging to it; a new run begins.")
    return False


def _mark_file(checkpoint: Path) -> Path:
    """Return the file of a checkpoint's marks; the length of its name does not depend on the checkpoint's."""
    name = hashlib.sha256(os.fsencode(checkpoint.name)).hexdigest()
    return checkpoint.with_name(f".{name[:32]}{_MARK}")


def _read(file: Path) -> dict[str, Any]:
    try:
        noted = json.loads(read_file(file, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _runs(noted: Any) -> list[dict[str, Any]]:
    """Return the notes about each run; earlier versions noted one run, at the top level."""
    if not isinstance(noted, dict):
        return []
    runs = noted.get("runs", [noted])
    found = runs if isinstance(runs, list) else []
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("run"), str)]
