"""DVCLive's tables: many rows are appended at once, byte for byte as `Live.log_metric` appends them one by one."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]
"""Milliseconds since 1970 where they are wanted, step, value."""


@contextlib.contextmanager
def appended(plots: Path, rows: Mapping[str, Sequence[Row]]) -> Iterator[None]:
    """Append rows, and take them back if that fails or what is done inside.

    Args:
        plots: The folder of all plots.
        rows: The rows of each metric, by the name that DVCLive knows it by.
    """
    sizes: dict[Path, int] = {}
    try:
        for name, lines in rows.items():
            path = plots / "metrics" / f"{name}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                sizes[path] = file.tell()
                columns = ("timestamp", "step", name.rpartition("/")[2])[-len(lines[0]) :]
                file.write(_text(lines if sizes[path] else [columns, *lines]))
        yield
    except BaseException:
        for path, size in sizes.items():
            if size:
                os.truncate(path, size)
            else:
                path.unlink()
        raise


def _text(lines: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t", lineterminator=os.linesep).writerows(lines)
    return text.getvalue().encode()
