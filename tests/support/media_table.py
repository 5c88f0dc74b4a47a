"""The matrix of backends and media in docs/media.md: `python -m tests.support.media_table` writes it."""

import re
from pathlib import Path

from accel_track.media.ways import KINDS, Way
from accel_track.registry import LOGGER_TYPE_TO_CLASS, tracker_class

PAGE = Path(__file__).parents[2] / "docs" / "media.md"
BEGIN, END = "<!-- matrix: made by `python -m tests.support.media_table` -->\n", "<!-- end of the matrix -->\n"
NAMES = sorted(LOGGER_TYPE_TO_CLASS, key=lambda name: (not LOGGER_TYPE_TO_CLASS[name].in_all, name))
SHOWN = [name for name in NAMES if LOGGER_TYPE_TO_CLASS[name].in_all]
"""The columns: a file takes all, a terminal texts alone, and the page says so in a sentence."""
_AS = {
    "image": "as an image",
    "table": "as a table",
    "text": "as a text",
    "file": "as a file",
    "quantiles": "as numbers",
}


def short(way: Way | None) -> str:
    """Return what becomes of a medium, in a word or two."""
    if way is None or way.how == "none":
        return "\N{EN DASH}"
    return "native" if way.how == "native" else _AS.get(way.by, "otherwise")


def cell(way: Way) -> str:
    """Return the same for the matrix, where there is room for a word of six letters or so."""
    text = short(way)
    return {"native": "\N{CHECK MARK}", "otherwise": "*other*"}.get(text) or re.sub(r"as an? (\w+)", r"*\1*", text)


def matrix() -> str:
    """Return the matrix."""
    ways = {name: tracker_class(name).media for name in SHOWN}
    heads = (f"[{name}](backends/{name}.md#media)" for name in SHOWN)
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    lines += [
        f"| {kind.replace('_', ' ')} | " + " | ".join(cell(ways[name][kind]) for name in SHOWN) + " |" for kind in KINDS
    ]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with the matrix in its place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{matrix()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
