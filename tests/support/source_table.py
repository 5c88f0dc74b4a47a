"""The table of sources in docs/importing.md: `python -m tests.support.source_table` writes it."""

import re
from pathlib import Path

from accel_track.importers.registry import BUILT_IN, source_class

PAGE = Path(__file__).parents[2] / "docs" / "importing.md"
BEGIN, END = "<!-- sources: made by `python -m tests.support.source_table` -->\n", "<!-- end of the sources -->\n"


def table() -> str:
    """Return the table."""
    lines = ["| `--from` | Reads |", "|---|---|"]
    for name in BUILT_IN:
        cls = source_class(name)
        what = re.sub("^(a|the) ", lambda article: article[0].capitalize(), cls.what)
        lines.append(f"| `{name}` | **{what}**<br>{cls.cannot_give} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with the table in its place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
