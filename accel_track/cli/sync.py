"""`accel-track sync`: the delivery of pending records, also to backends that the run never had."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_track.cli._common import INCOMPLETE, Json, fail, find_all, one_line_errors, print_json, say
from accel_track.cli._receipts import check_names, given_arguments, receipts, tell
from accel_track.progress import progress_bar
from accel_track.texts import printable

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.delivery.sync import Job, Sync
    from accel_track.rules import Rules


def sync(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Run directories, ids (or their beginnings) of runs, or URLs of mirrors."
        ),
    ],
    to: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Deliver to this backend only; it may be a new one.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the run has ended; with a mirror's runs, until Ctrl-C.")
    ] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin a new backend run with the first record.")
    ] = False,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="Other names by patterns, such as val_*=eval/*."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Deliver values and artifacts of these names only.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Leave out values and artifacts of these names.")
    ] = None,
    every: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of each name, one value in N steps, the first.")
    ] = None,
    quarantined: Annotated[
        bool,
        typer.Option("--quarantined", "--refused", help="Deliver quarantined records, too, once each."),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Then read the backends back, and compare them with the journal.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be delivered.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME.KEY=VALUE", help="Constructor argument of a tracker: JSON, else text."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a backend while nothing gets through.")
    ] = 600.0,
    as_json: Json = False,
) -> None:
    """Deliver the pending records of runs, also to backends that the runs never had. A second time adds nothing.

    Example: accel-track sync 20260131 --to mlflow --set mlflow.tracking_uri=http://localhost:5000
    """
    arguments = given_arguments(set_ or [])
    rules = _rules(to, map_, only, drop, every)
    documents: list[dict[str, Any]] = []
    complete = True
    with one_line_errors():
        from accel_track.cli._follow import finish_mirror, follow_mirror, only_mirror
        from accel_track.delivery.sync import Sync  # here, so that other commands do not import all trackers' modules
        from accel_track.mirror.runs import MirroredRun

        check_names({"--to": to or [], "--set": arguments})
        deliver = partial(Sync, to=to or [], arguments=arguments, again=quarantined, rules=rules, leaves_open=True)
        if follow and not dry_run and (url := only_mirror(runs)) is not None:
            if from_start:
                fail("--from-start does not go with --follow for a mirror; deliver once with it first.")
            with contextlib.redirect_stdout(sys.stderr):
                complete = follow_mirror(url, deliver, timeout)
            raise typer.Exit(code=0 if complete else INCOMPLETE)
        all_runs = [run for text in runs for run in find_all(text)]
        found = [Sync(run, to or [], arguments, from_start, quarantined, rules) for run in all_runs]
        for one in found:
            one.leaves_open = isinstance(one.run, MirroredRun)
        _check_used(found, arguments)
        _check_rules(found)
        for one in found:
            statuses = _planned(one) if dry_run else _delivered(one, follow=follow, timeout=timeout)
            complete = complete and (dry_run or (not one.run.lacking and all(status.complete for status in statuses)))
            documents.append({"run": one.run.shown, "trackers": [_document(status) for status in statuses]})
            if not as_json:
                _tell(one, statuses, dry_run=dry_run)
            if one.stopped:
                complete = False
                break
            if verify and not dry_run:
                whole = _verified(one, documents[-1], as_json=as_json)
                complete = complete and whole
            if not dry_run:
                complete = finish_mirror(one.run) and complete
        if as_json:
            print_json(documents)
    if not complete:
        raise typer.Exit(code=INCOMPLETE)


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

    new = dict(one.partition("=")[::2] for one in names or [])
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


def _delivered(one: Sync, *, follow: bool, timeout: float) -> list[TrackerStatus]:
    with contextlib.redirect_stdout(sys.stderr), _bars(follow=follow) as watch:  # what SDKs print is not our output
        return one.deliver(follow=follow, timeout=timeout, watch=watch)


@contextlib.contextmanager
def _bars(*, follow: bool) -> Iterator[Callable[[Sequence[Job]], None]]:
    """Yield a function that shows the workers' progress on a terminal."""
    if follow and not sys.stderr.isatty():
        say("following the run until it ends; Ctrl-C stops", err=True)
    with progress_bar() as bars:
        tasks: dict[str, Any] = {}

        def watch(jobs: Sequence[Job]) -> None:
            for job in jobs:
                if job.name not in tasks:
                    from rich.markup import escape

                    tasks[job.name] = bars.add_task(f"delivering to {escape(printable(job.name))}")
                bars.update(tasks[job.name], completed=job.worker.cursor.seq, total=job.records())

        yield watch


def _verified(one: Sync, document: dict[str, Any], *, as_json: bool) -> bool:
    """Compare the backends with the journal, and say whether they have all of it."""
    found = []
    for receipt in receipts(one.run, one.names, one.arguments):
        found.append(receipt)
        if not as_json:
            tell(receipt)
    document["receipts"] = [receipt.document() for receipt in found]
    return all(receipt.whole for receipt in found)


def _tell(one: Sync, statuses: Sequence[TrackerStatus], *, dry_run: bool) -> None:
    say(f"{one.run.shown}:" if statuses else f"{one.run.shown}: the run has no trackers; name one with --to.")
    for status in statuses:
        if dry_run and status.obstacle is None:
            count = status.pending + (status.quarantined if one.again else 0)
            with_ = f" with {json.dumps(one.kwargs(status.name))}" if count and one.kwargs(status.name) else ""
            by = f", by its rules: {rules}" if (rules := one.rules_of(status.name)) else ""
            say(f"  {status.name}: {count} records would be delivered{with_}{by}")
        else:
            say(f"  {status}")
            if (rules := one.rules_of(status.name)) and not status.obstacle:
                say(f"    by its rules: {rules}")
        if status.url and not dry_run:
            say(f"    {status.url}")


def _document(status: TrackerStatus) -> dict[str, Any]:
    told = {**asdict(status), "complete": status.complete}
    return {name: value for name, value in told.items() if name not in ("under_way", "lag")}  # those are a live run's
