"""The sample of `accel-track ls` in docs/command-line.md: `python -m tests.support.ls_sample` writes it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from accel_track.cli._lines import fitted
from accel_track.cli._list import in_short, shapes
from accel_track.journal.directory import find_runs
from accel_track.views.listing.columns import metric
from accel_track.views.listing.runs import listed
from tests.support.made_runs import made

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
BEGIN, END = "<!-- ls: made by `python -m tests.support.ls_sample` -->\n", "<!-- end of ls -->\n"

_NOW = 1_769_860_800.0
"""2026-01-31 12:00 UTC."""


def sample() -> str:
    """Return what `accel-track ls --metric val/acc:max` prints on a terminal of 80 columns."""
    hour = 3600.0
    with TemporaryDirectory() as folder:
        for project, name, ago, status, best, count, pending in (
            ("digits", "baseline", 200 * hour, "finished", 0.9312, 1200, 0),
            ("digits", "wide-3", 50 * hour, "failed", 0.8841, 410, 0),
            ("digits", "wide-4", 49 * hour, "finished", 0.9477, 1200, 240),
            ("language-model", "tokens-32k-cosine", 5 * hour, "interrupted", 0.4102, 800, 0),
            ("language-model", "tokens-64k", 2 * hour, "preempted", 0.3995, 600, 100),
        ):
            values = [{"val/acc": best if step == count // 2 else best / 2} for step in range(count)]
            made(folder, project, name, _NOW - ago, status=status, values=values, each=6.0, pending=pending)
        rows = sorted(listed(find_runs(folder), values=True), key=lambda one: one.summary.created or 0.0)
        extra = [metric("val/acc:max")]
        cells = [in_short(row, extra, _NOW, utc=True) for row in rows]
        return "".join(f"{line}\n" for line in fitted(shapes(rows, extra, _NOW), cells, 80))


def page(text: str) -> str:
    """Return the page with the sample in its place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n```text\n{sample()}```\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
