"""`accel-track ls`: the runs in a folder."""

from __future__ import annotations

import contextlib
import difflib
import time
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args

import typer

from accel_track.cli._common import INCOMPLETE, Json, existing, fail, one_line_errors, print_json, say
from accel_track.cli._lines import between_tabs, fitted, has_colours, is_terminal, terminal_width
from accel_track.cli._list import TITLES, description, full, in_short, shapes
from accel_track.cli._place import place
from accel_track.cli._times import since as moment
from accel_track.journal.directory import find_runs
from accel_track.mirror.addresses import mirrored_at
from accel_track.outcome import Status
from accel_track.progress import progress_bar
from accel_track.texts import clean
from accel_track.views.listing.columns import FIELDS, Column, hyperparameter, metric, named
from accel_track.views.listing.conditions import Comparison, conditions

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from accel_track.journal.directory import RunDirectory
    from accel_track.views.listing.runs import Listed

_LONG = 2.0
"""Seconds after which the reading of runs has a progress bar."""

_STATUSES = ("running", *get_args(Status), "damaged")


def ls(
    directory: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR",
            help="Where to look: a directory or the URL of a mirror. By default the working directory, or that of -C.",
        ),
    ] = None,
    project: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only runs of this project, which may be a pattern. May be repeated."),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help=f"Only runs of this status: {', '.join(_STATUSES)}. May be repeated."),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="Only runs that have this tag. If repeated, runs that have all of them."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only runs that began since: 1w, 2d, 12h or 90m ago, or 2026-01-31 or 2026-01-31T12:00.",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION", help="Only runs that fulfil a condition such as 'val/acc > 0.9 and lr <= 1e-3'."
        ),
    ] = None,
    metric_: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME[:WHICH]",
            help="Add a column: the last, min or max value of a metric, such as val/acc:max. May be repeated.",
        ),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Add a column: a hyperparameter, such as lr or optimizer/lr. May be repeated.",
        ),
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help="Sort by this column, the largest last; with - in front, first.")
    ] = "created",
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Show the last N lines only.")] = None,
    utc: Annotated[bool, typer.Option("--utc", help="Show times in UTC instead of local time.")] = False,
    as_json: Json = False,
) -> None:
    """List the runs below a directory, one per line, the newest last.

    Lines fit the terminal; piped, fields are whole and separated by tabs.

    Example: accel-track ls --project digits --metric val/acc:max --sort val/acc:max --limit 10
    """
    extra = [*map(metric, metric_ or []), *map(hyperparameter, config or [])]
    chosen = _Choice.of(project, status, tag, since, where)
    order = named(sort.removeprefix("-"))
    needs = any(one.needs_values for one in (*extra, order, *(one.column for one in chosen.conditions)))
    with one_line_errors():
        everything = _listed(directory, values=needs)
        now = time.time()
        rows = [one for one in everything if chosen.has(one, now)]
        rows = _sorted(rows, order, now, backwards=sort.startswith("-"))[-(limit or len(rows)) :]
        columns = [order, *extra, *(one.column for one in chosen.conditions)]
        _warn_of_unknown(everything, columns, now)
        if as_json:
            print_json([description(one, extra, now) for one in rows])
        elif not everything:
            say(f"no runs below {clean(place() if directory is None else directory)}")
        else:
            _print(rows, extra, now, utc=utc)
        damaged = [one for one in rows if one.summary.error is not None]
        for one in damaged:
            if not as_json:
                say(f"{one.run.path}: {one.summary.error}", err=True)
    if damaged:
        raise typer.Exit(code=INCOMPLETE)


class _Choice(NamedTuple):
    """Which runs are wanted."""

    projects: Sequence[str]
    statuses: Sequence[str]
    tags: frozenset[str]
    since: float | None
    conditions: Sequence[Comparison]

    @classmethod
    def of(
        cls,
        project: list[str] | None,
        status: list[str] | None,
        tag: list[str] | None,
        since: str | None,
        where: str | None,
    ) -> _Choice:
        """Return the meaning of the options; an option without a meaning here ends the command."""
        if unknown := [one for one in status or [] if one not in _STATUSES]:
            fail(f"--status {unknown[0]}: there is no such status; known are {', '.join(_STATUSES)}.")
        try:
            comparisons = [] if where is None else conditions(where)
        except ValueError as error:
            fail(f"--where: {error}.")
        begun = None if since is None else moment(since)
        return cls(project or [], status or [], frozenset(tag or []), begun, comparisons)

    def has(self, row: Listed, now: float) -> bool:
        """Return whether a run is wanted."""
        one = row.summary
        return (
            (not self.projects or any(fnmatchcase(one.project or "", pattern) for pattern in self.projects))
            and (not self.statuses or one.status in self.statuses)
            and self.tags <= set(one.tags)
            and (self.since is None or (one.created is not None and one.created >= self.since))
            and all(comparison.holds(row, now) for comparison in self.conditions)
        )


def _listed(directory: str | None, *, values: bool) -> list[Listed]:
    """Return the runs below a directory or in a mirror."""
    from accel_track.views.listing.runs import listed

    runs: list[RunDirectory]
    if directory is not None and (url := mirrored_at(directory)) is not None:
        from accel_track.mirror.runs import mirrored_runs  # here, since the store's package may be large

        runs = list(mirrored_runs(url))
    else:
        runs = list(find_runs(place() if directory is None else existing(directory)))
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        update: list[Callable[[int], None]] = []

        def tell(done: int) -> None:
            if not update and time.monotonic() - begin > _LONG:
                bars = stack.enter_context(progress_bar())
                update.append(partial(_advance, bars, bars.add_task("reading runs", total=len(runs))))
            for one in update:
                one(done)

        return listed(runs, values=values, tell=tell)


def _advance(bars: Progress, task: TaskID, done: int) -> None:
    bars.update(task, completed=done)


def _sorted(rows: Iterable[Listed], order: Column, now: float, *, backwards: bool) -> list[Listed]:
    """Return rows by a column: those without a value, then numbers, then texts; equal ones by their beginnings."""

    def key(row: Listed) -> tuple[Any, ...]:
        value = order.get(row, now)
        is_there = value is not None and value == value  # noqa: PLR0124 - NaN is not
        return (True, isinstance(value, str), value) if is_there else (False,)

    by_age = sorted(rows, key=lambda row: (row.summary.created or 0.0, str(row.run.path)))
    return sorted(by_age, key=key, reverse=backwards)


def _warn_of_unknown(rows: Sequence[Listed], columns: Sequence[Column], now: float) -> None:
    """Tell the names that no run has, and similar names."""
    for column in {one.title: one for one in columns if one.needs_values}.values():
        if rows and all(column.get(row, now) is None for row in rows):
            known = {name for row in rows for name in (*row.values.metrics, *row.values.config)} | FIELDS.keys()
            near = difflib.get_close_matches(column.title, known, n=3, cutoff=0.4)
            hint = f"; there is {', '.join(near)}" if near else ""
            say(f"no run has {column.title!r}{hint}", err=True)


def _print(rows: Sequence[Listed], extra: Sequence[Column], now: float, *, utc: bool) -> None:
    if is_terminal():
        lines = fitted(
            shapes(rows, extra, now),
            [in_short(row, extra, now, utc=utc) for row in rows],
            terminal_width(),
            colours=has_colours(),
        )
    else:
        cells = [full(row, extra, now, utc=utc) for row in rows]
        lines = between_tabs([*TITLES, *(one.title for one in extra)], cells)
    for line in lines:
        typer.echo(line)
