"""Completion in the shell: the runs that a word may become."""

from __future__ import annotations

import contextlib
import os
import time

import typer

from accel_track.cli._place import VARIABLE
from accel_track.cli._times import age
from accel_track.folders import expanded
from accel_track.journal.directory import find_runs
from accel_track.texts import printable
from accel_track.views.naming import LATEST, Named, newest_first, short_ids

_MOST = 200


def complete_run(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the short ids and names that begin so, and what they are, the newest run first."""
    with contextlib.suppress(Exception):  # an error here would be printed into the user's line
        place = ctx.find_root().params.get("directory") or os.environ.get(VARIABLE) or "."
        named = newest_first(map(Named.of, find_runs(expanded(place, "-C"))))
        return _completions(named, incomplete)[:_MOST]
    return []


def _completions(named: list[Named], incomplete: str) -> list[tuple[str, str]]:
    short, now = short_ids([one.id for one in named]), time.time()
    found = {LATEST: "the newest run"} if named else {}
    for one in named:
        about = printable(f"{one.project}/{one.name or one.id}, {age(now - one.created)} ago")
        words = [short[one.id], one.id, *([] if one.name is None else [one.name, f"{one.project}/{one.name}"])]
        for word in words[: 1 if not incomplete else None]:
            if word.isprintable():
                found.setdefault(word, about)
    return [(word, about) for word, about in found.items() if word.startswith(incomplete)]
