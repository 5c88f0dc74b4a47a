"""The artifacts of an Aim run, in the folder that its address of artifacts names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from accel_track.records import Artifact, Metrics
from accel_track.trackers.aim.containers import Container
from accel_track.trackers.aim.files import safe_path
from accel_track.trackers.aim.values import EMPTY
from accel_track.trackers.reading.copies import copied, new_folder, only
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.media import medium_of_file
from accel_track.trackers.reading.places import file_within
from accel_track.trackers.reading.values import step_of
from accel_track.values.plain import storable

_MEDIUM = re.compile(r"media/(?P<name>.+)/(?:step-(?P<step>\d+)-)?(?P<time>\d{1,17})-[0-9a-f]{8}\.\w[^/]*")


class KeptFiles:
    """The files of a run.

    Args:
        root: The folder beside which the repository is: nothing outside of it is read.
        run: The run's hash.
        books: What accel_track's tracker has noted about them, by the kind.
        scratch: A folder for files of artifacts, by their names.
    """

    def __init__(self, root: Path, run: str, books: Mapping[str, Any], scratch: Path) -> None:
        """Look at nothing yet."""
        self._root, self._run, self._books, self._scratch = root, run, books, scratch
        self.lost: Counter[str] = Counter()

    def records(self, meta: Container, created: float) -> Iterator[Metrics | Artifact]:
        """Yield the files with their names.

        Args:
            meta: The run's container of what is known about it.
            created: The time of those that have no other.
        """
        found, address = meta.value("artifacts"), meta.value("artifacts_uri")
        files: dict[str, Path] = {}
        for key in found if isinstance(found, dict) else ():
            try:
                files[str(key)] = self._file(str(address), str(key))
            except LostError as error:  # noqa: PERF203 - the other files are there
                self.lost[str(error)] += 1
        for (kind, name), parts in self._grouped(files).items():
            try:
                yield self._record(kind, name, parts, created)
            except LostError as error:  # noqa: PERF203 - the other files are there
                self.lost[str(error)] += 1

    def _file(self, address: str, key: str) -> Path:
        parts = urlsplit(address)
        if parts.scheme != "file":
            message = "an artifact that is not on this computer"
            raise LostError(message)
        place = Path(parts.path)
        # The repository may have been moved, with the folder of artifacts beside it.
        place = place if place.is_relative_to(self._root) else self._root / place.name
        return file_within((place / self._run / key).relative_to(self._root), self._root)

    def _grouped(self, files: Mapping[str, Path]) -> Mapping[tuple[str, str], dict[str, Path]]:
        """Return the files of each artifact by their names in it."""
        known = {
            (kind, name): f"checkpoints/{name}/" if kind == "checkpoints" else f"{safe_path(_given(name))}/"
            for kind, book in self._books.items()
            for name in book
        }
        groups: dict[tuple[str, str], dict[str, Path]] = defaultdict(dict)
        for key, file in files.items():
            place = next((one for one, prefix in known.items() if key.startswith(prefix)), None)
            if place is None:
                groups["file", key][key.rpartition("/")[2]] = file
            else:
                groups[place][key[len(known[place]) :]] = file
        return groups

    def _record(self, kind: str, name: str, parts: Mapping[str, Path], created: float) -> Metrics | Artifact:
        if kind == "file" and (found := _MEDIUM.fullmatch(name)):
            (file,) = parts.values()
            if (medium := medium_of_file(file)) is not None:
                step = None if found["step"] is None else int(found["step"])
                return Metrics(-1, int(found["time"]) / 1000, {found["name"]: medium}, step)
        about = dict(self._books.get(kind, {}).get(name, {}))
        step = about.pop("step", None)
        own = {"checkpoints": "model", "artifacts": str(about.pop("type", "artifact"))}.get(kind, "file")
        folder = new_folder(self._scratch)
        path = only(folder, [copied(file, folder, part) for part, file in parts.items()])
        return Artifact(-1, created, storable(about), name=_given(name), path=str(path), type=own, step=step_of(step))


def _given(name: str) -> str:
    return "" if name == EMPTY else name
