"""`accel-track note`: what people have to say about a run."""

from __future__ import annotations

from typing import Annotated

import typer

from accel_track.cli._common import Json, OwnRunsArgument, find_own, one_line_errors, print_json, say
from accel_track.journal.info import RunInfo
from accel_track.texts import storable_text


def note(
    run: OwnRunsArgument,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="The note, in place of an earlier one; '' removes it. Without a text, the note is shown.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a note on a run, or show it. Backends do not get it.

    Example: accel-track note 3f9a2c "diverged after the learning rate was raised"
    """

    def change(info: RunInfo) -> None:
        info.note = storable_text(text or "")

    with one_line_errors():
        infos = [(one, one.load() if text is None else one.update(change)) for one in find_own([run])]
        if as_json:
            print_json([{"path": str(one.path), "run_id": info.run_id, "note": info.note} for one, info in infos])
        else:
            for _, info in infos:
                say(f"{info.run_id}: {info.note or 'nothing is noted'}")
