"""Points: the values of one name as arrays of numbers, and which of those sent are among those found."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import defaultdict
from collections.abc import Iterator
from enum import IntEnum
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_STEP = -1
"""Stands for the step of a value that was logged without one."""

Mask = NDArray[np.bool_]


class State(IntEnum):
    """The forms in which a logged value may be in a backend."""

    DUE = 0
    """The backend is to have it."""
    PENDING = 1
    """It is not delivered yet."""
    ASIDE = 2
    """The backend refused its record, which is in the quarantine."""
    UNDONE = 3
    """The run went back over it."""
    UNKEPT = 4
    """The backend keeps another value of the same step."""


class Points:
    """Values of one name, 25 bytes each.

    Attributes:
        steps: Training steps, or `NO_STEP`.
        values: Numbers; or of texts, hashes.
        seqs: The numbers of their records.
        states: What there is to be of them, as `State` says.
    """

    __slots__ = ("seqs", "states", "steps", "values")

    def __init__(self, kind: Literal["d", "q"] = "d") -> None:
        """Begin without values: of "d", numbers, or of "q", hashes."""
        self.steps, self.seqs, self.states = array("q"), array("q"), array("b")
        self.values: array[float] = array(kind)

    def add(self, step: int | None, value: float, seq: int = -1, state: State = State.DUE) -> None:
        """Add a value."""
        self.steps.append(NO_STEP if step is None else step)
        self.values.append(value)
        self.seqs.append(seq)
        self.states.append(state)

    def extend(self, others: Points) -> None:
        """Add others of the same name."""
        self.steps.extend(others.steps)
        self.values.extend(others.values)
        self.seqs.extend(others.seqs)
        self.states.extend(others.states)

    def keep_of_a_step(self, which: Literal["first", "last"]) -> None:
        """Leave one value of each step due."""
        steps, states = np.array(self.steps), np.array(self.states)
        places = np.flatnonzero((states == State.DUE) & (steps != NO_STEP))
        places = places[np.lexsort((np.array(self.seqs)[places], steps[places]))]
        ends = np.ones(len(places), bool)
        changes = steps[places][1:] != steps[places][:-1]
        ends[slice(1, None) if which == "first" else slice(None, -1)] = changes
        states[places[~ends]] = State.UNKEPT
        self.states = array("b", states.tobytes())


class Verdict(NamedTuple):
    """The result for the values of one name.

    Attributes:
        missing: Which of those sent are due and not there.
        differing: Which of those sent are due, and another value is there in their place.
        extra: Which of those found are in nobody's place.
        undone: How many of those found the run went back over.
        replaced: How many of those sent have such a one in their place, since the backend keeps the first of a step.
    """

    missing: Mask
    differing: Mask
    extra: Mask
    undone: int
    replaced: int


def compared(sent: Points, found: Points, precision: float, *, first: bool = False) -> Verdict:
    """Compare the values of one name, each as often as it is there.

    A value that was logged without a step is looked for at every step, since a backend chooses one for it.

    Args:
        sent: Those of the journal.
        found: Those of the backend.
        precision: Relative error of a stored number; 0 for none.
        first: Whether the backend keeps the first value of a step, even if the run went back over it.
    """
    mine, theirs = _keys(sent.values, precision), _keys(found.values, precision)
    steps, places, states = (np.array(one) for one in (sent.steps, found.steps, sent.states))
    due, excused = states == State.DUE, states != State.DUE
    left, over = due.copy(), np.ones(len(theirs), bool)
    stepped = steps != NO_STEP

    def match(which: Mask, keys: tuple[NDArray[np.int64], NDArray[np.int64]], *, by_step: bool) -> tuple[Mask, Mask]:
        """Pair some of those sent with those found that are left over, and return the pairs' two sides."""
        own, other = np.flatnonzero(which), np.flatnonzero(over)
        at = (steps[own], places[other]) if by_step else (np.zeros(len(own), int), np.zeros(len(other), int))
        taken, given = _pairs((at[0], keys[0][own]), (at[1], keys[1][other]))
        one, two = np.zeros_like(which), np.zeros_like(over)
        one[own[taken]], two[other[given]] = True, True
        return one, two

    for by_step in (True, False):
        there, used = match(left & (stepped == by_step), (mine, theirs), by_step=by_step)
        left &= ~there
        over &= ~used
    if precision:
        own, other = np.flatnonzero(left & stepped), np.flatnonzero(over)
        for one, its in _near((steps[own], own), (places[other], other), (sent.values, found.values), precision):
            left[one] = over[its] = False
    undone = replaced = 0
    alike = np.zeros(len(mine), np.int64), np.zeros(len(theirs), np.int64)
    for by_step in (True, False):
        there, used = match(excused & (stepped == by_step), (mine, theirs), by_step=by_step)
        over &= ~used
        old = there & (states == State.UNDONE)
        undone += int(old.sum())
        if first and by_step:
            instead = left & stepped & np.isin(steps, steps[old])
            left, replaced = left & ~instead, int(instead.sum())
    differing, wrong = match(left & stepped, alike, by_step=True)
    return Verdict(left & ~differing, differing, over & ~wrong, undone, replaced)


def hashed(text: str) -> int:
    """Return 64 bits that stand for a text."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def rounded(points: Points) -> int:
    """Return the number of due numbers that differ in 32 bits."""
    values = np.array(points.values)[np.array(points.states) == State.DUE]
    with np.errstate(over="ignore"):
        return int(np.sum((values.astype(np.float32) != values) & ~np.isnan(values)))


def _keys(values: array[float], precision: float) -> NDArray[np.int64]:
    """Return integers that are the same for values that are the same in the backend."""
    whole = np.array(values)
    if whole.dtype == np.int64:
        return whole
    if precision:
        with np.errstate(over="ignore"):
            whole = whole.astype(np.float32).astype(np.float64)
    whole = whole + 0.0  # there is one zero
    whole[np.isnan(whole)] = np.nan  # and one NaN
    return whole.view(np.int64)


_Side = tuple[NDArray[np.int64], NDArray[np.int64]]
_Pair = tuple[int, int]


def _pairs(sent: _Side, found: _Side) -> tuple[Mask, Mask]:
    """Return masks of the entries on each side that have a partner of the same step and key; the first ones count."""
    count = len(sent[0])
    steps, keys = (np.concatenate(both) for both in zip(sent, found, strict=True))
    theirs = np.arange(len(steps)) >= count
    order = np.lexsort((theirs, keys, steps))
    if not len(order):
        return np.zeros(0, bool), np.zeros(0, bool)
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(steps[order]) != 0) | (np.diff(keys[order]) != 0)
    group = np.cumsum(begins) - 1
    side = theirs[order]
    total, mine = np.bincount(group), np.bincount(group, ~side).astype(np.int64)
    place = np.arange(len(order)) - np.flatnonzero(begins)[group] - np.where(side, mine[group], 0)
    matched = np.zeros(len(order), bool)
    matched[order] = place < np.minimum(mine, total - mine)[group]
    return matched[:count], matched[count:]


def _near(sent: _Side, found: _Side, values: tuple[array[float], array[float]], precision: float) -> Iterator[_Pair]:
    """Yield the places of pairs that are the same but for a rounding other than that to 32 bits.

    Args:
        sent: Steps and places of some that were sent.
        found: Steps and places of some that were found.
        values: All that were sent, and all that were found.
        precision: Relative error.
    """
    shared = np.intersect1d(sent[0], found[0])
    by_step: tuple[dict[int, list[int]], dict[int, list[int]]] = (defaultdict(list), defaultdict(list))
    for side, (steps, places), of in zip(by_step, (sent, found), values, strict=True):
        chosen = np.isin(steps, shared)
        for step, place in zip(steps[chosen].tolist(), places[chosen].tolist(), strict=True):
            if not math.isnan(of[place]):
                side[step].append(place)
    for step, own in by_step[0].items():
        mine, theirs = sorted(own, key=values[0].__getitem__), sorted(by_step[1][step], key=values[1].__getitem__)
        while mine and theirs:
            one, other = values[0][mine[-1]], values[1][theirs[-1]]
            if math.isclose(one, other, rel_tol=precision):
                yield mine.pop(), theirs.pop()
            else:
                (mine if one > other else theirs).pop()
