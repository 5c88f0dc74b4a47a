"""`accel-track verify`: a check of a run's journals, media and cursors, and of what backends have of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    RunArgument,
    console,
    fail,
    find_run,
    one_line_errors,
    print_json,
    say,
    table,
)
from accel_track.cli._receipts import (
    check_names,
    compared,
    given_arguments,
    repair_document,
    repairs,
    tell_of_repair,
)
from accel_track.delivery.artifacts import problem
from accel_track.delivery.staging import FOLDER
from accel_track.errors import JournalError
from accel_track.journal import frames
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import JournalReader, segments
from accel_track.media import folder as folders
from accel_track.media import sums
from accel_track.records import Artifact, Metrics, media_in

_SHOWN = 20


def verify(
    run: RunArgument,
    against: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Also compare with what this backend has. May be repeated.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Deliver what the backends lack, and compare again.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME.KEY=VALUE", help="Constructor argument of a tracker. May be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check all of a run for damage: its records, media and artifacts, and how far each tracker is.

    With --against, also read a backend back, and compare its values, media, artifacts and hyperparameters with the
    journal. --repair then delivers what is missing there, and nothing else.

    Example: accel-track verify 3f9a2c --against mlflow --repair
    """
    names, arguments = against or [], given_arguments(set_ or [])
    if repair and not names:
        fail("--repair: name the backend with --against.")
    with one_line_errors():
        if names or arguments:
            check_names({"--against": names, "--set": arguments})
        if unused := [name for name in arguments if name not in names]:
            fail(f"--set: nothing is compared with {unused[0]!r}; add --against {unused[0]}.")
        found = find_run(run)
        ranks = [_rank(found, rank) for rank in found.ranks()]
        problems = _problems(found, ranks)
        document: dict[str, Any] = {"path": str(found.path), "ok": not problems, "problems": problems, "ranks": ranks}
        if not as_json:
            _tell(found, ranks, problems)
        look = _repaired if repair else compared
        whole = look(found, names, arguments, document, quiet=as_json) if names else True
        if as_json:
            print_json(document)
    if problems or not whole:
        raise typer.Exit(code=INCOMPLETE)


def _tell(run: RunDirectory, ranks: list[dict[str, Any]], problems: list[str]) -> None:
    columns = (">rank", ">segments", ">records", ">missing", ">damaged", ">torn", ">media", ">artifacts")
    console().print(table(run.shown, columns, map(_row, ranks)))
    for note in [note for rank in ranks for note in rank["notes"]][:_SHOWN]:
        say(note)
    for one in problems[:_SHOWN]:
        say(one)
    if len(problems) > _SHOWN:
        say(f"… and {len(problems) - _SHOWN} more; --json lists all")
    say("damaged" if problems else "everything is there and undamaged")


def _repaired(
    run: RunDirectory,
    names: list[str],
    arguments: dict[str, dict[str, Any]],
    document: dict[str, Any],
    *,
    quiet: bool,
) -> bool:
    """Deliver to backends what they lack, and say whether they have all of it then."""
    document["receipts"], whole = [], True
    for done in repairs(run, names, arguments):
        whole = whole and done.after.whole and done.error is None
        document["receipts"].append(repair_document(done))
        if not quiet:
            tell_of_repair(done)
    return whole


def _rank(run: RunDirectory, rank: int) -> dict[str, Any]:
    reader = JournalReader(run.rank(rank))
    records, expected, error = 0, 0, None
    gaps: list[tuple[int, int]] = []
    repeated = 0
    files: set[str] = set()
    artifacts: list[Artifact] = []
    try:
        for record in reader:
            records += 1
            if isinstance(record, Artifact):
                artifacts.append(record)
            elif isinstance(record, Metrics):
                files.update(one.file for one in media_in(record.values) if one.file)
            if record.seq > expected:
                gaps.append((expected, record.seq - 1))
            elif record.seq < expected:
                repeated += 1
            expected = max(expected, record.seq + 1)
    except (JournalError, OSError) as problem:
        error = " ".join(str(problem).split())
    damaged, notes = _stored(run.rank(rank), files, artifacts)
    return {
        "rank": rank,
        "segments": len(segments(run.rank(rank))),
        "records": records,
        "next_seq": expected,
        "damages": [damage._asdict() for damage in reader.damages],
        "torn_bytes": reader.torn,
        "headless": reader.torn > frames.HEADER.size and reader.position.offset == 0,
        "gaps": gaps,
        "repeated": repeated,
        "error": error,
        "media_files": len(files),
        "artifacts": len(artifacts),
        "media_problems": damaged,
        "notes": [f"rank {rank}: {note}" for note in notes],
    }


def _stored(folder: Path, files: set[str], artifacts: list[Artifact]) -> tuple[list[str], list[str]]:
    """Return the problems of a rank's media and artifacts, of those kept there and of those elsewhere."""
    notes: list[str] = []
    known = sums.known(folder / FOLDER)
    found = ((name, folders.problem(folder / FOLDER, name, known)) for name in sorted(files))
    damaged = [f"{FOLDER}/{name}: {why}" for name, why in found if why is not None]
    for one in artifacts:
        if (why := problem(folder, one, known)) is not None:
            elsewhere = os.path.isabs(one.path)
            (notes if elsewhere else damaged).append(f"the artifact {one.name or one.path!r}, {one.path}: {why}")
    return damaged, notes


def _problems(run: RunDirectory, ranks: list[dict[str, Any]]) -> list[str]:
    from accel_track.journal import cursor as cursors

    problems = list(run.lacking)
    try:
        run.load()
    except JournalError as error:
        problems.append(" ".join(str(error).split()))
    problems += [] if ranks else [f"there is no journal: the folder {run.rank().name} is missing"]
    for one in ranks:
        where = f"rank {one['rank']}"
        if one["error"]:
            problems.append(f"{where}: {one['error']}")
        problems += [
            f"{where}: {damage['segment']}: {damage['length']} damaged bytes from byte {damage['offset']}"
            for damage in one["damages"]
        ]
        problems += [f"{where}: records {first} to {last} are missing" for first, last in one["gaps"]]
        problems += [f"{where}: {text}" for text in one["media_problems"]]
        if one["headless"]:
            problems.append(f"{where}: the last segment has no header and no record")
        if one["repeated"]:
            problems.append(f"{where}: {one['repeated']} records have a number that another had before")
        for path in sorted((run.rank(one["rank"]) / "cursors").glob("*.json")):
            try:
                cursor = cursors.load(path)
            except JournalError as error:  # noqa: PERF203 - the next cursor is looked at all the same
                problems.append(" ".join(str(error).split()))
            else:
                if cursor.seq > one["next_seq"] and not one["error"]:
                    problems.append(f"{where}: {path} is beyond the end of the journal")
    return problems


def _row(one: dict[str, Any]) -> list[object]:
    damaged = sum(damage["length"] for damage in one["damages"])
    missing = sum(last - first + 1 for first, last in one["gaps"])
    counts = [one["rank"], one["segments"], one["records"], missing, damaged, one["torn_bytes"]]
    return [*counts, one["media_files"], one["artifacts"]]
