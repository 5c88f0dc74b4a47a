"""`accel-track sync`: the delivery of pending records, also to backends that the run never had."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_track.cli._common import INCOMPLETE, Json, RunsArgument, fail, find_all, one_line_errors, print_json, say
from accel_track.cli._delivering import delivered, status_document
from accel_track.cli._receipts import check_names, compared, given_arguments
from accel_track.texts import counted

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.delivery.sync import Sync
    from accel_track.rules import Rules


def sync(
    runs: RunsArgument,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Deliver only to this backend, which may be new. May be repeated."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until the run has ended; with a mirror, until Ctrl-C.")
    ] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Make a new backend run, with everything from the first record.")
    ] = False,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="Rename values, such as 'val_*=eval/*'. May be repeated."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Deliver only values and artifacts whose names fit. May be repeated."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Leave out values and artifacts whose names fit. May be repeated."),
    ] = None,
    every: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Deliver the first value of each name in N steps.")
    ] = None,
    quarantined: Annotated[
        bool,
        typer.Option("--quarantined", "--refused", help="Also deliver quarantined records, once each."),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Then read the backends back, and compare them with the journal.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("-n", "--dry-run", help="Only say what would be delivered.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME.KEY=VALUE", help="Constructor argument of a tracker. May be repeated."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait while a backend takes nothing.")
    ] = 600.0,
    as_json: Json = False,
) -> None:
    """Deliver the pending records of runs, to their own backends or to new ones. A second sync adds nothing.

    Example: accel-track sync 3f9a2c --to mlflow --set mlflow.tracking_uri=http://localhost:5000
    """
    arguments = given_arguments(set_ or [])
    rules = _rules(to, map_, only, drop, every)
    documents: list[dict[str, Any]] = []
    complete = True
    with one_line_errors():
        check_names({"--to": to or [], "--set": arguments})
        if follow and not dry_run:
            _follow_mirror(runs, to or [], arguments, rules, timeout, from_start=from_start, again=quarantined)
        found = _deliveries(runs, to or [], arguments, rules, from_start=from_start, again=quarantined)
        _check_used(found, arguments)
        _check_rules(found)
        for one in found:
            statuses = _planned(one) if dry_run else delivered(one, follow=follow, timeout=timeout)
            complete = complete and (dry_run or (not one.run.lacking and all(status.complete for status in statuses)))
            documents.append({"path": one.run.shown, "trackers": [status_document(status) for status in statuses]})
            if not as_json:
                _tell(one, statuses, dry_run=dry_run)
            if one.stopped:
                complete = False
                break
            if not dry_run:
                whole = not verify or compared(one.run, one.names, arguments, documents[-1], quiet=as_json)
                complete = _finish_mirror(one) and whole and complete
        if as_json:
            print_json(documents)
    if not complete:
        raise typer.Exit(code=INCOMPLETE)


def _follow_mirror(
    runs: Sequence[str],
    to: Sequence[str],
    arguments: dict[str, dict[str, Any]],
    rules: Rules | None,
    timeout: float,
    *,
    from_start: bool,
    again: bool,
) -> None:
    """Follow the runs of a mirror and exit, if a mirror is what was given."""
    from accel_track.cli._follow import follow_mirror, only_mirror
    from accel_track.delivery.sync import Sync

    if (url := only_mirror(runs)) is None:
        return
    if from_start:
        fail("--from-start does not go with --follow for a mirror; deliver once with it first.")
    deliver = partial(Sync, to=to, arguments=arguments, again=again, rules=rules, leaves_open=True)
    with contextlib.redirect_stdout(sys.stderr):
        complete = follow_mirror(url, deliver, timeout)
    raise typer.Exit(code=0 if complete else INCOMPLETE)


def _deliveries(
    runs: Sequence[str],
    to: Sequence[str],
    arguments: dict[str, dict[str, Any]],
    rules: Rules | None,
    *,
    from_start: bool,
    again: bool,
) -> list[Sync]:
    from accel_track.delivery.sync import Sync  # here, so that other commands do not import all trackers' modules
    from accel_track.mirror.runs import MirroredRun

    return [
        Sync(run, to, arguments, from_start, again, rules, leaves_open=isinstance(run, MirroredRun))
        for text in runs
        for run in find_all(text)
    ]


def _finish_mirror(one: Sync) -> bool:
    from accel_track.cli._follow import finish_mirror

    return finish_mirror(one.run)


def _rules(
    to: Sequence[str] | None,
    names: Sequence[str] | None,
    only: Sequence[str] | None,
    drop: Sequence[str] | None,
    every: int | None,
) -> Rules | None:
    """Return the rules that options give; None without any."""
    if not (names or only or drop or every):
        return None
    if not to:
        fail("--map, --only, --drop, --every: they go with --to, which says whose rules they are.")
    from accel_track.rules import Rules

    new = {old: name for old, _, name in (one.partition("=") for one in names or [])}
    if wrong := [old for old, name in new.items() if not (old and name)]:
        fail(f"--map {wrong[0]}: write OLD=NEW, such as val_*=eval/*")
    try:
        return Rules.of({"map": new, "only": only or [], "drop": drop or [], "every": every or 1})
    except ValueError as error:
        fail(f"--map, --only, --drop, --every: {error}")


def _check_used(found: Sequence[Sync], arguments: dict[str, dict[str, Any]]) -> None:
    names = {name for one in found for name in one.names}
    if unused := [name for name in arguments if name not in names]:
        fail(f"--set: nothing is delivered to {unused[0]!r}; add --to {unused[0]}.")


def _check_rules(found: Sequence[Sync]) -> None:
    for one in found:
        for name in one.names:
            if one.rules is not None and (rules := one.rules_of(name)) != one.rules:
                fail(f"{name}: its delivery began with other rules ({rules}); --from-start delivers all anew by these.")


def _planned(one: Sync) -> list[TrackerStatus]:
    return [one.status(name) for name in one.names]


def _tell(one: Sync, statuses: Sequence[TrackerStatus], *, dry_run: bool) -> None:
    say(f"{one.run.shown}:" if statuses else f"{one.run.shown}: the run has no trackers; name one with --to.")
    for status in statuses:
        if dry_run and status.obstacle is None:
            count = status.pending + (status.quarantined if one.again else 0)
            with_ = f" with {json.dumps(one.kwargs(status.name))}" if count and one.kwargs(status.name) else ""
            by = f", by its rules: {rules}" if (rules := one.rules_of(status.name)) else ""
            say(f"  {status.name}: {counted(count, 'record')} would be delivered{with_}{by}")
        else:
            say(f"  {status}")
            if (rules := one.rules_of(status.name)) and not status.obstacle:
                say(f"    by its rules: {rules}")
        if status.url and not dry_run:
            say(f"    {status.url}")
