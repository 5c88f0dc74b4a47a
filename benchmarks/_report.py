"""Results as Markdown tables, JSON and the page `docs/performance.md`."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks._case import Case, Result, cases, script
from benchmarks._goals import GOALS, Results

REASONS = Path(__file__).with_name("reasons.yaml")
_PACKAGES = ("accel-track", "torch", "lightning", "accelerate", "tensorboard", "wandb", "comet_ml", "mlflow", "aim")
_PACKAGES += ("clearml", "dvclive", "swanlab", "trackio", "msgspec", "google-crc32c")
_FORMAT = 1
MISSING = "-"
_CHARACTERS = 160
_MOST_COLUMNS = 5
"""Of a table that has room for ratios; those of the others are among the goals."""

HEAD = """\
# Performance

<!-- Made by `python -m benchmarks` from benchmarks/performance.json; do not edit. Reasons: benchmarks/reasons.yaml. -->

What logging costs: accel_track beside Hugging Face Accelerate, Lightning's own loggers, and the SDKs called directly,
measured on one machine. {met} of {goals} goals are met; the reasons for the others stand below each table.

{charts}

## How to read the tables

* **Rows** say who logs. *Logger* is `AccelTrackLogger` and *facade* is `Accelerator`, both with the default
  `delivery`; *(process)* is `delivery="process"`. *HF* is Hugging Face Accelerate, *PL* one of Lightning's loggers,
  *raw* an SDK called directly. *Nine trackers* are all nine backends at once.
* **Values** are medians of {rounds} rounds; rows that take long, or that no goal needs, have one. Each round is a
  process of its own with an empty folder. The rows of a table take turns, so that other work on the machine hits all
  of them.
* **Values counted** were read back from the backend. A missing or doubled value makes the row an error, not a number.
* **Goals** are limits for a value, or for the ratio of two rows (*one / other*). *Rounds* are the least and the most
  that single rounds have.
* **Settings** are the same for all, those that each SDK documents as cheap (`benchmarks/_settings.py`). Nothing needs
  a network: MLflow's server is on the same machine. Lightning's CometLogger is patched, because version 2.6.6 writes
  nothing with `online=False`.
* Absolute numbers are those of this machine; ratios carry further. `tox -e bench` measures on yours.

"""


def number(value: float | None) -> str:
    """Return a value with three significant digits, and three decimals at most."""
    if value is None:
        return MISSING
    if abs(value) < 1:
        return f"{round(value, 3):.3g}"
    return f"{value:,.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"  # noqa: PLR2004


def as_json(results: Results, rounds: int) -> dict[str, Any]:
    """Return everything that the page and the chart are made of, for JSON."""
    return {
        "format": _FORMAT,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "rounds": rounds,
        "machine": _machine(),
        "versions": dict(_versions()),
        "results": {name: {case: one.as_json() for case, one in found.items()} for name, found in results.items()},
        "goals": [
            {"key": goal.key, "goal": goal.what, "limit": goal.limit, "measured": measured, "met": met}
            for goal, measured, met in judged(results)
        ],
    }


def from_json(place: Path) -> tuple[dict[str, Any], Results]:
    """Return what a file made of `as_json` holds, and the results in it."""
    data = json.loads(place.read_text())
    found = {name: {case: Result(**one) for case, one in rows.items()} for name, rows in data["results"].items()}
    return data, found


def judged(results: Results) -> Iterator[tuple[Any, float | None, bool | None]]:
    """Yield the goals of the scripts that were run, what was measured, and whether they are met."""
    for goal in GOALS:
        if goal.value[0] in results:
            measured = goal.measured(results)
            yield goal, measured, None if measured is None else goal.met(measured)


def table(name: str, results: dict[str, Result]) -> str:
    """Return a script's results as Markdown tables: one, or one for each sort of rows where they have other columns."""
    module = script(name)
    found = [case for case in cases(name) if case.name in results]
    main = module.MAIN if len(module.COLUMNS) <= _MOST_COLUMNS else ""
    first = next(iter(module.COLUMNS))
    sorts = groupby(found, lambda case: bool(module.MAIN) or results[case.name].value(first) is not None)
    return "\n".join(_table(list(sort), results, module.COLUMNS, main) for _, sort in sorts)


def _table(found: list[Case], results: dict[str, Result], titles: dict[str, str], main: str) -> str:
    columns = [one for one in titles if any(results[case.name].value(one) is not None for case in found)]
    rows = [["", *(titles[one] for one in columns), "values counted", *(["ratio"] if main else [])]]
    return _markdown(rows + [_row(case, results, columns, main) for case in found])


def _row(case: Case, results: dict[str, Result], columns: Sequence[str], main: str) -> list[str]:
    result = results[case.name]
    if result.error is not None or result.skipped is not None:
        problem = f"**error**: {_line(result.error)}" if result.error else f"left out: {_line(result.skipped or '')}"
        return [case.name, problem, *[""] * (len(columns) + bool(main))]
    cells = [number(result.value(column)) for column in columns]
    return [case.name, *cells, f"{result.counted:,}", *([_ratio(case, results, main)] if main else [])]


def _ratio(case: Case, results: dict[str, Result], main: str) -> str:
    """Return the ratio to the case that this one is compared with, if both have a value that counts."""
    if not case.against or case.against not in results:
        return ""
    own, other = results[case.name].value(main), results[case.against].value(main)
    if own is None or not other or other <= 0:
        return f"none ({case.against} has no value)"
    if 0 < own < other / 10:
        return f"1/{number(other / own)} of {case.against}"
    return f"{number(own / other)} x {case.against}"


def _line(text: str) -> str:
    """Return a text's end as a line that a cell can hold."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    last = lines[0] if len(lines) == 1 else f"{lines[0][:40]} … {lines[-1]}"
    return last[:_CHARACTERS].replace("|", "/")


def _markdown(rows: list[list[str]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---" + "|---:" * (len(rows[0]) - 1) + "|", *body]) + "\n"


def goals_table(name: str, results: Results) -> str:
    """Return a script's goals as a Markdown table, and the reasons written down for those that are missed."""
    reasons = yaml.safe_load(REASONS.read_text()) or {} if REASONS.exists() else {}
    rows = [["Goal", "Limit", "Measured", "Rounds", "Met"]]
    why: defaultdict[str, list[str]] = defaultdict(list)
    for goal, measured, met in judged({name: results[name]}):
        unit = f" {goal.unit}" if measured is not None else ""
        spread = goal.spread(results)
        rounds = MISSING if spread is None else f"{number(spread[0])} to {number(spread[1])}"
        met_or_not = {True: "yes", False: "**no**"}.get(met, MISSING)
        rows.append([goal.what, goal.limit, number(measured) + unit, rounds, met_or_not])
        if measured is None and len(goal.found(results)) == 2:  # noqa: PLR2004 - both are there
            noise = "The goal cannot be judged here, since what it is compared with is not above 0."
            why[" ".join([noise, reasons.get(goal.key, "")]).rstrip()].append(goal.what)
        if met is False:
            why[reasons.get(goal.key, f"No reason is written down yet (`{goal.key}`).")].append(goal.what)
    if len(rows) == 1:
        return ""
    text = _markdown(rows).replace("|---:", "|---")
    because = "\n".join(f"* *{'*, *'.join(goals)}*: {reason}" for reason, goals in why.items())
    return text + (f"\nWhy goals are missed:\n\n{because}\n" if why else "")


def page(data: dict[str, Any], results: Results, charts: dict[str, str]) -> str:
    """Return `performance.md`, which shows the charts of these titles at these places."""
    verdicts = [met for _, _, met in judged(results)]
    pictures = "\n".join(f"![{title}]({place})" for title, place in charts.items())
    parts = [HEAD.format(rounds=data["rounds"], charts=pictures, met=verdicts.count(True), goals=len(verdicts))]
    for name, found in results.items():
        module = script(name)
        parts += [f"## {module.TITLE}\n\n", module.ABOUT, "\n\n", table(name, found), "\n"]
        if goals := goals_table(name, results):
            parts += [goals, "\n"]
    machine = ", ".join(f"{value}" for value in data["machine"].values())
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    parts += ["## Where and when\n\n", f"{data['date']}; {machine}.\n\nVersions: {versions}.\n"]
    return "".join(parts)


def write(folder: Path, pages: Path, data: dict[str, Any], results: Results) -> None:
    """Write the JSON file and the charts into a folder, and the page into another one or the same."""
    from benchmarks._chart import charts

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "performance.json").write_text(json.dumps(data, indent=1) + "\n")
    drawn = charts(results, folder)
    places = {title: Path(os.path.relpath(place, pages)).as_posix() for title, place in drawn.items()}
    (pages / "performance.md").write_text(page(data, results, places))


def _machine() -> dict[str, str]:
    gibibytes = psutil.virtual_memory().total / 2**30
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()} cores",
        "memory": f"{gibibytes:.0f} GiB",
        "system": platform.platform(terse=True),
        "python": f"Python {platform.python_version()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            yield package, metadata.version(package)
