"""`accel-track verify`: a check of a run's journals, media and cursors for damage and gaps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    RunArgument,
    console,
    find_run,
    one_line_errors,
    print_json,
    say,
    table,
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


def verify(run: RunArgument, as_json: Json = False) -> None:
    """Check a run's journals, media and cursors: damaged bytes, missing record numbers, files and their checksums.

    An unfinished last record is what a killed process leaves, and no damage. That a file outside of the run directory
    is not what was logged is told, and no damage either.

    Example: accel-track verify 20260131
    """
    with one_line_errors():
        found = find_run(run)
        ranks = [_rank(found, rank) for rank in found.ranks()]
        problems = _problems(found, ranks)
        if as_json:
            print_json({"path": str(found.path), "ok": not problems, "problems": problems, "ranks": ranks})
        else:
            columns = (">rank", ">segments", ">records", ">damaged bytes", ">unfinished bytes", ">missing records")
            console().print(table(str(found.path), (*columns, ">media files", ">artifacts"), map(_row, ranks)))
            for note in [note for one in ranks for note in one["notes"]][:_SHOWN]:
                say(note)
            for problem in problems[:_SHOWN]:
                say(problem)
            if len(problems) > _SHOWN:
                say(f"… and {len(problems) - _SHOWN} more; --json lists all")
            say("damaged" if problems else "everything is there and undamaged")
    if problems:
        raise typer.Exit(code=INCOMPLETE)


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
    """Return what is wrong with the media and artifacts of a rank: with those kept there, and with those elsewhere."""
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
    counts = [one["rank"], one["segments"], one["records"], damaged, one["torn_bytes"], missing]
    return [*counts, one["media_files"], one["artifacts"]]
