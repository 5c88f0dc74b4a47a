"""Receipts on the command line: the comparison with backends, for `verify --against` and `sync --verify`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accel_track.cli._common import fail, say
from accel_track.progress import progress_bar
from accel_track.texts import counted, printable

if TYPE_CHECKING:
    from accel_track.delivery.receipt import Receipt
    from accel_track.delivery.repair import Repair
    from accel_track.journal.directory import RunDirectory

_WIDE = 250
"""Columns of an output that is no terminal's."""


def given_arguments(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the constructor arguments that `--set` gives, by tracker name; exit with code 2 where they are none."""
    result: dict[str, dict[str, Any]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        name, dot, key = left.partition(".")
        if not (equals and dot and name and key):
            fail(f"--set {text}: write NAME.KEY=VALUE, such as mlflow.tracking_uri=http://localhost:5000")
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        result.setdefault(name, {})[key] = parsed
    return result


def check_names(options: Mapping[str, Iterable[str]]) -> None:
    """Exit with code 2 where an option names a tracker that nobody knows."""
    from accel_track.registry import known_names

    for option, names in options.items():
        if unknown := [name for name in names if name not in known_names()]:
            fail(f"{option}: unknown tracker {unknown[0]!r}; known are {', '.join(known_names())}.")


def receipts(run: RunDirectory, names: Sequence[str], arguments: Mapping[str, Mapping[str, Any]]) -> Iterator[Receipt]:
    """Yield a receipt for each tracker.

    Raises:
        JournalError: The run directory is damaged.
        OSError: It cannot be read.
    """
    from accel_track.delivery.receipt import compare

    for name in dict.fromkeys(names):
        with _reading(name):
            receipt = compare(run, name, arguments.get(name, {}))
        yield receipt


def repairs(run: RunDirectory, names: Sequence[str], arguments: Mapping[str, Mapping[str, Any]]) -> Iterator[Repair]:
    """Repair the backend run of each tracker, and yield what was done.

    Raises:
        JournalError: The run directory is damaged.
        OSError: It cannot be read or written to.
    """
    from accel_track.delivery.repair import repair

    for name in dict.fromkeys(names):
        with _reading(name):
            done = repair(run, name, arguments.get(name, {}))
        yield done


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Show on a terminal that a backend is being read; what SDKs print is not our output."""
    from rich.markup import escape

    with contextlib.redirect_stdout(sys.stderr), progress_bar() as bars:
        bars.add_task(f"comparing with {escape(printable(name))}", total=None)
        yield


def tell(receipt: Receipt) -> None:
    """Print a receipt, its lines broken where the terminal ends."""
    terminal = sys.stdout.isatty() or "COLUMNS" in os.environ
    width = shutil.get_terminal_size().columns if terminal else _WIDE
    for line in receipt.lines():
        for part in textwrap.wrap(line, width, subsequent_indent="    ", break_on_hyphens=False):
            say(part)


def compared(
    run: RunDirectory,
    names: Sequence[str],
    arguments: Mapping[str, Mapping[str, Any]],
    document: dict[str, Any],
    *,
    quiet: bool,
    title: str = "",
) -> bool:
    """Compare backends with a run, print the receipts and note them in a document; say whether all is there.

    Args:
        run: The run.
        names: The trackers' names.
        arguments: Constructor arguments by name.
        document: What JSON shows of the run; gets `receipts`.
        quiet: Whether nothing is printed.
        title: A line before each receipt; "" for none.
    """
    found = []
    for receipt in receipts(run, names, arguments):
        found.append(receipt)
        if not quiet:
            if title:
                say(title)
            tell(receipt)
    document["receipts"] = [receipt.document() for receipt in found]
    return all(receipt.whole for receipt in found)


def tell_of_repair(done: Repair) -> None:
    """Print the result of a repair, and the receipt after it."""
    if done.delivered or done.error:
        tell(done.before)
        text = f"  repaired: {counted(done.delivered, 'record')}, or parts of some, delivered"
        say(f"{text}; stopped by: {done.error}" if done.error else text)
    tell(done.after)
    after = done.after
    if after.error is not None:
        anew = f"`accel-track sync RUN --to {after.name} --from-start`"
        say(f"  not repaired: if the backend's run is gone, {anew} delivers everything to a new one")
    if any(tally.missing.count or tally.differing.count for tally in after.tallies) and done.error is None:
        say(f"  not repaired: {after.name} does not take what is left, or has something else in its place for good")
    if any(tally.extra.count for tally in after.tallies):
        say("  not repaired: what is there beside; nothing is deleted from a backend")


def repair_document(done: Repair) -> dict[str, Any]:
    """Return the result as JSON values."""
    told = {"delivered": done.delivered, "error": done.error, "before": done.before.document()}
    return {**done.after.document(), "repair": told}
