"""`accel-track move`: the import of runs and their delivery to other backends, in one command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_track.cli._common import INCOMPLETE, Json, console, fail, one_line_errors, print_json, say, table
from accel_track.cli._delivering import delivered, status_document
from accel_track.cli._receipts import check_names, compared, given_arguments
from accel_track.cli.import_ import Again, Into, Kind, Places, Project, Taken, document, found, imported, options

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus


def move(
    places: Places,
    to: Annotated[list[str], typer.Option(metavar="NAME", help="Backend that gets the runs. May be repeated.")],
    kind: Kind = None,
    project: Project = None,
    into: Into = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME[.KEY]=VALUE",
            help="Setting of the source, or, with NAME.KEY, constructor argument of a tracker. May be repeated.",
        ),
    ] = None,
    again: Again = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Then read the backends back, and compare them with what was imported.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait while a backend takes nothing.")
    ] = 600.0,
    as_json: Json = False,
) -> None:
    """Import runs of other libraries and deliver them to backends: import and sync in one.

    Example: accel-track move wandb --to mlflow --set mlflow.tracking_uri=http://localhost:5000
    """
    given = set_ or []
    of_trackers = [text for text in given if "." in text.partition("=")[0]]
    with one_line_errors():
        from accel_track.delivery.sync import Sync

        arguments = given_arguments(of_trackers)
        check_names({"--to": to, "--set": arguments})
        if unused := [name for name in arguments if name not in to]:
            fail(f"--set: nothing is delivered to {unused[0]!r}; add --to {unused[0]}.")
        sources = found(places, kind, options([text for text in given if text not in of_trackers]))
        taken = list(imported(sources, project, into, again=again, quiet=as_json))
        arrived: list[tuple[Taken, list[TrackerStatus]]] = []
        for one in taken:
            if one.what is not None and one.what.directory is not None:
                sync = Sync(one.what.directory, to, arguments)
                arrived.append((one, delivered(sync, follow=False, timeout=timeout)))
                if sync.stopped:
                    break
        documents = {id(one): {**document(one), "trackers": list(map(status_document, some))} for one, some in arrived}
        if not as_json:
            _sum_up(arrived)
        complete = all(one.complete for one in taken) and len(arrived) == len(taken)
        complete = complete and all(status.complete for _, some in arrived for status in some)
        for one, _ in arrived if verify else ():
            complete = _verified(one, to, arguments, documents[id(one)], as_json=as_json) and complete
        if as_json:
            print_json([documents.get(id(one), {**document(one), "trackers": []}) for one in taken])
    if not complete:
        raise typer.Exit(code=INCOMPLETE)


def _verified(
    one: Taken, to: Sequence[str], arguments: dict[str, dict[str, Any]], document: dict[str, Any], *, as_json: bool
) -> bool:
    """Compare the backends with what was imported, and say whether they have all of it."""
    assert one.what is not None  # noqa: S101 - it was delivered
    assert one.what.directory is not None  # noqa: S101 - as above
    title = f"{one.what.info.name if one.what.info else one.id}:"
    return compared(one.what.directory, to, arguments, document, quiet=as_json, title=title)


def _sum_up(arrived: Sequence[tuple[Taken, Sequence[TrackerStatus]]]) -> None:
    """Print what arrived, and what keeps the rest."""
    rows, notes = [], []
    for one, statuses in arrived:
        for status in statuses:
            name = str(one.what.info.name) if one.what is not None and one.what.info is not None else ""
            dropped = sum(status.dropped.values()) + status.unkept
            counts = (status.delivered, status.pending, status.quarantined + status.not_replayable, dropped)
            rows.append((name, status.name, *(f"{count:,}" for count in counts)))
            why = status.obstacle or status.error
            notes += [f"{name}, {status.name}: {why}"] if why else []
    if rows:
        columns = ("run", "backend", ">records delivered", ">pending", ">quarantined", ">values dropped")
        console().print(table("what arrived", columns, rows))
    for note in notes:
        say(note)
