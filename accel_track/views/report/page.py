"""The page: one file of HTML with all that it needs, which loads nothing and runs no other script than its own."""

from __future__ import annotations

import html
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Any

from accel_track.texts import json_bytes, printable

_SCRIPTS = ("data.js", "elements.js", "plots.js", "charts.js", "media.js", "tables.js", "main.js")


def page(document: dict[str, Any], *, live: bool = False) -> str:
    """Return the page of a document.

    Content of runs is in the page as JSON only, in a block that no browser executes, and the page's Content
    Security Policy names its scripts by their hashes (https://www.w3.org/TR/CSP3/): no other one is executed, and
    nothing is loaded from anywhere.

    Args:
        document: What `Feed.document` returned.
        live: Whether the page asks the server that it came from for what is new.
    """
    from bokeh.resources import Resources

    folder = files("accel_track.views.report")
    library = "\n".join(Resources(mode="inline", components=["bokeh", "bokeh-api"], log_level="error").js_raw)
    script = "\n".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
    names = ", ".join(one["name"] for one in document["runs"])
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        title=html.escape(printable(names)[:200]),
        policy=policy([library, script], live=live),
        style=(folder / "page.css").read_text("utf-8"),
        library=library,
        data=in_script(document | {"live": live}),
        script=script,
    )


def policy(scripts: list[str], *, live: bool) -> str:
    """Return a Content Security Policy under which these scripts are executed, and nothing else is."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in scripts)
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; media-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def in_script(document: Any) -> str:
    """Return JSON that ends no script block, whatever its texts hold; NaN and infinities become null."""
    return json_bytes(document).decode().replace("<", "\\u003c")
