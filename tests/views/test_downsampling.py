"""The points that a page draws of a curve: few, in order, with all extremes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from accel_track.views.downsampling import kept

NUMBERS = st.floats(width=64, allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(values=arrays(np.float64, st.integers(0, 300), elements=NUMBERS), limit=st.integers(4, 40))
def test_extremes_ends_and_breaks_are_kept(values: np.ndarray, limit: int) -> None:
    found = kept(values, limit)
    assert (np.diff(found) > 0).all()
    assert not len(found) or (found[0] >= 0 and found[-1] < len(values))
    if len(values) <= limit:
        assert len(found) == len(values)
        return
    assert len(found) <= limit * 5 // 4 + 1
    assert (found[0], found[-1]) == (0, len(values) - 1)
    finite = values[np.isfinite(values)]
    if len(finite):
        assert {finite.min(), finite.max()} <= set(values[found].tolist())
    breaks = np.flatnonzero(~np.isfinite(values))
    assert not len(breaks) or breaks[0] in found


@settings(max_examples=30, deadline=None)
@given(values=arrays(np.float64, 240, elements=st.floats(-1e6, 1e6)), limit=st.sampled_from([8, 24, 60]))
def test_each_group_has_its_own_extremes(values: np.ndarray, limit: int) -> None:
    found = kept(values, limit)
    size = 240 // (limit // 4)
    for begin in range(0, 240, size):
        group = values[begin : begin + size]
        shown = values[found[(found >= begin) & (found < begin + size)]]
        assert (shown.min(), shown.max(), shown[0], shown[-1]) == (group.min(), group.max(), group[0], group[-1])


@pytest.mark.parametrize("spike", [math.nan, math.inf, 1e9, -1e9])
def test_one_spike_in_a_million_points_is_kept(spike: float) -> None:
    values = np.sin(np.arange(1_000_000) / 1000)
    values[765_432] = spike
    found = kept(values, 1000)
    assert 765_432 in found
    assert len(found) <= 1001
