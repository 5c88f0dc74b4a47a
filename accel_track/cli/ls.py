"""`accel-track ls`: the runs in a folder."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    check_plain,
    console,
    ending,
    existing,
    one_line_errors,
    print_json,
    say,
    table,
    when,
)
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.mirror.addresses import mirrored_at
from accel_track.texts import clean, printable


def ls(
    directory: Annotated[str, typer.Argument(metavar="[DIR]", help="Folder to look in, or the URL of a mirror.")] = ".",
    as_json: Json = False,
) -> None:
    """List the runs below a folder: their names, their status, and what is pending for each tracker.

    Example: accel-track ls runs
    """
    with one_line_errors():
        from accel_track.mirror.runs import mirrored_runs  # here, since the store's package may be large

        url = mirrored_at(directory)
        runs = find_runs(existing(directory)) if url is None else mirrored_runs(url)
        found = [_described(run) for run in runs]
        if as_json:
            print_json(found)
        elif not found:
            say(f"no runs below {clean(directory)}")
        else:
            columns = ("project", "run id", "name", "status", "created (UTC)", ">records", "delivery")
            console().print(table("", columns, map(_row, found)))
        for one in found:
            if one["error"] is not None and not as_json:
                say(f"{one['path']}: {one['error']}", err=True)
    if any(one["error"] is not None for one in found):
        raise typer.Exit(code=INCOMPLETE)


def _described(run: RunDirectory) -> dict[str, Any]:
    from accel_track.delivery.status import records, status_of
    from accel_track.mirror.runs import MirroredRun

    described: dict[str, Any] = dict.fromkeys(
        ("project", "run_id", "name", "status", "reason", "created", "records", "trackers")
    )
    described.update({"path": str(run.path), "run_id": run.path.name, "status": "damaged", "error": None})
    try:
        if isinstance(run, MirroredRun):
            described["path"] = run.shown
            run.refresh(media=False)
        check_plain(run)
        info = run.load()
        described.update({"project": info.project, "run_id": info.run_id, "name": info.name, "created": info.created})
        logged = records(run)
        described["records"] = sum(logged.values())
        described["trackers"] = {name: status_of(run, name, logged).counts for name in info.trackers}
        described.update(ending(run, info))
    except (ValueError, OSError, OverflowError) as error:
        described["error"] = " ".join(str(error).split())
    return described


def _row(one: dict[str, Any]) -> list[str]:
    trackers = one["trackers"] or {}
    delivery = ", ".join(
        f"{printable(name)}: {counts['pending']} pending" if counts["pending"] else printable(name)
        for name, counts in trackers.items()
    )
    created = "" if one["created"] is None else when(one["created"])
    records = "" if one["records"] is None else str(one["records"])
    return [one["project"] or "", one["run_id"], one["name"] or "", one["status"], created, records, delivery]
