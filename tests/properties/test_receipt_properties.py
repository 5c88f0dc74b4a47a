"""Receipts against an oracle: whatever a backend loses, changes or doubles is found exactly, and repaired."""

import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_track.delivery.repair import repair
from accel_track.journal.writer import JournalWriter
from tests.support.keeping import begin, deliver, lines, receipt, registered, rewrite
from tests.support.runs import only_run

NUMBERS = st.sampled_from([0.0, -0.0, 0.5, 1 / 3, -1e300, 1e-300, math.nan, math.inf, 7])
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
