"""The pages of docs/backends, from one template: `python -m tests.support.backend_pages` writes what is declared into them.

Each page has the same sections. What is between two comments of HTML is made of the trackers' classes, of the sources of
imports and of docs/backends/facts.toml; what is below it is written by hand, and stays.
"""

import re
from pathlib import Path
from typing import Any

import tomllib

from accel_track.importers.registry import BUILT_IN as SOURCES
from accel_track.importers.registry import source_class
from accel_track.media.ways import KINDS
from accel_track.registry import LOGGER_TYPE_TO_CLASS, tracker_class
from accel_track.trackers.base import GeneralTracker
from tests.support.media_table import NAMES, short
from tests.support.verifying_table import changes, of_a_step

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "backends"
BEGIN, END = "<!-- made by `python -m tests.support.backend_pages` -->\n\n", "\n<!-- end -->\n"
FACTS: dict[str, dict[str, str]] = tomllib.loads((FOLDER / "facts.toml").read_text(encoding="utf-8"))
NO, YES = "\N{EN DASH}", "✓"
AS_LOGGED = ("as given", "as sent", "kept", "all", NO)
"""How a table of changes by design says that there is none."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINNED = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))


def extra(name: str) -> str | None:
    """Return the extra that installs a tracker's SDK, or None where it is always there."""
    wanted = LOGGER_TYPE_TO_CLASS[name].install
    for one, required in PROJECT["optional-dependencies"].items():
        if wanted in (line.partition(";")[0].strip() for line in required):
            return str(one)
    return None


def _numbers(cls: type[GeneralTracker]) -> str:
    return f"{YES} (32-bit)" if cls.precision else YES


def _not_finite(name: str, cls: type[GeneralTracker]) -> str:
    if cls.takes_inf:
        return FACTS[name].get("not_finite", YES)
    return "NaN only" if cls.takes_nan else NO


def _time(name: str, cls: type[GeneralTracker]) -> str:
    note = FACTS[name].get("time_note")
    return (f"{YES} ({note})" if note else YES) if cls.keeps_time else NO


def _columns(name: str) -> dict[str, str]:
    """Return the cells of a tracker in the tables of the index, by their heads."""
    cls, facts, extra_name = tracker_class(name), FACTS[name], extra(name)
    return {
        "Extra": f"`{extra_name}`" if extra_name else "none needed",
        "Credentials": facts["credentials"],
        "Offline": facts["local"],
        "Numbers": _numbers(cls),
        "NaN, ±inf": _not_finite(name, cls),
        "Texts": YES if cls.takes_text else NO,
        "Nested hyperparameters": "kept" if cls.keeps_nesting else 'joined with "/"',
        "The step is": facts["step"],
        "Without a step": facts["no_step"],
        "Several values at one step": of_a_step(cls),
        "Keeps the time of the call": _time(name, cls),
        "Delivery after a crash": facts["again"],
        "Continued by": facts["continues"],
    }


def _at_a_glance(name: str) -> str:
    rows = {"Name": f'`log_with="{name}"`', **_columns(name)}
    return _table(["", ""], rows.items())


def _install(name: str) -> str:
    cls, extra_name = tracker_class(name), extra(name)
    if extra_name is None:
        return "Nothing: this tracker comes with accel_track.\n"
    distribution = re.split(r"[<>=]", str(cls.install))[0]
    command = f'```bash\npip install "accel-track[{extra_name}]"\n```\n\n'
    return f"{command}This installs `{cls.install}`; the tests run with version {PINNED[distribution]}.\n"


def _media(name: str) -> str:
    ways = tracker_class(name).media
    kinds: dict[str, list[str]] = {}
    for kind in KINDS:
        how = short(ways[kind]).replace(NO, "not stored")
        kinds.setdefault(f"{how}: {ways[kind].note}", []).append(kind.replace("_", " "))
    return _table(["Medium", "Stored"], ((", ".join(these), stored) for stored, these in kinds.items()))


def _going_on(name: str) -> str:
    heads = {"resumes": "Resume", "rewinds": "A step back", "status": "Status at the end"}
    heads["checkpoints"] = "Checkpoints"
    rows = {**heads, "ranks": "With `all_ranks=True`"}
    return _table(["", ""], ((head, FACTS[name][key]) for key, head in rows.items() if key in FACTS[name]))


def _reading(name: str) -> str:
    if tracker_class(name).read is GeneralTracker.read:
        return "The terminal keeps nothing, so there is nothing to read back.\n"
    read = [
        f"* `accel-track verify RUN --against {name}` reads the run back and [compares](../verifying.md) it with the journal."
    ]
    if name in SOURCES:
        read += [f"* `accel-track import PATH --from {name}` [imports](../importing.md) runs that are there."]
    changed = [f"{what}: {how}" for what, how in changes(name).items() if how not in AS_LOGGED]
    design = "\n".join(f"* {one}" for one in changed)
    differs = f"By design, a stored run differs from the logged one:\n\n{design}\n"
    same = "By design, a stored run is as it was logged.\n"
    parts = ["\n".join(read) + "\n", differs if changed else same]
    unread = FACTS[name].get("unread", source_class(name).cannot_give if name in SOURCES else "")
    if unread:
        parts.append(f"**Limits of reading.** {unread}\n")
    return "\n".join(parts)


SECTIONS: dict[str, Any] = {
    "Install": _install,
    "On this machine": None,
    "With a server": None,
    "Offline, and later": None,
    "At a glance": _at_a_glance,
    "Runs, projects, folders": None,
    "Values and names": None,
    "Media": _media,
    "Resume, status, checkpoints": _going_on,
    "The SDK's own calls": None,
    "Reading back": _reading,
}
"""The template: each section's heading, and what makes its beginning."""
INDEX = {
    "What each takes": ["Extra", "Numbers", "NaN, ±inf", "Texts", "Nested hyperparameters"],
    "Credentials and offline use": ["Credentials", "Offline"],
    "Delivered late, or twice": ["Keeps the time of the call", "Delivery after a crash", "Continued by"],
    "Steps": ["The step is", "Without a step", "Several values at one step"],
}
"""The tables of the index: the section that each begins, and its columns."""


def _table(heads: Any, rows: Any) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _compared(columns: list[str]) -> str:
    cells = {name: _columns(name) for name in NAMES}
    rows = ([f"[{name}]({name}.md)", *(cells[name][column] for column in columns)] for name in NAMES)
    return _table(["", *columns], rows)


def _filled(text: str, made: dict[str, str | None], title: str) -> str:
    """Return a page with what is declared in its place.

    Raises:
        ValueError: A section is missing, empty, or not one of the template's.
    """
    by_hand = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", "", text, flags=re.DOTALL)
    first, *rest = re.split(r"^## (.*)\n", by_hand.partition("\n")[2], flags=re.MULTILINE)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    if list(sections) != list(made):
        message = f"{title}: has the sections {list(sections)}, not {list(made)}"
        raise ValueError(message)
    parts = [f"# {title}\n", first.strip() + "\n"]
    for heading, written in sections.items():
        begins = made[heading]
        if not (begins or written.strip()):
            message = f"{title}: nothing is in the section {heading!r}"
            raise ValueError(message)
        parts.append(f"## {heading}\n")
        parts += [f"{BEGIN}{begins}{END}"] if begins else []
        parts += [written.strip() + "\n"] if written.strip() else []
    return "\n".join(parts)


def page(name: str, text: str) -> str:
    """Return a tracker's page with what is declared in its place.

    Raises:
        ValueError: A section is missing, empty, or not one of the template's.
    """
    made = {heading: make(name) if make else None for heading, make in SECTIONS.items()}
    return _filled(text, made, FACTS[name]["title"])


def index(text: str) -> str:
    """Return the page that compares them with its tables in their places.

    Raises:
        ValueError: A section with a table is missing.
    """
    headings = re.findall(r"^## (.*)\n", text, flags=re.MULTILINE)
    if missing := [heading for heading in INDEX if heading not in headings]:
        message = f"the index lacks the sections {missing}"
        raise ValueError(message)
    made = {heading: _compared(INDEX[heading]) if heading in INDEX else None for heading in headings}
    return _filled(text, made, "Backends")


def pages() -> dict[Path, str]:
    """Return all pages as they should be, by their paths."""
    read = {name: (FOLDER / f"{name}.md").read_text(encoding="utf-8") for name in [*NAMES, "index"]}
    made = {FOLDER / f"{name}.md": page(name, read[name]) for name in NAMES}
    return {**made, FOLDER / "index.md": index(read["index"])}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
