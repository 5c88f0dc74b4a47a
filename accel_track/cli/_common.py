"""The common parts of the commands: finding the run, clean output, one line for each error."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeGuard

import typer

from accel_track.cli._completion import complete_run
from accel_track.cli._lines import Shape, fitted
from accel_track.cli._place import place
from accel_track.cli._times import age
from accel_track.errors import AccelTrackError, AccelTrackWarning
from accel_track.folders import expanded
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.plain import check_plain
from accel_track.mirror.addresses import mirrored_at
from accel_track.records import Stored, WithoutForm
from accel_track.texts import printable
from accel_track.values.arrays import is_array
from accel_track.views.naming import Named, is_pattern, matching, meant, near_names, short_ids

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from accel_track.journal.info import RunInfo

INCOMPLETE, UNUSABLE, UNREAD = 1, 2, 141
"""Exit codes. The last one is what a shell tells of a program that SIGPIPE has ended."""

_SHOWN = 20
"""The number of problems of a mirrored run, or of runs that a word may mean, that are listed."""

_WIDE = 250
"""Columns of an output that is no terminal's."""

_LONG = 10_000
"""Bits of an integer that is shown in base 16: Python refuses to convert much longer ones to base 10."""

EPILOG = (
    "Exit codes: 0 fine; 1 something is undelivered, damaged or failed; 2 bad arguments, or a run that cannot be read."
)


def here(text: str) -> Path:
    """Return a path of this machine, expanded as the front doors' folders are.

    Raises:
        typer.BadParameter: The path is on another file system, or a variable in it is not set.
    """
    try:
        return Path(expanded(text, "path"))
    except ValueError as error:
        raise typer.BadParameter(printable(str(error))) from None


def existing(text: str) -> Path:
    """Return an existing path of this machine.

    Raises:
        typer.BadParameter: As `here`, or the path does not exist.
    """
    if not (path := here(text)).exists():
        message = f"{printable(str(path))!r} does not exist."
        raise typer.BadParameter(message)
    return path


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
_DIR = "By default the working directory, or that of -C."
DirArgument = Annotated[
    Path | None,
    typer.Argument(metavar="DIR", parser=existing, help=f"Where to look for runs. {_DIR}"),
]
RUN = "its path, its id or a part of the id, NAME, PROJECT/NAME, latest, latest:PROJECT, @2, or its URL in a mirror."
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", autocompletion=complete_run, help=f"The run: {RUN}", show_default=False)
]
RunsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN", autocompletion=complete_run, help=f"Each run: {RUN} A pattern such as 'sweep-*' means several."
    ),
]
OwnRunsArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", autocompletion=complete_run, help=f"The run: {RUN} A pattern such as 'sweep-*' means several."
    ),
]


def lacks_letters(stream: object) -> TypeGuard[io.TextIOWrapper]:
    """Return whether an output has an encoding in which not every text can be written, and could have another one."""
    return isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8"


def say(text: str, *, err: bool = False) -> None:
    """Print a line, cleaned."""
    typer.echo(printable(text), err=err)


def fail(message: str) -> NoReturn:
    """Print a line to the standard error output and exit with code 2.

    Raises:
        typer.Exit: Always.
    """
    say(f"accel-track: {message}", err=True)
    raise typer.Exit(code=UNUSABLE)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the errors that a damaged or hostile run causes into one line and exit code 2, and warnings into lines."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        say(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", AccelTrackWarning)
        warnings.showwarning = show
        try:
            yield
        except BrokenPipeError:  # such as `| head`: nobody reads on, and the interpreter's last flush must not say so
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(code=UNREAD) from None
        except (AccelTrackError, OSError, OverflowError, RecursionError, ValueError) as error:
            fail(" ".join(str(error).split()) or type(error).__name__)


def find_run(text: str) -> RunDirectory:
    """Return the run directory that a word means, checked by `check_plain`.

    It is the URL of a mirrored run, the path of a run directory, or what `accel_track.views.naming.meant` knows of the
    runs below the logging directory.

    Raises:
        typer.Exit: There is no such run, or more than one.
        JournalError: The run directory holds something that does not belong in one.
    """
    if (url := mirrored_at(text)) is not None:
        mirrored = _fetched(url)
        if len(mirrored) != 1:
            fail(f"{text} holds {len(mirrored)} runs; `accel-track ls {text}` shows them, write one's URL.")
        return mirrored[0]
    found = _found(text)
    if len(found) > 1:
        _tell_candidates(text, found)
    check_plain(found[0].run)
    return found[0].run


def find_all(text: str) -> Sequence[RunDirectory]:
    """Return the run directory that `find_run` does; of a pattern such as `sweep-*` all, oldest first, of a mirror all.

    Raises:
        typer.Exit: There is none.
        JournalError: A run directory holds something that does not belong in one.
    """
    if (url := mirrored_at(text)) is not None:
        return _fetched(url)
    if not is_pattern(text):
        return [find_run(text)]
    runs = [one.run for one in reversed(_found(text))]
    for run in runs:
        check_plain(run)
    return runs


def find_own(texts: Iterable[str]) -> list[RunDirectory]:
    """Return the run directories of this machine that words mean, each once; none is fetched from a mirror.

    Raises:
        typer.Exit: There is no such run, it is in a mirror, or a word that is no pattern means more than one.
        JournalError: A run directory holds something that does not belong in one.
    """
    found: dict[Path, RunDirectory] = {}
    for text in texts:
        if mirrored_at(text) is not None:
            fail(f"{text} is in a mirror; change a run in the logging directory that it comes from.")
        found.update({run.path.absolute(): run for run in find_all(text)})
    return list(found.values())


def _found(text: str) -> list[Named]:
    """Return the runs of this machine that a word may mean; exits if there is none."""
    path = here(text)
    for one in (path, place() / path):
        if text.strip() and one.is_dir() and ((one / "run.json").exists() or RunDirectory(one).ranks()):
            return [Named.of(RunDirectory(one))]
    runs = list(find_runs(place()))
    found = meant(text, runs)
    if not found and is_pattern(text):
        found = matching(text, runs)
    if not found and path.is_dir() and text.strip():
        fail(f"{text} is not a run directory; `accel-track ls {text}` shows the runs below it.")
    if not found:
        below = "the working directory" if place() == Path() else str(place())
        if not runs:
            fail(f"there is no run below {below}; -C DIR or ACCEL_TRACK_DIR names another directory.")
        hint = f"; near it is {' or '.join(near)}" if (near := near_names(text, runs)) else ""
        fail(f"there is no run {text!r} below {below}{hint}; `accel-track ls` shows the runs.")
    return found


def _tell_candidates(text: str, found: Sequence[Named]) -> NoReturn:
    """Print the runs that an ambiguous word may mean, and exit."""
    say(f"accel-track: {text!r} may be any of {len(found)} runs; write more of it, or one of these:", err=True)
    short, now = short_ids([one.id for one in found]), time.time()
    same = len({one.id for one in found}) < len(found)
    rows = [
        (str(one.run.path) if same else short[one.id], one.project, one.name or "", f"{age(now - one.created)} ago")
        for one in found[:_SHOWN]
    ]
    for line in fitted([Shape("run"), *map(Shape, ("project", "name", "age"))], rows, _WIDE):
        say(f"  {line}", err=True)
    if len(found) > _SHOWN:
        say(f"  … and {len(found) - _SHOWN} more", err=True)
    raise typer.Exit(code=UNUSABLE)


def _fetched(url: str, *, media: bool = True) -> list[RunDirectory]:
    """Return the runs of a mirror, brought up to date."""
    from accel_track.mirror.runs import mirrored_runs
    from accel_track.texts import clean

    found: list[RunDirectory] = []
    for run in mirrored_runs(url):
        run.refresh(media=media)
        for problem in run.lacking[:_SHOWN]:
            say(f"warning: {run.shown}: {problem}", err=True)
        check_plain(run)
        found.append(run)
    if not found:
        fail(f"there is no run in {clean(url)}.")
    return found


def when(seconds: float) -> str:
    """Return a point of time in UTC as text, or "?" for a number beyond the calendar."""
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "?"


def ending(run: RunDirectory, info: RunInfo) -> dict[str, str | None]:
    """Return `status`, "running" or how the run ended, and `reason`."""
    outcome = run.outcome(info)
    return {"status": "running", "reason": None} if outcome is None else outcome._asdict()


def jsonable(value: Any) -> Any:  # noqa: PLR0911 - one line per kind of value
    """Return a logged value as JSON has it: NaN and ±inf as "NaN", "Infinity" and "-Infinity"."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if is_array(value):
        return jsonable(value.tolist())
    if isinstance(value, WithoutForm):
        return {"without_form": value.what}
    if isinstance(value, Stored):
        return {"medium": value.kind, "file": value.file, "info": jsonable(value.info)}
    if isinstance(value, int) and value.bit_length() > _LONG:
        return hex(value)
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def print_json(document: Any) -> None:
    """Print one JSON document, in ASCII, so that nothing in it reaches a terminal raw."""
    typer.echo(json.dumps(jsonable(document), indent=2))


def shown(value: Any) -> str:
    """Return a value as short text."""
    text = f"{value:.6g}" if isinstance(value, float) else str(jsonable(value))
    return text if len(text) <= 80 else text[:77] + "…"  # noqa: PLR2004


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table of cleaned texts; columns whose name begins with ">" are justified to the right."""
    from rich.table import Table
    from rich.text import Text

    result = Table(title=Text(printable(title)) if title else None, title_justify="left")
    for column in columns:
        result.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        result.add_row(*(Text(printable(cell)) for cell in row))
    return result


def console() -> Console:
    """Return the standard output as rich prints on it; without a terminal, lines are not broken."""
    from rich.console import Console

    class PipedConsole(Console):
        def on_broken_pipe(self) -> None:  # rich exits with code 1
            raise BrokenPipeError

    return PipedConsole(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE)


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def module_missing(command: str, modules: Iterable[str], requirement: str) -> None:
    """Exit with code 2, and with the install command, if a module is missing.

    Raises:
        typer.Exit: A module is missing.
    """
    from importlib.util import find_spec

    from accel_track.trackers.installing import install_command

    if missing := [module for module in modules if find_spec(module) is None]:
        fail(f"{command}: missing {', '.join(missing)}; {install_command(requirement)}")
