"""`accel-track export`: a run's records as CSV, Parquet or JSON lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple

import msgspec
import typer

from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    RunArgument,
    fail,
    find_run,
    here,
    jsonable,
    lacks_letters,
    module_missing,
    one_line_errors,
    print_json,
    say,
)
from accel_track.cli._media import MediaFiles
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import History, JournalReader
from accel_track.progress import progress_bar
from accel_track.records import AnyRecord, Metrics, Stored, media_in
from accel_track.texts import printable
from accel_track.values.plain import leaves

_ROW_GROUP = 50_000
"""Rows of a Parquet file's row group, which is what is in memory at once."""


class Format(str, Enum):
    """The formats of `export`."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"


class _Row(NamedTuple):
    rank: int
    seq: int
    time: float
    step: int | None
    name: str
    value: bool | int | float | str


class _Records:
    """The records of all ranks, counted and checked for damage while they are read."""

    def __init__(self, run: RunDirectory, tell: Callable[[int], None], files: MediaFiles | None) -> None:
        self.count = 0
        self.damaged = 0
        self.without_files = 0
        self.without_rows = 0
        self.files = files
        self._run = run
        self._tell = tell

    def __iter__(self) -> Iterator[tuple[int, AnyRecord]]:
        for rank in self._run.ranks():
            history, reader = History(self._run.rank(rank)), JournalReader(self._run.rank(rank))
            for record in filter(history.counts, reader):
                self.count += 1
                if self.count % 1000 == 0:
                    self._tell(self.count)
                yield rank, record
            self.damaged += reader.damaged()

    def rows(self) -> Iterator[_Row]:
        """Yield every number and text of metrics, and the paths of media where they are written."""
        for rank, record in self:
            if isinstance(record, Metrics):
                for name, value in leaves(record.values):
                    if isinstance(value, (bool, int, float, str)):
                        yield _Row(rank, record.seq, record.time, record.step, name, value)
                    else:
                        for path in self._media(rank, record, name, value):
                            yield _Row(rank, record.seq, record.time, record.step, name, path)

    def _media(self, rank: int, record: Metrics, name: str, value: Any) -> Iterator[str]:
        several, found = not isinstance(value, Stored), list(media_in(value))
        self.without_rows += not found
        for place, one in enumerate(found):
            if self.files is None:
                self.without_files += 1
            elif (path := self.files.write(rank, record, name, one, place if several else None)) is not None:
                yield path

    def with_paths(self, rank: int, record: AnyRecord) -> Any:
        """Return a record's values, the path of each medium beside it where media are written."""
        if self.files is None or not isinstance(record, Metrics):
            return record.values

        def pathed(name: str, value: Any, place: int | None = None) -> Any:
            if isinstance(value, Stored):
                path = self.files.write(rank, record, name, value, place)  # type: ignore[union-attr] # as above
                return {**jsonable(value), "path": path}
            if isinstance(value, dict):
                return {key: pathed(f"{name}/{key}" if name else str(key), one) for key, one in value.items()}
            if isinstance(value, (list, tuple)):
                return [pathed(name, one, place) for place, one in enumerate(value)]
            return value

        return pathed("", record.values)


def export(
    run: RunArgument,
    format_: Annotated[
        Format,
        typer.Option("--format", help="csv and parquet have a row for each value, jsonl a line for each record."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=here,
            help="File to write; by default, csv and jsonl are printed.",
        ),
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            parser=here,
            help="Also write the media, to an empty folder, as <name>/<step>.png and so on.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's records as CSV, Parquet or JSON lines.

    Where the run went back to an earlier step, the values that it had logged from that step on are left out.

    Example: accel-track export 3f9a2c --format csv --output run.csv --media run.media
    """
    _check(format_, output, media, as_json=as_json)
    write = {Format.CSV: _csv, Format.JSONL: _jsonl}.get(format_)
    with one_line_errors():
        found = find_run(run)
        files = None if media is None else MediaFiles(found, media, Path() if output is None else output.parent)
        if output is None:
            records = _Records(found, lambda _: None, files)
            if lacks_letters(sys.stdout) and not sys.stdout.isatty():
                sys.stdout.reconfigure(encoding="utf-8")  # as a file of --output is
            write(records, sys.stdout)  # type: ignore[misc]
        else:
            records = _to_file(found, output, write, files)
        if as_json:
            counts = {"records": records.count, "damaged_bytes": records.damaged}
            counts["values_left_out"] = records.without_rows
            written = {} if files is None else {"media": files.count, "media_lacking": files.lacking}
            print_json({"output": str(output), "format": format_.value, **counts, **written})
        elif output is not None:
            say(f"{output}: {records.count:,} record{'s' * (records.count != 1)}")
    _tell_of(records)


def _check(format_: Format, output: Path | None, media: Path | None, *, as_json: bool) -> None:
    if output is None and format_ is Format.PARQUET:
        fail("--format parquet is binary; give a file with --output.")
    if output is None and as_json:
        fail("--json describes the file that --output names; give one.")
    if format_ is Format.PARQUET:
        module_missing("export", ["pyarrow"], "pyarrow")
    if media is not None and media.exists() and (not media.is_dir() or any(media.iterdir())):
        fail(f"{media} is there already; give a new or empty folder with --media.")


def _tell_of(records: _Records) -> None:
    """Tell the parts that are left out.

    Raises:
        typer.Exit: Something is damaged.
    """
    lacking = 0 if records.files is None else records.files.lacking
    if records.without_files:
        one = records.without_files == 1
        some = "1 medium is" if one else f"{records.without_files:,} media are"
        say(f"{some} left out; --media FOLDER writes {'it' if one else 'them'}", err=True)
    if records.without_rows:
        one = records.without_rows == 1
        some = "1 value is" if one else f"{records.without_rows:,} values are"
        say(f"{some} left out, as neither a number nor a text; --format jsonl has {'it' if one else 'them'}", err=True)
    if records.damaged:
        say(f"warning: {records.damaged} bytes of the journal are damaged and left out", err=True)
    if lacking:
        say(f"warning: {lacking} media are missing or damaged; see `accel-track verify`", err=True)
    if records.damaged or lacking:
        raise typer.Exit(code=INCOMPLETE)


def _to_file(
    run: RunDirectory, output: Path, write: Callable[[_Records, IO[str]], None] | None, files: MediaFiles | None
) -> _Records:
    from accel_track.delivery.status import records

    with progress_bar() as bars:
        task = bars.add_task("exporting", total=sum(records(run).values()))
        result = _Records(run, lambda count: bars.update(task, completed=count), files)
        if write is None:
            _parquet(result, output)
        else:
            with output.open("w", encoding="utf-8", newline="") as file:
                write(result, file)
    return result


def _csv(records: _Records, file: IO[str]) -> None:
    terminal = file.isatty()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_Row._fields)
    for row in records.rows():
        value = row.value if isinstance(row.value, float) else jsonable(row.value)
        cells = (*row[:4], printable(row.name), printable(value)) if terminal else (*row[:5], value)
        writer.writerow(cells)


def _jsonl(records: _Records, file: IO[str]) -> None:
    for rank, record in records:
        fields = msgspec.structs.asdict(record)
        form = {"rank": rank, "seq": fields.pop("seq"), "time": fields.pop("time")}
        form["kind"] = record.__struct_config__.tag
        del fields["values"]
        kwargs = fields.pop("kwargs", {})
        form |= {**fields, "values": records.with_paths(rank, record)} | ({"kwargs": kwargs} if kwargs else {})
        file.write(json.dumps(jsonable(form)) + "\n")


def _parquet(records: _Records, output: Path) -> None:
    """Write numbers and texts into two columns, since a Parquet column has one type."""
    import pyarrow as pa
    from pyarrow import parquet

    fields = [("rank", pa.int32()), ("seq", pa.int64()), ("time", pa.float64()), ("step", pa.int64())]
    schema = pa.schema([*fields, ("name", pa.string()), ("value", pa.float64()), ("text", pa.string())])
    rows = records.rows()
    with parquet.ParquetWriter(output, schema) as writer:
        while group := list(islice(rows, _ROW_GROUP)):
            columns = list(zip(*(_with_text(row) for row in group), strict=True))
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _with_text(row: _Row) -> tuple[Any, ...]:
    text = isinstance(row.value, str)
    return (*row[:5], None if text else _as_float(row.value), row.value if text else None)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
