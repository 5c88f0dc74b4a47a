"""The reader of DVCLive's folders: tables of metrics, parameters, images, plots and artifacts."""

from __future__ import annotations

import heapq
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from accel_track.files import read_file
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.dvclive.steps import IMAGES, OTHERS, step_in
from accel_track.trackers.dvclive.stored_plots import medium_in
from accel_track.trackers.reading.calls import Point, calls
from accel_track.trackers.reading.lost import OUTSIDE
from accel_track.trackers.reading.places import is_within, stays_within
from accel_track.trackers.reading.tables import cell, rows, step_in_cell
from accel_track.trackers.reading.walks import walked
from accel_track.trackers.reading.yaml import plain_yaml
from accel_track.values.plain import is_number, leaves

_LARGEST_SUMMARY = 2**24
_MOST_OPEN = 200
_PARAMS, _SUMMARY, _LISTED = "params.yaml", "metrics.json", "dvc.yaml"
_Placed = tuple[float, int, Point]
"""Step, number among the values of its name and step, and the value."""


class DVCLiveRun(BackendRun):
    """One folder of a `dvclive.Live`.

    Args:
        id: The folder, relative to the one that holds all runs.
        folder: The folder.
        listed: The file that lists its artifacts; None: `dvc.yaml` in the folder or beside it.
    """

    def __init__(self, id: str, folder: Path, listed: Path | None = None) -> None:  # noqa: A002 - the base's word
        """Read the parameters."""
        super().__init__(id)
        self.name = folder.parent.name if folder.name.startswith("dvclive") and folder.parent.name else folder.name
        self._folder, self._listed = folder, listed
        self._tables = dict(self._files("metrics", ".tsv"))
        tops = [folder / name for name in (_PARAMS, _SUMMARY)]
        times = [
            file.stat().st_mtime
            for file in (*tops, *self._tables.values())
            if file.is_file() and is_within(file, folder)
        ]
        self._changed = min(times, default=0.0)
        """The time of the oldest file's last change, which stands for times that DVCLive has not stored."""
        self.config = self._yaml(folder / _PARAMS)

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact]:
        """Yield the values of each step together, media among them, and then the artifacts."""
        placed = [self._of_table(name, file) for name, file in self._tables.items()]
        placed += [self._media(scratch), self._summary()]
        for begin in range(0, len(placed), _MOST_OPEN):
            merged = heapq.merge(*placed[begin : begin + _MOST_OPEN], key=lambda one: one[:2])
            yield from calls(point for _, _, point in merged)
        yield from self._artifacts()

    def _files(self, kind: str, suffix: str = "") -> Iterator[tuple[str, Path]]:
        """Yield the files of a kind of plots by their paths, without their suffix where one is given."""
        root = self._folder / "plots" / kind
        for folder, _, names in walked(root):
            for file in (folder / name for name in names if name.endswith(suffix) and not name.startswith(".")):
                if is_within(file, self._folder):
                    yield file.relative_to(root).as_posix().removesuffix(suffix), file
                else:
                    self.lost[OUTSIDE] += 1

    def _point(self, step: int | None, name: str, value: Any, time: float | None = None) -> Point:
        return self._changed if time is None else time, step, name, value

    def _of_table(self, name: str, file: Path) -> Iterator[_Placed]:
        table = rows(file, self.lost, "\t")
        columns = next(table, ["step", ""])
        if columns[:-1] not in (["step"], ["timestamp", "step"]):
            self.lost["a table of a metric has other columns than a step and a value"] += 1
            return
        last, again, dated = None, 0, len(columns) > 2  # noqa: PLR2004 - the step and the value
        for *first, text in table:
            step, moment = step_in_cell(first[-1]), cell(first[0]) if dated else None
            if step is None:
                self.lost["a line of a metric's table has no step"] += 1
                continue
            time = moment / 1000 if isinstance(moment, (int, float)) else None
            again = again + 1 if step == last else 0
            last = step
            yield step, again, self._point(step, name, cell(text), time)

    def _summary(self) -> Iterator[_Placed]:
        """Yield the last values of metrics that have no table."""
        file = self._folder / _SUMMARY
        if not file.is_file() or not is_within(file, self._folder):
            return
        try:
            found = json.loads(read_file(file, _LARGEST_SUMMARY))
            values = dict(leaves(found))
        except (OSError, ValueError, RecursionError, AttributeError) as error:
            self.lost[f"{_SUMMARY} cannot be read: {error}"] += 1
            return
        step = step_in_cell(str(values.pop("step", "")))
        for name, value in values.items():
            if name not in self._tables and (is_number(value) or isinstance(value, str)):
                yield math.inf if step is None else step, 0, self._point(step, name, value)

    def _media(self, scratch: Path) -> Iterator[_Placed]:
        """Yield images and the files of other media in the order of their steps."""
        found: list[tuple[float, int, str, Path]] = []
        for kind in (IMAGES, OTHERS, "custom", "sklearn"):
            for path, file in self._files(kind):
                name, _, last = path.rpartition("/")
                step = step_in(last) if name and kind in (IMAGES, OTHERS) else None
                whole = path.removesuffix(".json") if kind in ("custom", "sklearn") else path
                if step is not None:
                    found.append((step, len(found), name, file))
                elif kind == IMAGES or not (self._folder / "plots" / OTHERS / whole).is_dir():
                    found.append((math.inf, len(found), whole, file))
        numbers: dict[tuple[str, float], Iterator[int]] = {}
        for place, _, name, file in sorted(found):
            step = None if math.isinf(place) else int(place)
            try:
                medium = medium_in(file, scratch)
            except Exception:  # noqa: BLE001 - anything may be in a file that somebody else wrote
                self.lost["a file of an image or plot cannot be read"] += 1
                continue
            if medium is None:
                value: Any = Artifact(-1, self._changed, {}, name=name, path=str(file), step=step)
            else:
                value = medium
            yield place, next(numbers.setdefault((name, place), count())), self._point(step, name, value)

    def _yaml(self, file: Path) -> dict[str, Any]:
        if not file.is_file():
            return {}
        if not is_within(file, file.parent):
            self.lost[OUTSIDE] += 1
            return {}
        try:
            return plain_yaml(file, newer=True)
        except (OSError, ValueError) as error:
            self.lost[f"{file.name} cannot be read: {error}"] += 1
            return {}

    def _artifacts(self) -> Iterator[Artifact]:
        """Yield the artifacts that `dvc.yaml` lists for this run."""
        files = [self._listed] if self._listed else [self._folder / _LISTED, self._folder.parent / _LISTED]
        for file in files:
            content = self._yaml(file)
            metrics = content.get("metrics")
            alone = isinstance(metrics, list) and any(
                isinstance(one, str) and (file.parent / one).resolve() == (self._folder / _SUMMARY).resolve()
                for one in metrics
            )
            artifacts = content.get("artifacts")
            for name, entry in artifacts.items() if isinstance(artifacts, dict) else ():
                if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                    target = file.parent / entry["path"]
                    if alone or is_within(target, self._folder):
                        yield from self._artifact(name, target, file.parent, entry)

    def _artifact(self, name: str, target: Path, root: Path, entry: Mapping[str, Any]) -> Iterator[Artifact]:
        if not stays_within(target, root):
            self.lost[OUTSIDE] += 1
        elif not target.exists():
            self.lost["an artifact is not there, but in DVC's cache or nowhere"] += 1
        else:
            meta = entry.get("meta")
            about = dict(meta) if isinstance(meta, dict) else {}
            step, given = about.pop("step", None), about.pop("name", name)
            about |= {key: entry[key] for key in ("desc", "labels") if key in entry}
            yield Artifact(
                -1,
                target.stat().st_mtime,
                about,
                name=str(given),
                path=str(target),
                type=str(entry.get("type", "artifact")),
                step=step_in_cell(str(step)),
            )


def is_run(folder: Path, names: Sequence[str]) -> bool:
    """Return whether a folder is one of DVCLive's: with a table of a metric, or a summary beside parameters or plots.

    Args:
        folder: The folder.
        names: The names of its files.
    """
    tables = (name for _, _, some in walked(folder / "plots" / "metrics") for name in some if name.endswith(".tsv"))
    beside = _PARAMS in names or os.path.isdir(folder / "plots")
    return next(tables, None) is not None or (_SUMMARY in names and beside)


def run_folders(root: Path, *, quick: bool = False) -> Iterator[Path]:
    """Yield the folders of runs below a folder; `quick` as for `walked`."""
    return (folder for folder, _, names in walked(root, quick=quick) if is_run(folder, names))


def run_in(folder: Path, root: Path) -> DVCLiveRun:
    """Return the run of a folder below the one that holds all runs."""
    return DVCLiveRun(folder.name if folder == root else folder.relative_to(root).as_posix(), folder)
