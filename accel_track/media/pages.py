"""Pages: media as HTML, for backends that show that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_PLOTLY = "https://cdn.plot.ly/plotly-3.0.1.min.js"
_PAGE = """<!doctype html>
<html>
<head><meta charset="utf-8"><script src="{script}" charset="utf-8"></script></head>
<body><div id="figure" style="height: 95vh"></div>
<script>
const figure = {figure};
Plotly.newPlot("figure", figure.data || [], figure.layout || {{}}, {{responsive: true}});
</script></body>
</html>
"""


def plotly_page(figure: Mapping[str, Any]) -> str:
    """Return a page that shows a figure of Plotly's; whoever looks at it needs a network, for Plotly's own code.

    Args:
        figure: The dictionary of its JSON.
    """
    # In a script, "</script>" would end it, and "<!--" begin a comment, also in a text.
    return _PAGE.format(script=_PLOTLY, figure=json.dumps(figure).replace("<", "\\u003c"))
