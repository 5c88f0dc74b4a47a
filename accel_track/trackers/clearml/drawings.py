"""Plots for ClearML, as dictionaries in the form of Plotly's, which it shows without that package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Layout(dict[str, Any]):
    """A layout that keeps its title, where `Logger.report_plotly` puts the series in its place."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Set a value, unless there is a title already."""
        if key != "title" or not self.get("title"):
            super().__setitem__(key, value)


def titled(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figure of Plotly's that keeps its title."""
    return {**figure, "layout": Layout(figure.get("layout") or {})}


def scatter(points: NDArray[Any]) -> dict[str, Any]:
    """Return the figure of points of shape (N, 3), (N, 4) or (N, 6), in their colours or in one for each category."""
    marker: dict[str, Any] = {"size": 3}
    if points.shape[1] == 4:  # noqa: PLR2004 - place and category
        marker["color"] = points[:, 3].tolist()
    elif points.shape[1] == 6:  # noqa: PLR2004 - place and colour
        marker["color"] = [f"rgb({red:.0f},{green:.0f},{blue:.0f})" for red, green, blue in points[:, 3:].tolist()]
    x, y, z = points[:, :3].T.tolist()
    return {"data": [{"type": "scatter3d", "mode": "markers", "x": x, "y": y, "z": z, "marker": marker}], "layout": {}}
