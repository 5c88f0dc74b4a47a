"""Pages: media as HTML, for backends that show that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_PLOTLY = "https://cdn.plot.ly/plotly-2.35.2.min.js"


def plotly_page(figure: Mapping[str, Any]) -> str:
    """Return a page that shows a figure of Plotly's; whoever looks at it needs a network, for Plotly's own code.

    Args:
        figure: The dictionary of its JSON.
    """
    data, layout = (_in_script(figure.get(part, kind())) for part, kind in (("data", list), ("layout", dict)))
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f'<script src="{_PLOTLY}" charset="utf-8"></script></head>'
        '<body><div id="figure"></div>'
        f'<script>Plotly.newPlot("figure", {data}, {layout}, {{"responsive": true}});</script></body></html>'
    )


def _in_script(value: Any) -> str:
    """Return JSON that neither ends a script's element nor begins a comment in it."""
    return json.dumps(value).replace("<", "\\u003c")
