"""The folder `mlruns` of MLflow's file store, which newer versions of MLflow do not open any more.

Format: a folder for each experiment, and in it for each run, with a `meta.yaml` each; files by name in `params` and
`tags`, and in `metrics` with a line "milliseconds value step" for each value. Source:
`mlflow/store/tracking/file_store.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from accel_track.errors import NotReadableError
from accel_track.trackers.mlflow.stored_run import Point, StoredModel, StoredRun
from accel_track.trackers.reading.walks import files_below

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_LARGEST = 1 << 20
_LINES = 1000
"""The number of lines of a file that are read at once, with only one file open at a time."""


def is_folder(path: str) -> bool:
    """Return whether a folder holds experiments of MLflow's; never raises."""
    try:
        return any("artifact_location" in _about(one) for one in Path(path).iterdir())
    except (OSError, ValueError):
        return False


class Folder:
    """The folder of a store.

    Args:
        path: The folder.
        folders: As for `Store`.
    """

    def __init__(self, path: str, folders: Sequence[str] | None) -> None:
        """Read nothing yet."""
        self._path, self.folders = Path(path), folders

    def runs(self, experiment: str | None, run_id: str | None = None) -> Iterator[StoredRun]:
        """Yield runs."""
        if not is_folder(str(self._path)):
            message = f"mlflow: {str(self._path)!r} is no folder of experiments of MLflow's."
            raise NotReadableError(message)
        found: list[tuple[int, Path, str]] = []
        for home in sorted(self._path.iterdir()):
            about = _about(home)
            name = str(about.get("name", home.name))
            if (
                home.is_symlink()
                or not about
                or about.get("lifecycle_stage") == "deleted"
                or experiment not in (None, name)
            ):
                continue
            for place in home.iterdir():
                told = {} if place.is_symlink() else _about(place)
                if "run_id" in told and told.get("lifecycle_stage") != "deleted" and run_id in (None, place.name):
                    found.append((_integer(told.get("start_time")) or 0, place, name))
        for _, place, name in sorted(found):
            yield self._run(place, name)

    def _run(self, place: Path, experiment: str) -> StoredRun:
        about = _about(place)
        tags = dict(_texts(place / "tags"))
        address = _address(place, about.get("artifact_uri"))
        name = about.get("run_name") or tags.get("mlflow.runName")
        status, began = _STATUS.get(_integer(about.get("status")) or 0, ""), _integer(about.get("start_time"))
        params = dict(_texts(place / "params"))
        return StoredRun(place.name, experiment, name and str(name), status, began, address, params, tags)

    def points(self, run: StoredRun) -> Iterator[Point]:
        """Yield the values of all files in the order of their times."""
        (place,) = self._path.glob(f"*/{run.id}")
        series = [_series(path, name) for name, path in _files(place / "metrics")]
        return heapq.merge(*series, key=lambda point: (point[2], point[3]))

    def models(self, run: StoredRun) -> Iterator[StoredModel]:
        """Yield the models."""
        (place,) = self._path.glob(f"*/{run.id}")
        models = place.parent / "models"
        for home in sorted(models.iterdir()) if models.is_dir() else ():
            about = _about(home)
            if about.get("source_run_id") == run.id:
                told = _about(place / "outputs" / home.name)
                address = _address(home, about.get("artifact_location"))
                yield StoredModel(str(about.get("name")), address, _integer(told.get("step")))


def _about(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's `meta.yaml`; nothing if there is none, or a damaged one."""
    path = folder / "meta.yaml"
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            return {}
        found = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, (str, int))} if type(found) is dict else {}


def _address(home: Path, given: Any) -> str:
    """Return the place of a run's or model's artifacts: beside its description, even if the folder was moved."""
    own = home / "artifacts"
    return given if isinstance(given, str) and not (own.is_dir() and any(own.iterdir())) else str(own)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file of a folder and of those in there, but no link, and its path from there."""
    for path in () if folder.is_symlink() or not folder.is_dir() else files_below(folder, ""):
        yield path.relative_to(folder).as_posix(), path


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for name, path in _files(folder):
        if path.stat().st_size <= _LARGEST:
            yield name, path.read_text(encoding="utf-8", errors="replace")


def _series(path: Path, name: str) -> Iterator[Point]:
    place = 0
    while True:
        with path.open("rb") as file:
            file.seek(place)
            lines = list(islice(file, _LINES))
            place = file.tell() if not lines else place + sum(map(len, lines))
        if not lines:
            return
        for line in lines:
            yield _point(line, name)


def _point(line: bytes, name: str) -> Point:
    """Return the value of a line, None for one that is damaged, or was not written to its end."""
    try:
        at, value, step = line.decode().split()[:3]
        return name, float(value) if line.endswith(b"\n") else None, int(at), int(step)
    except ValueError:
        return name, None, 0, 0


def _integer(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
