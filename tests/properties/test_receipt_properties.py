"""Receipts against an oracle: whatever a backend loses, changes or doubles is found exactly, and repaired."""

import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_track.delivery.comparing.points import Points, compared
from accel_track.delivery.repair import repair
from accel_track.journal.writer import JournalWriter
from tests.support.keeping import begin, deliver, lines, receipt, registered, rewrite
from tests.support.runs import only_run

NUMBERS = st.sampled_from([0.0, -0.0, 0.5, 1 / 3, -1e300, 1e-300, math.nan, math.inf, 7])
VALUES = st.sampled_from([0.0, -0.0, 0.1, 0.1000000001, 0.2, math.nan, math.inf])
SENT = st.lists(st.tuples(st.none() | st.integers(0, 2), VALUES), max_size=12)
FOUND = st.lists(st.tuples(st.integers(0, 2), VALUES), max_size=12)
CALLS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abc"), NUMBERS | st.sampled_from(["x", "y"])), st.integers(0, 3)),
    max_size=12,
)


def key(value: Any) -> str:
    return repr(value + 0.0) if isinstance(value, (int, float)) else value


def points(found: list[dict[str, Any]]) -> Counter[tuple[str, int, str]]:
    return Counter((line["name"], line["step"], key(line["value"])) for line in found)


@given(calls=CALLS, data=st.data())
def test_losses_are_found_exactly_and_repaired(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[dict[str, Any], int]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, monkeypatch.context() as patch, registered():
        patch.chdir(folder)
        begin().finish()
        writer = JournalWriter(only_run(Path("runs")).rank())
        for values, step in calls:
            writer.metrics(values, step, {})
        writer.metrics({"last": 1.0}, 9, {})
        writer.close()
        run = deliver()
        whole = lines()
        fate = st.sampled_from(["stays", "stays", "stays", "goes", "doubles", "changes"])
        damaged: list[dict[str, Any]] = []
        for line in whole:
            what = data.draw(fate)
            damaged += [line] * {"goes": 0, "doubles": 2}.get(what, 1)
            if what == "changes":
                damaged[-1] = {**line, "value": "another" if isinstance(line["value"], str) else 12345.0}
        rewrite(damaged)
        sent, there = points(whole), points(damaged)
        lost, more = Counter[tuple[str, int, bool]](), Counter[tuple[str, int, bool]]()
        for (name, step, value), count in (sent - there).items():
            lost[name, step, value in ("x", "y")] += count
        for (name, step, value), count in (there - sent).items():
            more[name, step, value in ("x", "y", "another")] += count
        differing = lost & more
        found = receipt(run).values
        assert found.sent == sent.total()
        assert found.differing.count == differing.total()
        assert found.missing.count == (lost - differing).total()
        assert found.extra.count == (more - differing).total()
        assert {(name, step) for name, step in found.missing.first} <= {place[:2] for place in lost}
        after = repair(run, "keeping").after
        assert after.whole
        assert points(lines()) == there | sent


@given(sent=SENT, found=FOUND, precision=st.sampled_from([0.0, 1e-6]))
def test_as_many_as_possible_are_the_same(
    sent: list[tuple[int | None, float]], found: list[tuple[int, float]], precision: float
) -> None:
    """Also of values without a step, which may be at any; and rounding to 32 bits makes two values one."""

    def alike(value: float) -> str:
        return repr((float(np.float32(value)) if precision else value) + 0.0)

    mine, theirs = Points(), Points()
    for step, value in sent:
        mine.add(step, value)
    for step, value in found:
        theirs.add(step, value)
    verdict = compared(mine, theirs, precision)
    stepped = Counter((step, alike(value)) for step, value in sent if step is not None)
    there = Counter((step, alike(value)) for step, value in found)
    loose = Counter(alike(value) for step, value in sent if step is None)
    left = Counter[str]()
    for (_, value), count in (there - stepped).items():
        left[value] += count
    same = (stepped & there).total() + (loose & left).total()
    missing, differing = int(verdict.missing.sum()), int(verdict.differing.sum())
    assert len(sent) - missing - differing == same
    assert len(found) - int(verdict.extra.sum()) - differing == same
    assert not (verdict.missing & verdict.differing).any()
