"""Run the benchmarks: `python -m benchmarks`; `--help` shows what else there is."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._case import ROOT, SCRIPTS, Case, cases
from benchmarks._report import as_json, from_json, goals_table, table, write
from benchmarks._runner import run_all

DATA, DOCS = ROOT / "benchmarks", ROOT / "docs"


def selected(only: Sequence[str], *, short: bool) -> list[Case]:
    """Return the cases to run.

    Args:
        only: Scripts, or scripts with words that a case's name must hold; empty for all.
        short: Whether the quick ones are enough, where no words are given.

    Raises:
        ValueError: There is no such script or case.
    """
    found: list[Case] = []
    for text in only or SCRIPTS:
        name, _, words = text.partition(":")
        if name not in SCRIPTS:
            message = f"no script {name!r}; there are: {', '.join(SCRIPTS)}"
            raise ValueError(message)
        fitting = [case for case in cases(name) if words in case.name and (words or case.quick or not short)]
        if not fitting:
            message = f"no case of {name} has {words!r} in its name"
            raise ValueError(message)
        found += [case for case in fitting if case not in found]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the tables, write what was asked for; return 1 if a payload was not complete or a case failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What logging costs, side by side.")
    parser.add_argument("--short", action="store_true", help="a few calls of a few cases, to see that all of it works")
    parser.add_argument("--only", action="append", default=[], metavar="SCRIPT[:WORDS]", help=", ".join(SCRIPTS))
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help="default: 3, with --short 1")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: benchmarks and docs, of all cases")
    parser.add_argument(
        "--page", action="store_true", help="only write the page and the charts again, from the JSON file"
    )
    given = parser.parse_args(arguments)
    folders = (given.output, given.output) if given.output else (DATA, DOCS)
    if given.page:
        write(*folders, *from_json(folders[0] / "performance.json"))
        return 0
    try:
        chosen = selected(given.only, short=given.short)
    except ValueError as error:
        parser.error(str(error))
    rounds = given.rounds or (1 if given.short else 3)
    results = run_all(
        chosen,
        rounds,
        short=given.short,
        done=lambda name, found: print(f"## {name}\n\n{table(name, found)}", flush=True),
    )
    if not given.short:
        goals = {name: goals_table(name, results) for name in results}
        print("\n".join(f"## Goals: {name}\n\n{text}" for name, text in goals.items() if text))
    if given.output or not (given.short or given.only):
        write(*folders, as_json(results, rounds), results)
    failed = [(name, case, one.error) for name, found in results.items() for case, one in found.items() if one.error]
    for name, case, error in failed:
        print(f"{name}: {case}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    sys.exit(main())
