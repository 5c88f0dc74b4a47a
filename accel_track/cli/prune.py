"""`accel-track prune`: the deletion of run directories whose records are all delivered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from accel_track.cli._common import (
    INCOMPLETE,
    DirArgument,
    Json,
    console,
    one_line_errors,
    print_json,
    say,
    size,
    table,
)
from accel_track.cli._place import place
from accel_track.delivery.pruning import delete, finish_deletions, kept_because, leads_elsewhere, size_and_time
from accel_track.journal.directory import RunDirectory, find_runs, find_stores
from accel_track.journal.plain import check_plain

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
    directory: DirArgument = None,
    older_than: Annotated[
        float,
        typer.Option("--older-than", metavar="DAYS", min=0, help="Keep runs that were touched within so many days."),
    ] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Say what would be deleted, and delete nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask first.")] = False,
    as_json: Json = False,
) -> None:
    """Delete the run directories of runs that have ended and that all their trackers have in full.

    A run is kept if it goes on, has pending or quarantined records, has no tracker, or none for a rank, has a mirror
    that lacks something, or is damaged.

    Example: accel-track prune runs --older-than 90 --dry-run
    """
    directory = place() if directory is None else directory
    with one_line_errors():
        found = [_judged(run, older_than) for run in find_runs(directory)]
        _finish(directory, dry_run=dry_run)
        going = [one for one in found if one.kept is None]
        if not as_json:
            _tell(found)
        if going and not dry_run:
            total = size(sum(one.size for one in going))
            question = f"Delete {len(going)} run{'s' * (len(going) > 1)} ({total})?"
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


def _finish(directory: Path, *, dry_run: bool) -> None:
    """Delete the remains of a process that was killed while it deleted runs."""
    for store in () if dry_run else find_stores(directory):
        finish_deletions(store)


def _judged(run: RunDirectory, older_than: float) -> _Found:
    found = _Found(run)
    try:
        found.kept = leads_elsewhere(run)
        if found.kept is None:
            check_plain(run)
            found.size, touched = size_and_time(run.path)
            found.kept = kept_because(run) or (
                None if time.time() - touched >= older_than * _DAY else f"touched within {older_than:g} days"
            )
    except (ValueError, OSError, OverflowError) as error:
        found.kept, found.damaged = " ".join(str(error).split()), True
    return found


def _delete(found: _Found, older_than: float) -> None:
    """Delete a run directory, if nothing that happened meanwhile keeps it."""
    again = _judged(found.run, older_than)
    if again.kept is not None:
        found.kept = again.kept
        return
    found.deleted = delete(found.run)
    if not found.deleted:
        found.kept = "another process uses it"


def _tell(found: list[_Found]) -> None:
    rows = [
        (one.run.path.name, one.run.path.parent.name, size(one.size), f"keep: {one.kept}" if one.kept else "delete")
        for one in found
    ]
    if rows:
        console().print(table("", ("run", "project", ">size", "what happens"), rows))
    else:
        say("no runs here")


def _document(one: _Found) -> dict[str, object]:
    return {
        "path": str(one.run.path),
        "run_id": one.run.path.name,
        "bytes": one.size,
        "kept": one.kept,
        "deleted": one.deleted,
    }
