"""DVCLive's tables of metrics, in the form in which it writes them, and `metrics.json` as it follows from them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Line = tuple[Any, ...]
"""Milliseconds since 1970 where they are wanted, step, value."""


@contextmanager
def appended(plots: Path, lines: Mapping[str, Sequence[Line]]) -> Iterator[None]:
    """Append lines, byte for byte as `Live.log_metric` does, and take them back if that or what is inside fails.

    Args:
        plots: The folder of all plots.
        lines: The lines of each metric, by the name that DVCLive knows it by.
    """
    sizes: dict[Path, int] = {}
    try:
        for name, some in lines.items():
            path = plots / "metrics" / f"{name}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                sizes[path] = file.tell()
                columns = ("timestamp", "step", name.rpartition("/")[2])[-len(some[0]) :]
                file.write(_text(some if sizes[path] else [columns, *some]))
        yield
    except BaseException:
        for path, size in sizes.items():
            if size:
                os.truncate(path, size)
            else:
                path.unlink()
        raise


def cut_tables(folder: Path, step: int) -> None:
    """Remove the lines of a step and later ones from all tables; a table without lines goes."""
    for path, columns, lines in _tables(folder):
        kept = [line for line in lines if int(line["step"]) < step]
        if not kept:
            path.unlink()
        elif len(kept) < len(lines):
            partial = path.with_suffix(".part")
            partial.write_bytes(_text([columns, *(list(line.values()) for line in kept)]))
            partial.replace(path)


def summary(folder: Path) -> dict[str, Any]:
    """Return the content of `metrics.json`: each metric's last value, and the last step."""
    found: dict[str, Any] = {}
    last = -1
    for path, _, lines in _tables(folder):
        *parents, name = path.relative_to(folder / "plots" / "metrics").with_suffix("").parts
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
        if lines:
            place[name] = _value(lines[-1][name])
            last = max(last, int(lines[-1]["step"]))
    return {**found, "step": last} if last >= 0 else found


def mend_summary(folder: Path) -> None:
    """Write `metrics.json` again from the tables, if the process ended before or while DVCLive was writing it."""
    file = folder / "metrics.json"
    try:
        json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        partial = file.with_suffix(".part")
        if found := summary(folder):
            partial.write_text(json.dumps(found, indent=4), encoding="utf-8")
            partial.replace(file)


def _tables(folder: Path) -> Iterator[tuple[Path, list[str], list[dict[str, str]]]]:
    for path in sorted((folder / "plots" / "metrics").rglob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            yield path, list(reader.fieldnames or ()), list(reader)


def _text(lines: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t", lineterminator=os.linesep).writerows(lines)
    return text.getvalue().encode()


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            value: int | float = kind(text)
        except ValueError:
            continue
        return text if text in ("nan", "inf", "-inf") else value
    return text
