"""Points as Comet takes them: lists of a place, and a colour of 0 to 1."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_POINTS = 1_000_000
"""The number of points of a scene that Comet takes; it leaves out the others, with a warning."""

_TURN = 0.618
"""The part of the circle of hues between neighbouring categories, that of the golden ratio."""


def scene(points: NDArray[Any]) -> list[list[float]]:
    """Return points of shape (N, 3), (N, 4) or (N, 6), with their colours, or one for each category."""
    width = points.shape[1]
    if width == 3:  # noqa: PLR2004 - place alone
        return points.tolist()  # type: ignore[no-any-return] # floats
    if width == 4:  # noqa: PLR2004 - place and category
        return [[*place, *colorsys.hsv_to_rgb(kind * _TURN % 1, 0.8, 1)] for *place, kind in points.tolist()]
    coloured = points.copy()
    coloured[:, 3:] = (coloured[:, 3:] / 255).clip(0, 1)
    return coloured.tolist()  # type: ignore[no-any-return] # floats
