"""`accel-track rename`: another name for a run."""

from __future__ import annotations

from typing import Annotated

import typer

from accel_track.cli._common import Json, RunArgument, fail, find_own, one_line_errors, print_json, say
from accel_track.values.plain import check_name


def rename(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name, which no other run of the project has.")],
    as_json: Json = False,
) -> None:
    """Give a run another name in its project, on this machine.

    Backends that have the run, and a program that is logging to it, keep the earlier name; backends that get the run
    for the first time get the new one.

    Example: accel-track rename 3f9a2c baseline
    """
    with one_line_errors():
        found, *others = find_own([run])
        if others:
            fail(f"{run!r} fits {len(others) + 1} runs; name one.")
        before = found.load().name
        info = found.rename(check_name(name, "NAME"))
        if as_json:
            print_json({"path": str(found.path), "run_id": info.run_id, "before": before, "name": info.name})
            return
        say(f"{info.run_id}: {before or 'no name'} -> {info.name}")
        if found.is_live():
            say(f"the program that logs to it goes on as {before}", err=True)
        if info.trackers:
            say(f"{', '.join(info.trackers)}: what is there already keeps its name", err=True)
