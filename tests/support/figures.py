"""A figure of Plotly's."""

from typing import Any

import plotly.graph_objects as go

PLOT = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}], "layout": {"title": {"text": "own title"}}}


def figure() -> Any:
    """Return a figure whose JSON is `PLOT`."""
    made = go.Figure(PLOT)
    made.layout.template = None
    return made
