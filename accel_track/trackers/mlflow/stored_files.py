"""The files of an MLflow run: which of them are media, artifacts and models, and what they hold."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.media.kinds import Histogram, Medium, Table, Video
from accel_track.records import Artifact
from accel_track.trackers.mlflow.artifact_files import Files, files_at
from accel_track.trackers.mlflow.files import ABOUT
from accel_track.trackers.mlflow.stored_run import StoredModel, StoredRun
from accel_track.trackers.mlflow.tables import TABLES, listed_in
from accel_track.trackers.reading.copies import new_folder
from accel_track.trackers.reading.lost import LostError, MissingError
from accel_track.trackers.reading.media import read_medium, whole
from accel_track.trackers.reading.values import json_file, step_of, with_numbers

_IMAGE = re.compile(r"images/(.+?)[+%]step[+%](-?\d{1,18})[+%]timestamp[+%](\d{1,18})[+%][^/]*\.png", re.DOTALL)
_SMALL = re.compile(r"images/.+[+%]step[+%]-?\d+[+%]timestamp[+%]\d+[+%][^/]*\.webp", re.DOTALL)
_MEDIUM = re.compile(r"media/(.+)/step-(\d{1,18})-(\d{1,18})-[0-9a-f]{8}(\.[^/]+)", re.DOTALL)
_CHECKPOINT = re.compile(r"checkpoints/(.+)/" + re.escape(ABOUT), re.DOTALL)
_ABOUT = f".{ABOUT}"

_INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}

_Place = tuple[int, int, str, Any]


class _Stored(NamedTuple):
    """A medium's file that is not fetched yet."""

    path: str
    suffix: str


class StoredFiles:
    """The files of one run.

    Args:
        folders: The local folders in which they may be; None: wherever they are.
        tracking_uri: The server that gets them, or None.
        lost: Counts, by a sentence, what cannot be read.
        scratch: An empty folder for what has to be somewhere.
    """

    _files: Files

    def __init__(
        self, folders: Sequence[str] | None, tracking_uri: str | None, lost: Counter[str], scratch: Path
    ) -> None:
        """Read nothing yet."""
        self._folders, self._uri, self._lost, self._scratch = folders, tracking_uri, lost, scratch

    def of_run(self, run: StoredRun) -> tuple[list[_Place], Callable[[], Iterator[Artifact]]]:
        """Return the media in the order of their times, and what yields the artifacts."""
        began = run.began or 0
        paths = self._paths(run.address)
        tables = {path for path in listed_in(run.tags.get(TABLES)) if path in paths}
        media: list[_Place] = []
        rest: list[str] = []
        for path in paths:
            if found := _IMAGE.fullmatch(path):
                key, step, moment = found.groups()
                media.append((int(moment), int(step), key.replace("~", "/").replace("#", "/"), _Stored(path, ".png")))
            elif found := _MEDIUM.fullmatch(path):
                name, step, moment, suffix = found.groups()
                media.append((int(moment), int(step), name, _Stored(path, suffix)))
            elif path in tables and path.endswith(".json"):
                media.append((began, -1, path.removesuffix(".json"), _Stored(path, ".json")))
            elif not _SMALL.fullmatch(path):
                rest.append(path)
        return sorted(media, key=lambda one: one[:2]), lambda: self._artifacts(rest, began / 1000)

    def _paths(self, address: str | None) -> list[str]:
        if address is None:
            return []
        try:
            self._files = files_at(address, self._folders, self._uri)
            return list(self._files.paths())
        except MissingError:  # as of a run without artifacts
            pass
        except LostError as error:
            self._lost[str(error)] += 1
        return []

    def medium(self, stored: _Stored) -> Medium | None:
        """Return a medium, None if it cannot be read."""
        try:
            return _medium(self._files.fetch(stored.path, new_folder(self._scratch)), stored.suffix)
        except LostError as error:
            self._lost[str(error)] += 1
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            self._lost["a medium whose file is damaged"] += 1
        return None

    def _artifacts(self, paths: Sequence[str], moment: float) -> Iterator[Artifact]:
        """Yield artifacts: checkpoints, and what is in each folder at the top, or alone there."""
        about = {path.removesuffix(_ABOUT): path for path in paths if path.endswith(_ABOUT)}
        checkpoints = {found[1]: found[0] for path in paths if (found := _CHECKPOINT.fullmatch(path))}
        parts: dict[tuple[str, str], list[str]] = {}
        for path in paths:
            if path in about.values() or path in checkpoints.values():
                continue
            owner = next((name for name in checkpoints if path.startswith(f"checkpoints/{name}/")), None)
            if owner is not None:
                parts.setdefault((f"checkpoints/{owner}", owner), []).append(path)
                continue
            top = next((name for name in about if path == name or path.startswith(f"{name}/")), path.split("/", 1)[0])
            parts.setdefault((top, top), []).append(path)
        for (place, name), files in parts.items():
            told = self._told(checkpoints[name] if name in checkpoints and place != name else about.get(place))
            kind = "model" if place != name or f"{place}/MLmodel" in files else "artifact"
            yield from self._artifact(self._files, place, name, files, told, kind, moment)

    def _artifact(
        self, files: Files, place: str, name: str, paths: Sequence[str], told: dict[str, Any], kind: str, moment: float
    ) -> Iterator[Artifact]:
        folder = new_folder(self._scratch)
        got = [path for path in paths if self._fetched(files, path, folder)]
        if not got:
            return
        step = told.pop("step", None)
        metadata = told.pop("metadata", {}) if kind != "model" or "metadata" in told else told
        known = metadata if isinstance(metadata, dict) else {}
        where = folder if place == "" else folder / place
        alone = list(where.iterdir()) if where.is_dir() else []
        if len(got) == 1 and len(alone) == 1 and alone[0].is_file():
            where = alone[0]
        yield Artifact(-1, moment, known, name, str(where), str(told.get("type", kind)), step_of(step))

    def _fetched(self, files: Files, path: str, folder: Path) -> bool:
        try:
            files.fetch(path, folder)
        except LostError as error:
            self._lost[str(error)] += 1
            return False
        return True

    def _told(self, path: str | None) -> dict[str, Any]:
        """Return the facts of an artifact in a file."""
        if path is None:
            return {}
        try:
            told = json_file(self._files.fetch(path, new_folder(self._scratch)))
        except LostError as error:
            self._lost[str(error)] += 1
            return {}
        return dict(told) if isinstance(told, dict) else {}

    def models(self, models: Iterator[StoredModel]) -> Iterator[Artifact]:
        """Yield the models of a run."""
        for model in models:
            try:
                files = files_at(model.address, self._folders, self._uri)
                paths = list(files.paths())
            except MissingError:
                continue
            except LostError as error:
                self._lost[str(error)] += 1
                continue
            own = [path for path in paths if path != ABOUT]
            yield from self._artifact(files, "", model.name, own, {"step": model.step}, "model", 0.0)


def _medium(path: Path, suffix: str) -> Medium:
    if suffix == ".json":
        content = json_file(path)
        if "counts" in content:
            return whole(Histogram(counts=content["counts"], edges=content["edges"]))
        return whole(Table(with_numbers(content["data"], _INFINITE), [str(one) for one in content["columns"]]))
    if suffix == ".gif":  # also one that does not move
        return whole(Video(path))
    if (found := read_medium(path)) is None:
        message = "a medium in a file of a kind that is not known"
        raise LostError(message)
    return found
