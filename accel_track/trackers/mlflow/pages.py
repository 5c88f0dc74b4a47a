"""The page of a figure of Plotly's, as `Figure.write_html` makes one, of its JSON alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SCRIPT = "https://cdn.plot.ly/plotly-3.0.1.min.js"
_PAGE = """<!DOCTYPE html>
<html>
<head><meta charset="utf-8"><script src="{script}"></script></head>
<body><div id="figure" style="height: 95vh"></div>
<script>
const figure = {figure};
Plotly.newPlot("figure", figure.data, figure.layout, {{responsive: true}});
</script></body>
</html>
"""


def plotly_page(figure: Mapping[str, Any]) -> bytes:
    """Return a page that draws a figure with plotly.js, which the browser loads from its makers.

    Args:
        figure: What the figure's JSON holds.
    """
    # In a script, "</script>" would end it, also in a text.
    text = json.dumps(figure, ensure_ascii=True).replace("<", "\\u003c")
    return _PAGE.format(script=_SCRIPT, figure=text).encode()
