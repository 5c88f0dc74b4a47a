"""The matrix of backends and media in docs/media.md: `python -m tests.support.media_table` writes it."""

from pathlib import Path

from accel_track.media.ways import KINDS, Way
from accel_track.registry import LOGGER_TYPE_TO_CLASS, tracker_class

PAGE = Path(__file__).parents[2] / "docs" / "media.md"
BEGIN, END = "<!-- matrix: made by `python -m tests.support.media_table` -->\n", "<!-- end of the matrix -->\n"
NAMES = sorted(LOGGER_TYPE_TO_CLASS, key=lambda name: (not LOGGER_TYPE_TO_CLASS[name].in_all, name))
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


def matrix() -> str:
    """Return the matrix."""
    ways = {name: tracker_class(name).media for name in NAMES}
    heads = (f"[{name}](backends/{name}.md#media)" for name in NAMES)
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(NAMES) + 1) + "|"]
    lines += [
        f"| {kind.replace('_', ' ')} | " + " | ".join(short(ways[name].get(kind)) for name in NAMES) + " |"
        for kind in KINDS
    ]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with the matrix in its place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{matrix()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
