"""The list of runs: the summary of each, and its values where they are asked for, by the indices of the stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from accel_track.journal.directory import RunDirectory
from accel_track.views.listing.index import Index
from accel_track.views.listing.reading import each
from accel_track.views.listing.summary import Summary, signature
from accel_track.views.listing.values import Values
from accel_track.views.naming import short_ids

FoundT = TypeVar("FoundT")


class Listed(NamedTuple):
    """A run in a list.

    Attributes:
        run: The run.
        summary: What it is.
        values: What it was given and what came of it; empty if nobody asked for that.
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
    runs = list(runs)
    signatures = [signature(run) for run in runs]
    summaries = _found("summaries", Summary, Summary.of, runs, signatures, tell)
    contents = _found("values", Values, Values.of, runs, signatures, tell) if values else [Values()] * len(runs)
    short = short_ids([one.run_id for one in summaries])
    rows = zip(runs, summaries, contents, strict=True)
    return [Listed(run, summary, content, short[summary.run_id]) for run, summary, content in rows]


def _found(
    name: str,
    kind: type[FoundT],
    read: Callable[[RunDirectory], FoundT],
    runs: Sequence[RunDirectory],
    signatures: Sequence[bytes | None],
    tell: Callable[[int], object],
) -> list[FoundT]:
    """Return the entry of each run in the indices of the stores, or else the findings of a reading."""
    indices: dict[str, Index[FoundT]] = {}
    places = [os.path.dirname(os.path.dirname(run.path)) for run in runs]
    for place, run in zip(places, runs, strict=True):
        if place not in indices:
            indices[place] = Index(run.path.absolute().parents[1], name, kind)
    known = [indices[place].known(run, sign) for place, run, sign in zip(places, runs, signatures, strict=True)]
    lacking = [number for number, one in enumerate(known) if one is None]
    new: dict[int, FoundT] = {}
    for number, one in zip(lacking, each(read, [runs[number] for number in lacking]), strict=True):
        new[number] = one
        if len(new) % 100 == 0:
            tell(len(runs) - len(lacking) + len(new))
    found = [new[number] if one is None else one for number, one in enumerate(known)]
    for place, run, sign, one in zip(places, runs, signatures, found, strict=True):
        indices[place].note(run, sign, one)
    for index in indices.values():
        index.save()
    return found
