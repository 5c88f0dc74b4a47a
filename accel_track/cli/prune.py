"""`accel-track prune`: delete run directories whose records are all delivered."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    check_plain,
    console,
    one_line_errors,
    print_json,
    say,
    size,
    table,
)
from accel_track.journal.directory import PARENT, RunDirectory, find_runs

_DAY = 86_400.0


@dataclass
class _Found:
    """A run directory, and why it is kept."""

    run: RunDirectory
    size: int = 0
    kept: str | None = None
    deleted: bool = False
    damaged: bool = False


def prune(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", exists=True, help="Where to look.")] = Path(),
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", min=0, help="Keep what was touched since.")
    ] = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing, say what would be.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete the journals of runs that have ended and are delivered to all their trackers.

    A run that is live, has anything pending or refused, has no tracker, or is damaged, is kept.

    Example: accel-track prune runs --older-than 90 --dry-run
    """
    with one_line_errors():
        found = [_judged(run, older_than) for run in find_runs(directory)]
        going = [one for one in found if one.kept is None]
        if not as_json:
            _tell(found)
        if going and not dry_run:
            question = f"Delete {len(going)} run directories ({size(sum(one.size for one in going))})?"
            if yes or typer.confirm(question, err=True):
                for one in going:
                    _delete(one, older_than)
        if as_json:
            print_json([_document(one) for one in found])
        elif not dry_run:
            deleted = [one for one in going if one.deleted]
            say(f"{len(deleted)} deleted, {size(sum(one.size for one in deleted))}")
            for one in going:
                if one.kept:
                    say(f"{one.run.path}: kept: {one.kept}")
    if any(one.damaged for one in found):
        raise typer.Exit(code=INCOMPLETE)


def _judged(run: RunDirectory, older_than: float) -> _Found:
    found = _Found(run)
    try:
        found.kept = _leads_elsewhere(run)
        if found.kept is None:
            check_plain(run)
            found.size, touched = _size_and_time(run.path)
            found.kept = _reason(run) or (
                None if time.time() - touched >= older_than * _DAY else f"touched within {older_than:g} days"
            )
    except (ValueError, OSError, OverflowError) as error:
        found.kept, found.damaged = " ".join(str(error).split()), True
    return found


def _leads_elsewhere(run: RunDirectory) -> str | None:
    """Say so if a folder is not in a `.accel_track` or gets there through a symbolic link."""
    path = run.path.absolute()
    if path.parents[1].name != PARENT:
        return f"it is not in a {PARENT} folder"
    if any(folder.is_symlink() for folder in (path, *path.parents[:2])):
        return "it is reached through a symbolic link"
    return None


def _reason(run: RunDirectory) -> str | None:
    from accel_track.cli._state import records, state

    info = run.load()
    if info.run_id != run.path.name:
        return f"its run.json is of another run, {info.run_id}"
    if run.is_live():
        return "it is running"
    if not info.trackers:
        return "it has no tracker, so nothing else has its records"
    logged = records(run)
    for name in info.trackers:
        one = state(run, name, logged)
        for count, what in ((one.pending, "pending"), (one.refused, "refused")):
            if count:
                return f"{count} records are {what} for {name}"
        if one.damaged:
            return f"{one.damaged} damaged bytes were not delivered to {name}"
    return None


def _size_and_time(folder: Path) -> tuple[int, float]:
    """Return the bytes in a folder, and when a file in it was last written to. Locks are touched by looking at them."""
    total, newest = 0, 0.0
    for parent, _, names in os.walk(folder):
        for name in names:
            status = os.stat(os.path.join(parent, name), follow_symlinks=False)
            total += status.st_size
            newest = max(newest, 0.0 if name.endswith(".lock") else status.st_mtime)
    return total, newest


@contextlib.contextmanager
def _held(run: RunDirectory) -> Iterator[bool]:
    """Hold all locks of a run; gives whether nobody else holds one."""
    info = run.load()
    with contextlib.ExitStack() as locks:
        free = True
        for lock in (run.claim_run(), *(run.claim(name, rank) for rank in run.ranks() for name in info.trackers)):
            if lock is None:
                free = False
            else:
                locks.callback(lock.release)
        yield free


def _delete(found: _Found, older_than: float) -> None:
    """Delete a folder that still may be."""
    again = _judged(found.run, older_than)
    if again.kept is not None:
        found.kept = again.kept
        return
    with _held(found.run) as free:
        if not free:
            found.kept = "another process uses it"
            return
        shutil.rmtree(found.run.path)
    found.deleted = True
    with contextlib.suppress(OSError):  # other runs of the project are there
        found.run.path.parent.rmdir()


def _tell(found: list[_Found]) -> None:
    rows = [(one.run.path, size(one.size), f"keep: {one.kept}" if one.kept else "delete") for one in found]
    if rows:
        console().print(table("", ("run", ">size", "what happens"), rows))
    else:
        say("no runs here")


def _document(one: _Found) -> dict[str, object]:
    return {"path": str(one.run.path), "bytes": one.size, "kept": one.kept, "deleted": one.deleted}
