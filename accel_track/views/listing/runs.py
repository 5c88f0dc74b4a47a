"""The list of runs: the summary of each, and its values where they are asked for, by the indices of the stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from accel_track.journal.directory import RunDirectory
from accel_track.views.listing.index import Index
from accel_track.views.listing.summary import Summary, signature
from accel_track.views.listing.values import Values
from accel_track.views.naming import short_ids


class Listed(NamedTuple):
    """A run in a list.

    Attributes:
        run: The run.
        summary: What it is.
        values: What it was given and what came of it; empty where nobody asked for that.
        short: The end of its id that no other run of the list has.
    """

    run: RunDirectory
    summary: Summary
    values: Values = Values()
    short: str = ""


def listed(
    runs: Iterable[RunDirectory], *, values: bool, tell: Callable[[int], object] = lambda _: None
) -> list[Listed]:
    """Return runs with what is known of them; only those that have changed since the last call are read.

    Args:
        runs: Run directories.
        values: Whether their values are wanted, for which all of a run is read.
        tell: Called with how many are done, now and then.
    """
    indices: dict[str, tuple[Index[Summary], Index[Values]]] = {}
    found = []
    for number, run in enumerate(runs):
        place = os.path.dirname(os.path.dirname(run.path))
        if place not in indices:
            store = run.path.absolute().parents[1]
            indices[place] = Index(store, "summaries", Summary, Summary.of), Index(store, "values", Values, Values.of)
        summaries, contents = indices[place]
        sign = signature(run)
        found.append(Listed(run, summaries.of(run, sign), contents.of(run, sign) if values else Values()))
        if number % 100 == 0:
            tell(number)
    for kept in indices.values():
        kept[0].save()
        if values:
            kept[1].save()
    short = short_ids([one.summary.run_id for one in found])
    return [one._replace(short=short[one.summary.run_id]) for one in found]
