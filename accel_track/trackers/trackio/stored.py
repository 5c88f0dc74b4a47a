"""The values of Trackio's rows as what was logged, and its artifacts as files with their names."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from accel_track import media
from accel_track.media.sums import sha256
from accel_track.records import Artifact, Metrics
from accel_track.trackers.reading.copies import copied, only
from accel_track.trackers.reading.lost import UNREADABLE, LostError
from accel_track.trackers.reading.media import medium_of_file, picture, whole
from accel_track.trackers.reading.places import file_within
from accel_track.trackers.reading.values import step_of, with_numbers

_SCALARS = frozenset((float, int, bool, str))
_PAGE = re.compile(
    r'<!doctype html><html><head><meta charset="utf-8"><style>[^<]*</style></head><body>(.*)</body></html>', re.DOTALL
)
"""A page that Trackio makes of a part of one."""

_POINTS = [("place", "<f4", 3), ("colour", "u1", 3), ("category", "u1")]
_POINTS_HEAD = re.compile(
    rb"ply\nformat binary_little_endian 1\.0\nelement vertex (\d{1,9})\n"
    rb"property float x\nproperty float y\nproperty float z\n"
    rb"property uchar red\nproperty uchar green\nproperty uchar blue\nproperty uchar category\nend_header\n"
)
_GREY = (148, 163, 184)
"""The colour of points that were logged without one."""


def logged(value: Any, folder: Path) -> Any:
    """Return the number, text, medium or dictionary of such that a value of a row stands for; a path of a 3D model.

    Args:
        value: The value.
        folder: The folder of media.

    Raises:
        LostError: It cannot be read, or there is nothing of its kind here.
    """
    if type(value) is list and value and _SCALARS.issuperset(map(type, value)):
        return with_numbers(value)
    if type(value) is not dict:
        if type(value) in _SCALARS:
            return with_numbers(value)
        message = "a value that is neither number, text nor medium"
        raise LostError(message)
    kind = value.get("_type")
    if kind is None:
        return {name: logged(item, folder) for name, item in value.items()}
    if not isinstance(kind, str) or kind not in _KINDS:
        message = f"a value of the kind {kind!s:.40}"
        raise LostError(message)
    try:
        one = _KINDS[kind](value, folder)
        return whole(one) if isinstance(one, media.Medium) else one
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        message = f"a value of the kind {kind}, which is damaged"
        raise LostError(message) from error


def _of_file(make: Callable[[Path, str], Any], value: Mapping[str, Any], folder: Path) -> Any:
    return make(file_within(value["file_path"], folder), value.get("caption") or "")


def _html(file: Path, caption: str) -> media.Html:
    found = _PAGE.fullmatch(text := file.read_bytes().decode(errors="replace"))
    return media.Html(found[1] if found else text, caption)


def _points(file: Path, caption: str) -> Any:
    """Return points, where it is a file that Trackio makes of an array; the path of any other 3D model."""
    import numpy as np

    data = file.read_bytes() if file.suffix == ".ply" else b""
    head = _POINTS_HEAD.match(data)
    size = 0 if head is None else int(head[1])
    if head is None or not size or len(data) != head.end() + size * np.dtype(_POINTS).itemsize:
        return file
    points = np.frombuffer(data, _POINTS, offset=head.end())
    columns = [points["place"]]
    if points["category"].any():
        columns.append(points["category"][:, None])
    elif (points["colour"] != _GREY).any():
        columns.append(points["colour"])
    return media.Points3D(np.hstack([one.astype(np.float32) for one in columns]), caption)


def _table(value: Mapping[str, Any]) -> media.Table:
    rows = value["_value"]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return media.Table([[_cell(row.get(name)) for name in columns] for row in rows], columns)


def _cell(value: Any) -> Any:
    """Return the cell of a table: tables hold numbers and texts, so a medium is a text that says what there was."""
    if type(value) not in (dict, list):
        return with_numbers(value)
    return msgspec.json.encode(value).decode()


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Path], Any]] = {
    "trackio.image": partial(_of_file, picture),
    "trackio.audio": partial(_of_file, lambda file, caption: media.Audio(file, caption=caption)),
    "trackio.video": partial(_of_file, lambda file, caption: media.Video(file, caption=caption)),
    "trackio.html": partial(_of_file, _html),
    "trackio.object3d": partial(_of_file, _points),
    "trackio.table": lambda value, _: _table(value),
    "trackio.histogram": lambda value, _: media.Histogram(counts=value["values"], edges=value["bins"]),
    "trackio.markdown": lambda value, _: media.Text(value["_value"]),
}


class Artifacts:
    """The versions of artifacts that a run has logged.

    Args:
        connection: To the project's database.
        database: Its file.
        run: The run's id.
        scratch: A folder for the files, by their names.
    """

    def __init__(self, connection: sqlite3.Connection, database: Path, run: str, scratch: Path) -> None:
        """Look at nothing yet."""
        self._connection, self._run, self._scratch = connection, run, scratch
        self._blobs = database.parent / "artifacts" / database.stem / "blobs" / "sha256"
        self.lost: Counter[str] = Counter()

    def versions(self) -> Iterator[tuple[Any, Callable[[float], Artifact | Metrics]]]:
        """Yield the time of each version, as stored, and what makes the record of it."""
        tables = {name for (name,) in self._connection.execute("select name from sqlite_master where type = 'table'")}
        if not tables >= {"artifacts", "artifact_versions", "run_artifact_links"}:
            return
        # Equal contents are one version, which all runs that logged it are linked with.
        found = self._connection.execute(
            "select v.id, a.name, a.type, v.manifest, v.metadata, v.created_at from artifact_versions v"
            " join artifacts a on a.id = v.artifact_id where v.producer_run_id = ?1 or v.id in (select"
            " artifact_version_id from run_artifact_links where run_id = ?1 and direction = 'output') order by v.id",
            (self._run,),
        )
        for number, name, kind, manifest, metadata, moment in found:
            try:
                files = msgspec.json.decode(manifest, type=list[dict[str, Any]])
                known = msgspec.json.decode(metadata, type=dict[str, Any]) if metadata else {}
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.lost["an artifact whose list of files is damaged"] += 1
                continue
            if known.get("deleted") is not True:
                yield moment, partial(self._made, str(number), str(name), str(kind), files, known)

    def _made(
        self, number: str, name: str, kind: str, files: list[dict[str, Any]], known: dict[str, Any], time: float
    ) -> Artifact | Metrics:
        place = self._scratch / "artifacts" / number
        paths = []
        for file in files:
            try:
                paths.append(self._file(file, place))
            except LostError as error:  # noqa: PERF203 - the other files are there
                self.lost[str(error)] += 1
        if not paths:
            message = "an artifact without a file that can be read"
            raise LostError(message)
        step = step_of(known.get("step"))
        known = {key: value for key, value in known.items() if key != "step" or step is None}
        if kind == "media" and isinstance(known.get("name"), str) and (one := medium_of_file(paths[0])) is not None:
            return Metrics(-1, time, {known["name"]: one}, step)
        own = name.removesuffix(f"-{self._run[:8]}") if kind in ("model", "media") else name
        path = only(place, paths) if len(files) == 1 else place
        return Artifact(-1, time, with_numbers(known), name=own, path=str(path), type=kind, step=step)

    def _file(self, file: Mapping[str, Any], place: Path) -> Path:
        if "ref" in file:
            message = "a file of an artifact that is somewhere else"
            raise LostError(message)
        digest, name = str(file.get("digest")), str(file.get("path"))
        blob = file_within(f"{digest[:2]}/{digest}", self._blobs)
        try:
            is_whole = sha256(blob) == digest
        except OSError as error:
            raise LostError(UNREADABLE) from error
        if not is_whole:
            message = "a file of an artifact that was changed since"
            raise LostError(message)
        return copied(blob, place, name)
