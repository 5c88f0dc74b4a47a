"""Find the run that a program is to continue: by a checkpoint, by its name, or by the cluster's job."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

from accel_track.errors import JournalError, ResumeError, warn
from accel_track.files import replace_file
from accel_track.journal.directory import PARENT, RunDirectory
from accel_track.journal.info import job_name, job_restarted

Resume = Literal["auto", "never", "must"]

MARKS = ".accel_track.json"
"""File beside checkpoints that says which run each belongs to."""


NOTHING_FOUND = (
    "`resume='must'`: found no run to continue. Give the checkpoint (Trainer.fit(ckpt_path=...), or load_state before "
    "init_trackers), or the name of the run (`version`) and the directory that it is in."
)


class Mark(NamedTuple):
    """Which run a checkpoint belongs to.

    Attributes:
        run: Its run directory.
        step: The step that a run continued from the checkpoint logs next, or None if that is not known.
    """

    run: RunDirectory
    step: int | None


def mark_checkpoint(path: str | os.PathLike[str], run: RunDirectory, step: int | None) -> None:
    """Write beside a checkpoint which run it belongs to; marks of checkpoints that are gone are removed.

    The run directory is noted relative to the checkpoint's folder, so both may be moved together. A checkpoint on
    another file system, such as `s3://`, gets none.
    """
    if "://" in os.fspath(path):
        return
    file = Path(os.path.abspath(path))
    marks = {name: one for name, one in _marks(file.parent).items() if (file.parent / name).exists()}
    marks[file.name] = {"run": os.path.relpath(run.path.absolute(), file.parent), "step": step}
    with contextlib.suppress(OSError):  # the checkpoint is there, only its run is not known
        replace_file(file.parent / MARKS, json.dumps(marks, indent=1).encode())


def find_mark(path: str | os.PathLike[str]) -> Mark | None:
    """Return which run a checkpoint belongs to, or None if nothing says so or the run directory is gone."""
    for file in (Path(os.path.abspath(path)), Path(os.path.realpath(path))):  # `last.ckpt` may be a link to another
        mark = _marks(file.parent).get(file.name)
        if isinstance(mark, dict) and isinstance(mark.get("run"), str):
            run = RunDirectory(os.path.normpath(file.parent / mark["run"]))
            step = mark.get("step")
            if (run.path / "run.json").is_file():
                return Mark(run, step if isinstance(step, int) else None)
    return None


def find_earlier(
    directory: str | os.PathLike[str] | None, project: str, name: str | None, *, finished: bool = False
) -> RunDirectory | None:
    """Return the newest run that ended before its end and that this program continues, or None.

    That is one of the same name, or one of the cluster job that SLURM or `torchrun` has started again.

    Args:
        directory: The logging directory.
        project: Name of the project.
        name: The name that the user gave the run, or None.
        finished: Whether to take one that came to its end, too.
    """
    job = job_name() if job_restarted() else None
    found: list[tuple[float, RunDirectory]] = []
    for path in Path(os.path.abspath(directory or os.curdir), PARENT, project).glob("*/run.json"):
        run = RunDirectory(path.parent)
        with contextlib.suppress(JournalError):
            info = run.load()
            if (name is not None and info.name == name) or (job is not None and info.job == job):
                outcome = run.outcome(info)
                if outcome is not None and (finished or outcome.status != "finished"):
                    found.append((info.created, run))
    return max(found, key=lambda one: one[0], default=(0.0, None))[1]


def is_free(run: RunDirectory, *, must: bool) -> bool:
    """Whether no other process is logging to a run; warn if one is.

    Raises:
        ResumeError: One is, and the run must be continued.
    """
    if not run.is_live():
        return True
    if must:
        message = f"{run.path} cannot be continued: another process is logging to it; end that one first."
        raise ResumeError(message)
    warn(f"{run.path} is not continued, since another process is logging to it; a new run begins.")
    return False


def _marks(folder: Path) -> dict[str, Any]:
    try:
        marks = json.loads((folder / MARKS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return marks if isinstance(marks, dict) else {}
