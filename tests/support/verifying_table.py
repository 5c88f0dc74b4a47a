"""The table of docs/verifying.md, what each backend changes by design: `python -m tests.support.verifying_table` writes it."""

from pathlib import Path

from accel_track.delivery.comparing.sent_media import plural
from accel_track.registry import tracker_class
from accel_track.trackers.base import GeneralTracker
from tests.support.media_table import NAMES

PAGE = Path(__file__).parents[2] / "docs" / "verifying.md"
BEGIN, END = "<!-- table: made by `python -m tests.support.verifying_table` -->\n", "<!-- end of the table -->\n"
_OF_A_STEP = {"all": "all", "first": "only the first", "last": "only the last"}


def of_a_step(cls: type[GeneralTracker]) -> str:
    """Return which of several values a backend keeps that one name has at one step."""
    return _OF_A_STEP[cls.keeps_of_a_step] + ("" if cls.keeps_equal else "; equal ones of a millisecond once")


def _kept(is_kept: bool) -> str:
    return "kept" if is_kept else "left out"


def changes(name: str) -> dict[str, str]:
    """Return what a tracker's backend changes by design, by what it is about."""
    cls = tracker_class(name)
    left_out = ", ".join(plural(kind) for kind, way in cls.media.items() if way.how == "none")
    return {
        "Names": "some are changed" if cls.stored_name is not GeneralTracker.stored_name else "as given",
        "Numbers": "32 bits" if cls.precision else "as sent",
        "NaN": _kept(cls.takes_nan),
        "±inf": _kept(cls.takes_inf),
        "Texts": _kept(cls.takes_text),
        "Several values at one step": of_a_step(cls),
        "Media left out": left_out or "\N{EN DASH}",
    }


def table() -> str:
    """Return the table of the trackers that have a reader."""
    read = {name: changes(name) for name in NAMES if tracker_class(name).read is not GeneralTracker.read}
    lines = ["| | " + " | ".join(read["wandb"]) + " |", "|---" * 8 + "|"]
    lines += [f"| [{name}](backends/{name}.md) | " + " | ".join(row.values()) + " |" for name, row in read.items()]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with the table in its place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
