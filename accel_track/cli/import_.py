"""`accel-track import`: runs of other libraries become runs like any other."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from accel_track.cli import _place
from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    console,
    existing,
    fail,
    here,
    one_line_errors,
    print_json,
    say,
    table,
    when,
)
from accel_track.errors import AccelTrackError
from accel_track.progress import progress_bar
from accel_track.texts import clean, counted, printable

if TYPE_CHECKING:
    from accel_track.importers.importer import Imported, Importer
    from accel_track.importers.source import Source
    from accel_track.trackers.backend_run import BackendRun

Places = Annotated[
    list[str], typer.Argument(metavar="PATH", help="Where runs are: a directory, a file, or a server's address.")
]
Kind = Annotated[
    str | None,
    typer.Option("--from", metavar="KIND", help="The kind of source, such as wandb; by default told by its content."),
]
Project = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Project of the runs; by default the source's, else its directory's name."),
]
Into = Annotated[
    Path | None,
    typer.Option(
        "--into",
        metavar="DIR",
        parser=here,
        help="Logging directory that gets the runs. By default the working directory, or that of -C.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Import anew the runs that have changed since an earlier import.")]


class Taken(NamedTuple):
    """The result for one run of a place, or for a place as a whole.

    Attributes:
        place: The place.
        source: Name of the source; "" if none was found.
        id: The run's name in the source; "" for the place as a whole.
        what: What became of the run; None if an error kept it from being imported.
        error: The error; "" for none.
    """

    place: str
    source: str
    id: str
    what: Imported | None
    error: str = ""

    @property
    def complete(self) -> bool:
        """Whether the run is there with all that the source has."""
        return self.what is not None and self.what.state not in ("failed", "changed") and not self.what.lost


def import_(
    places: Places,
    kind: Kind = None,
    project: Project = None,
    into: Into = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Setting of the source, such as step=epoch. May be repeated."),
    ] = None,
    again: Again = False,
    dry_run: Annotated[bool, typer.Option("-n", "--dry-run", help="List the runs, and import none.")] = False,
    as_json: Json = False,
) -> None:
    """Import runs that other libraries have logged. A second import adds nothing.

    What cannot be imported is counted; the rest is imported all the same, and the exit code is 1.

    Example: accel-track import wandb --into runs
    """
    with one_line_errors():
        sources = found(places, kind, options(set_ or []))
        if dry_run:
            complete = _list(sources, as_json=as_json)
        else:
            taken = list(imported(sources, project, into, again=again, quiet=as_json))
            complete = all(one.complete for one in taken)
            if as_json:
                print_json([document(one) for one in taken])
            else:
                _sum_up(taken)
    if not complete:
        raise typer.Exit(code=INCOMPLETE)


def options(texts: Sequence[str]) -> dict[str, str]:
    """Return the source's settings by name."""
    for text in texts:
        if not text.partition("=")[1] or not text.partition("=")[0]:
            fail(f"--set {text}: write NAME=VALUE, such as step=iteration")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def found(places: Sequence[str], kind: str | None, options: dict[str, str]) -> list[Source]:
    """Return the sources that places are; exits if one is none, before anything is imported.

    Raises:
        typer.Exit: A place is of no known source, or does not exist.
    """
    from accel_track.importers.registry import source_at

    result = []
    for place in places:
        where = place if "://" in place and not place.startswith("file:") else os.path.abspath(existing(place))
        try:
            result.append(source_at(where, options, kind))
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            fail(_text(error))
    return result


def imported(
    sources: Sequence[Source], project: str | None, into: Path | None, *, again: bool, quiet: bool
) -> Iterator[Taken]:
    """Import the runs of sources one by one, and yield what became of each; unless quiet, say it, too."""
    from accel_track.importers.importer import Importer

    importer = Importer(_place.place() if into is None else into, project, again=again)
    for source in sources:
        for run, error in _runs(source):
            one = Taken(source.place, source.name, "", None, error) if run is None else _taken(importer, source, run)
            if not quiet:
                _tell(one)
            yield one


def _runs(source: Source) -> Iterator[tuple[BackendRun | None, str]]:
    """Yield a source's runs, and what keeps it from yielding more, if something does."""
    runs, none = source.runs(), True
    while True:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what SDKs print is not our output
                run = next(runs, None)
        except Exception as error:  # noqa: BLE001 - a reader of somebody else's files may meet anything
            yield None, _text(error)
            return
        if run is None:
            break
        yield run, ""
        none = False
    if none:
        yield None, "there are no runs"


def _taken(importer: Importer, source: Source, run: BackendRun) -> Taken:
    with contextlib.redirect_stdout(sys.stderr), progress_bar() as bars:
        task = bars.add_task(f"importing {escaped(run)}", total=run.total)
        try:
            what = importer.take(source, run, lambda count: bars.update(task, completed=count))
        except (AccelTrackError, OSError) as error:
            return Taken(source.place, source.name, run.id, None, _text(error))
    return Taken(source.place, source.name, run.id, what)


def escaped(run: BackendRun) -> str:
    """Return a run's name as rich prints it."""
    from rich.markup import escape

    return escape(printable(run.name or run.id))


_STATES = {
    "imported": "imported",
    "there": "there already",
    "changed": "there already, and the source has changed since; --again imports it anew",
    "replaced": "imported anew, in place of the earlier copy",
    "failed": "not imported",
}


def _tell(one: Taken) -> None:
    """Tell the result for a run, and its losses."""
    what = one.what
    if what is None or what.info is None:
        say(f"{one.id or one.place}: not imported: {one.error or (what.error if what else '')}")
    else:
        say(f"{what.info.run_id} {what.info.name}: {count(what.values)}, {_STATES[what.state]}")
    for sentence, times in what.lost.items() if what else ():
        say(f"  lost: {times} {sentence}")


def count(values: int) -> str:
    """Return a number of values as people read it."""
    return f"{values:,} value{'' if values == 1 else 's'}"


def _sum_up(taken: Sequence[Taken]) -> None:
    """Print the table of the runs that are there, and how many of all are whole."""
    rows = [
        (one.what.info.project, one.what.info.name, one.what.info.run_id, f"{one.what.values:,}", one.what.lost.total())
        for one in taken
        if one.what is not None and one.what.info is not None
    ]
    if rows:
        console().print(table("", ("project", "name", "run id", ">values", ">lost"), rows))
    new = sum(one.what is not None and one.what.state in ("imported", "replaced") for one in taken)
    whole = sum(one.complete for one in taken)
    say(f"{new} of {counted(len(taken), 'run')} imported now; {whole} complete")


def document(one: Taken) -> dict[str, Any]:
    """Return the result for a run as JSON values."""
    what = one.what
    told: dict[str, Any] = {"place": clean(one.place), "source": one.source, "id": one.id, "error": one.error or None}
    if what is None:
        return {**told, "state": "failed", "path": None, "values": 0, "lost": {}}
    told |= {"state": what.state, "values": what.values, "lost": dict(what.lost), "error": what.error or None}
    if what.info is None or what.directory is None:
        return {**told, "path": None}
    names = {name: getattr(what.info, name) for name in ("run_id", "project", "name", "created", "status")}
    return {**told, "path": str(what.directory.path), **names}


def _list(sources: Sequence[Source], *, as_json: bool) -> bool:
    """List the runs of sources; say whether all could be listed."""
    rows = [(source, run, error) for source in sources for run, error in _runs(source)]
    if as_json:
        print_json([_listed(source, run, error) for source, run, error in rows])
    else:
        cells = [
            (source.name, run.project or "", run.name or "", run.id, when(run.created) if run.created else "")
            for source, run, _ in rows
            if run
        ]
        console().print(table("", ("source", "project", "name", "id", "created (UTC)"), cells))
        for source, run, error in rows:
            if run is None:
                say(f"{source.place}: {error}", err=True)
    return all(run is not None for _, run, _ in rows)


def _listed(source: Source, run: BackendRun | None, error: str) -> dict[str, Any]:
    told = {"place": clean(source.place), "source": source.name, "error": error or None}
    return told | {name: getattr(run, name, None) for name in ("id", "project", "name", "created", "total")}


def _text(error: Exception) -> str:
    return " ".join(clean(error).split()) or type(error).__name__
