"""`accel-track rm`: the deletion of runs that a user names."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import typer

from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    RunsArgument,
    find_own,
    one_line_errors,
    print_json,
    say,
    size,
)
from accel_track.delivery.pruning import delete, leads_elsewhere, size_and_time, undelivered
from accel_track.errors import JournalError
from accel_track.journal.directory import RunDirectory


class _Going(NamedTuple):
    """A run that is to go.

    Attributes:
        run: The run.
        title: What it is called.
        size: Bytes of its folder.
        delivered: Whether it has trackers, and these have all of it but for what is lost.
    lost: What its trackers or its mirror do not have, or None.
        kept: Why it cannot be deleted, or None.
    """

    run: RunDirectory
    title: str
    size: int
    delivered: bool
    lost: str | None
    kept: str | None


def rm(
    runs: RunsArgument,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask first.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also delete runs with pending records or damage, but no running run."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete runs from this machine. What backends and mirrors have of them stays there.

    A running run is kept. A run with records that a tracker or its mirror does not have is deleted only after a second
    question, or with --force.

    Example: accel-track rm 3f9a2c 'sweep-*'
    """
    with one_line_errors():
        found = [_judged(run) for run in find_own(runs)]
        going = [one for one in found if one.kept is None]
        if not as_json:
            for one in found:
                say(f"{one.title}: {_what(one)}", err=True)
        total = size(sum(one.size for one in going))
        if going and not yes:
            typer.confirm(f"Delete {len(going)} run{'s' * (len(going) > 1)} ({total})?", abort=True, err=True)
        told = {id(one): one.kept or _deleted(one, yes=yes, force=force) for one in found}
        if as_json:
            print_json([_document(one, told[id(one)]) for one in found])
        else:
            for one in found:
                say(f"{one.title}: {'kept: ' + str(told[id(one)]) if told[id(one)] else 'deleted'}")
    if any(told.values()):
        raise typer.Exit(code=INCOMPLETE)


def _judged(run: RunDirectory) -> _Going:
    delivered = False
    try:
        info = run.load()
        delivered = bool(info.trackers)
        title = f"{info.run_id} ({info.project}/{info.name})" if info.name else f"{info.run_id} ({info.project})"
        lost = undelivered(run, info)
    except (JournalError, OSError) as error:
        title, lost = run.path.name, f"it is damaged: {' '.join(str(error).split())}"
    kept = "it is running; end it first" if run.is_live() else leads_elsewhere(run)
    return _Going(run, title, size_and_time(run.path)[0], delivered, lost, kept)


def _what(one: _Going) -> str:
    """Return what is about to happen to a run."""
    if one.kept is not None:
        return f"stays: {one.kept}"
    return f"{size(one.size)}; {one.lost or ('all is delivered' if one.delivered else 'no backend has it')}"


def _deleted(one: _Going, *, yes: bool, force: bool) -> str | None:
    """Delete a run; return why it was kept, or None."""
    if one.lost is not None and not force:
        if yes:
            return f"{one.lost.rstrip('.')}; --force deletes it all the same"
        if not typer.confirm(f"{one.title}: {one.lost.rstrip('.')}. Delete it all the same?", err=True):
            return one.lost
    if one.run.is_live():
        return "it is running; end it first"
    return None if delete(one.run) else "another process uses it"


def _document(one: _Going, kept: str | None) -> dict[str, object]:
    return {
        "path": str(one.run.path),
        "run_id": one.run.path.name,
        "bytes": one.size,
        "kept": kept,
        "deleted": not kept,
    }
