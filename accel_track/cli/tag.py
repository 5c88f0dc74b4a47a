"""`accel-track tag`: labels of runs."""

from __future__ import annotations

from typing import Annotated

import typer

from accel_track.cli._common import Json, OwnRunsArgument, fail, find_own, one_line_errors, print_json, say
from accel_track.journal.info import RunInfo

_LONGEST = 64


def tag(
    run: OwnRunsArgument,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="TAG", help="Tags to add; without any, the run's tags are shown.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove these tags instead of adding them.")] = False,
    as_json: Json = False,
) -> None:
    """Label runs with tags, for ls --tag. Backends do not get them.

    Example: accel-track tag 3f9a2c paper baseline
    """
    wanted = _checked(tags or [])

    def change(info: RunInfo) -> None:
        info.tags = (
            [one for one in info.tags if one not in wanted] if remove else list(dict.fromkeys([*info.tags, *wanted]))
        )

    with one_line_errors():
        infos = [(one, one.update(change) if wanted else one.load()) for one in find_own([run])]
        if as_json:
            print_json([{"path": str(one.path), "run_id": info.run_id, "tags": info.tags} for one, info in infos])
        else:
            for _, info in infos:
                say(f"{info.run_id}: {', '.join(info.tags) or 'no tags'}")


def _checked(tags: list[str]) -> list[str]:
    """Return labels that can stand in a list; exits where one cannot."""
    for one in tags:
        if not one.strip() or not one.isprintable() or "," in one or len(one) > _LONGEST:
            fail(f"{one[:_LONGEST]!r} is no tag: a tag has 1 to {_LONGEST} printable characters, and no comma.")
    return [one.strip() for one in tags]
