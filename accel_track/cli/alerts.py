"""`accel-track alerts`: what a run has raised alerts about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from accel_track.cli._common import Json, RunArgument, console, find_run, one_line_errors, print_json, say, table, when

if TYPE_CHECKING:
    from rich.table import Table


def alerts(run: RunArgument, as_json: Json = False) -> None:
    """List the alerts of a run: those that its program raised, and those that rules raised.

    Example: accel-track alerts 3f9a2c
    """
    with one_line_errors():
        from accel_track.views.content import Content

        content = Content(find_run(run), wanted=lambda _: False)
        content.update()
        if as_json:
            print_json(content.alerts)
        elif content.alerts:
            console().print(alerts_table(content.alerts))
        else:
            say("no alerts")


def alerts_table(found: Iterable[Mapping[str, Any]]) -> Table:
    """Return a table of alerts as `Content` has them."""
    rows = ((when(one["time"]), one["level"], one["title"], one["text"]) for one in found)
    return table("alerts", ("time (UTC)", "level", "alert", "text"), rows)
