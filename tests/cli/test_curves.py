"""Curves as text."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from accel_track.cli._curves import plot, sparkline
from accel_track.views.metric import Points

NAN, INF = math.nan, math.inf


def curve(values: Sequence[float], steps: Sequence[int] | None = None) -> Points:
    places = range(len(values)) if steps is None else steps
    return Points(np.array(places, "i8"), np.zeros(len(values)), np.array(values, "f8"))


@pytest.mark.parametrize(
    ("values", "steps", "expected"),
    [
        ([], None, ""),
        ([3.0], None, "▅▅▅▅"),
        ([1, 2, 3, 4], None, "▁▃▆█"),
        ([1, 1, 2, 2, 3, 3, 4, 4], None, "▁▃▆█"),  # means
        ([4, 3, 1], [0, 1, 1000], "███▁"),  # 4 and 3 are one stretch; where nothing is, it stays
        ([NAN, NAN, NAN, NAN], None, "!!!!"),
        ([0, NAN, INF, 8], None, "▁!!█"),
        ([0, -1.7e308, 1.7e308, 0], None, "▅▁█▅"),
        ([5e-324, 0, 5e-324, 0], None, "█▁█▁"),
        ([1, 4], [2**62, -(2**62)], "███▁"),
    ],
)
def test_sparkline(values: list[float], steps: list[int] | None, expected: str) -> None:
    assert sparkline(curve(values, steps), 4) == expected


def test_a_rising_line_is_drawn_from_corner_to_corner() -> None:
    drawn = plot(curve(range(8)), 4, 2)
    assert drawn is not None
    assert drawn == (["  ⡠⠊", "⡠⠊  "], 0.0, 7.0)


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [5.0, NAN, INF, 5.0]])
def test_a_level_line_is_in_the_middle(values: list[float]) -> None:
    drawn = plot(curve(values), 3, 3)
    assert drawn is not None
    assert drawn.lines[0] == drawn.lines[2] == "   "
    assert drawn.lines[1][0] != " "
    assert (drawn.low, drawn.high) == (5.0, 5.0)


def test_gaps_are_joined_by_straight_lines() -> None:
    drawn = plot(curve([0.0, 1.0], [0, 1000]), 20, 5)
    assert drawn is not None
    assert all(any(line[column] != " " for line in drawn.lines) for column in range(20))


@pytest.mark.parametrize("values", [[], [NAN], [INF, -INF]])
def test_nothing_finite_is_nothing_to_draw(values: list[float]) -> None:
    assert plot(curve(values), 20, 5) is None


def test_gigantic_numbers() -> None:
    drawn = plot(curve([1.7e308, -1.7e308]), 2, 2)
    assert drawn is not None
    assert (drawn.low, drawn.high) == (-1.7e308, 1.7e308)
    assert plot(curve([1.0]), 0, 5) is None
