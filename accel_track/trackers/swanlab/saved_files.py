"""The files in a SwanLab run's folder: its configuration, and what was saved there, as artifacts and media."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import yaml

from accel_track.records import Artifact, Metrics
from accel_track.trackers.reading.copies import copied, only
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.media import medium_of_file
from accel_track.trackers.reading.places import file_within
from accel_track.trackers.reading.values import step_of, with_numbers
from accel_track.values.plain import storable

_CUSTOM = 0
"""Number of the kind of what the user has saved, in SwanLab's protocol buffers."""

_WORDS = {"NaN": math.nan, "Inf": math.inf}
"""The texts that SwanLab stores for hyperparameters that are no numbers in JSON; it knows no -inf."""

_LARGEST_CONFIG = 1 << 20
_MOST_PARTS = 100_000
_MEDIUM = re.compile(r"(-|\d+)-[0-9a-f]{8}\.\w.*")
_MICROSECONDS = re.compile(r"\d{1,18}")


def configuration(folder: Path) -> dict[str, Any]:
    """Return the hyperparameters that are stored in a run's folder of files.

    Raises:
        LostError: They cannot be read.
    """
    if not (folder / "config.yaml").exists():
        return {}
    message = "hyperparameters, of which the file is damaged"
    try:
        text = file_within("config.yaml", folder).read_bytes()
        entries = yaml.safe_load(text) if len(text) <= _LARGEST_CONFIG else None
        if not isinstance(entries, dict) or _size(entries, _MOST_PARTS) < 0:
            raise LostError(message)
        config = {str(name): entry["value"] for name, entry in entries.items()}
        plain: dict[str, Any] = with_numbers(storable(config), _WORDS)
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError, RecursionError):
        raise LostError(message) from None
    return plain


def _size(value: Any, left: int) -> int:
    """Return the number of parts that a value may still have, where aliases make many parts of few."""
    left -= 1
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, set)) else ()
    for item in items:
        if left < 0:
            break
        left = _size(item, left)
    return left


class SavedFiles:
    """The files that a run has saved.

    Args:
        scratch: A folder for files of artifacts, by their names.
    """

    def __init__(self, scratch: Path) -> None:
        """Know of none."""
        self._scratch = scratch
        self._found: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
        self.lost: Counter[str] = Counter()

    def add(self, folder: Path, save: Any) -> None:
        """Note a file.

        Args:
            folder: The run's folder of files.
            save: SwanLab's record of it.
        """
        if save.type != _CUSTOM:
            return
        try:
            file = file_within(save.name, folder)
        except LostError as error:
            self.lost[str(error)] += 1
            return
        parts = PurePosixPath(save.name).parts
        # As accel_track's tracker saves them: artifacts/NAME/TIME/files/…, checkpoints/NAME/…, media/NAME/FILE.
        if parts[:1] == ("artifacts",) and len(parts) > 3 and _MICROSECONDS.fullmatch(parts[2]):  # noqa: PLR2004
            self._found[parts[:3]]["/".join(parts[3:])] = file
        elif parts[:1] == ("checkpoints",) and len(parts) > 1:
            self._found["checkpoints", parts[1].removesuffix(".json")]["/".join(parts[1:])] = file
        else:
            self._found["file", save.name][""] = file

    def records(self, created: float) -> Iterator[Metrics | Artifact]:
        """Yield the files with their names.

        Args:
            created: The time of those that have no other.
        """
        for place, files in self._found.items():
            try:
                if place[0] == "artifacts":
                    yield self._artifact(place, files)
                elif place[0] == "checkpoints":
                    yield self._checkpoint(place[1], files, created)
                else:
                    yield self._file(place[1], files[""], created)
            except LostError as error:  # noqa: PERF203 - the other files are there
                self.lost[str(error)] += 1

    def _artifact(self, place: tuple[str, ...], files: dict[str, Path]) -> Artifact:
        known = _json(files.pop("artifact.json", None))
        own = {name.removeprefix("files/"): file for name, file in files.items()}
        name, kind = str(known.get("name") or place[1]), str(known.get("type") or "artifact")
        metadata = known.get("metadata") if isinstance(known.get("metadata"), dict) else {}
        path, step = self._placed("/".join(place), own), step_of(known.get("step"))
        return Artifact(-1, int(place[2]) / 1e6, metadata or {}, name=name, path=str(path), type=kind, step=step)

    def _checkpoint(self, name: str, files: dict[str, Path], created: float) -> Artifact:
        known = _json(files.pop(f"{name}.json", None))
        own = {one.removeprefix(f"{name}/"): file for one, file in files.items()}
        path, step = self._placed(f"checkpoints/{name}", own), step_of(known.pop("step", None))
        return Artifact(-1, created, known, name=name, path=str(path), type="model", step=step)

    def _file(self, name: str, file: Path, created: float) -> Metrics | Artifact:
        parts = PurePosixPath(name).parts
        if parts[0] == "media" and len(parts) == 3 and (found := _MEDIUM.fullmatch(parts[2])):  # noqa: PLR2004
            medium = medium_of_file(file)
            if medium is not None:
                return Metrics(-1, created, {parts[1]: medium}, None if found[1] == "-" else int(found[1]))
        return Artifact(-1, created, {}, name=name, path=str(file), type="file")

    def _placed(self, place: str, files: dict[str, Path]) -> Path:
        """Return the folder with files by their names, or the only file."""
        if not files:
            message = "an artifact without files"
            raise LostError(message)
        folder = self._scratch / place
        return only(folder, [copied(file, folder, name) for name, file in files.items()])


def _json(file: Path | None) -> dict[str, Any]:
    try:
        return {} if file is None else msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
