"""The sequences of an Aim run as calls of `log`: sorted by time in a file, since Aim keeps them by name."""

from __future__ import annotations

import errno
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.records import Artifact, Metrics
from accel_track.trackers.aim.containers import Container
from accel_track.trackers.aim.stored import logged
from accel_track.trackers.aim.values import EMPTY
from accel_track.trackers.reading.calls import Point, calls
from accel_track.trackers.reading.lost import LostError

_NUMBERS = frozenset(("int", "float", "float64", "number"))
_SIZE = 9
_SIZES = {b"\1": 2, b"\2": _SIZE, b"\3": _SIZE}
"""Bytes of an encoded boolean, integer and float, by their first one."""

_TOGETHER = 1.0
"""Seconds within which values of one step are taken for those of one call."""

_ODD = "a value whose step is none, or whose time is none"
_INCOMPLETE = "a value without its step or its time"


class _Sequence(NamedTuple):
    context: int
    name: str
    kind: str
    version: int

    def part(self, what: str) -> tuple[Any, ...]:
        """Return the path of its values, steps or times."""
        return (*(("v2",) if self.version == 2 else ()), self.context, self.name, what)  # noqa: PLR2004


class Sequences:
    """The sequences that a run has tracked.

    Args:
        meta: The run's container of what is known about it.
        series: That of its values.
        scratch: A folder for a file to sort in, and for media.

    Attributes:
        lost: Counts what cannot be read.
    """

    def __init__(self, meta: Container, series: Container, scratch: Path) -> None:
        """Read which sequences there are."""
        self._meta, self._series, self._scratch = meta, series, scratch
        self.lost: Counter[str] = Counter()
        self._sequences = list(self._found())
        self._names = self._named()

    def _found(self) -> Iterator[_Sequence]:
        known: dict[tuple[int, str], dict[str, Any]] = {}
        for key, value in self._meta.items("traces"):
            path = self._meta.rest(key)
            if len(path) == 3 and path[2] in ("dtype", "version"):  # noqa: PLR2004
                known.setdefault((path[0], path[1]), {})[path[2]] = self._meta.decode(value)
        for (context, name), about in known.items():
            one = _Sequence(context, str(name), str(about.get("dtype", "float")), int(about.get("version", 1)))
            if not (one.name.startswith("__") or one.kind == "aim.log_line"):
                yield one

    def _named(self) -> list[str]:
        """Return the names under which the values come: behind those of their context, such as `val/loss`."""
        contexts = self._meta.value("contexts") or {}
        names: dict[str, int] = {}
        for number, one in sorted(enumerate(self._sequences), key=lambda item: bool(contexts.get(item[1].context))):
            context = contexts.get(one.context)
            own = "" if one.name == EMPTY else one.name
            forms = ("{value}/", "{key}={value}/", f"{one.context}/")
            free = ("".join(_parts(context, form)) + own for form in forms)
            name = next((name for name in free if name not in names), own)
            while name in names:
                name += "_"
            names[name] = number
        return sorted(names, key=names.__getitem__)

    def rows(self) -> Iterator[Metrics | Artifact]:
        """Yield the values of each call, by time.

        Raises:
            OSError: There is no room to sort them.
        """
        path = self._scratch / "sequences.sqlite"
        try:
            yield from self._sorted(path)
        except sqlite3.Error as error:
            raise OSError(errno.ENOSPC, f"values cannot be sorted ({error})", str(path)) from error
        path.unlink()

    def _sorted(self, path: Path) -> Iterator[Metrics | Artifact]:
        with closing(sqlite3.connect(path, isolation_level=None)) as sorting:
            sorting.execute("pragma journal_mode = off")
            sorting.execute("pragma synchronous = off")
            sorting.execute("pragma temp_store = file")
            sorting.execute("create table points (time real, step integer, sequence integer, value blob)")
            for number, sequence in enumerate(self._sequences):
                sorting.execute("begin")
                rows = ((time, step, number, value) for time, step, value in self._points(sequence))
                sorting.executemany("insert into points values (?, ?, ?, ?)", rows)
                sorting.execute("commit")
            points = sorting.execute("select * from points order by time, step, rowid")
            yield from calls(self._values(points), _TOGETHER)

    def _points(self, sequence: _Sequence) -> Iterator[tuple[float, int, Any]]:
        """Yield time, step and the encoded value of each number, or None of each object."""
        try:
            yield from self._numbers(sequence) if sequence.kind in _NUMBERS else self._objects(sequence)
        except Exception:  # noqa: BLE001 - RocksDB's and Aim's own, of many types
            self.lost["a part of a sequence that is damaged"] += 1

    def _values(self, points: Iterator[tuple[float, int, int, bytes | None]]) -> Iterator[Point]:
        decode, names = self._series.decode, self._names
        for time, step, number, encoded in points:
            try:
                value = self._object(number, step) if encoded is None else decode(encoded)
            except LostError as error:  # noqa: PERF203 - the other values are there
                self.lost[str(error)] += 1
            else:
                yield time, step, names[number], value

    def _numbers(self, sequence: _Sequence) -> Iterator[tuple[float, int, Any]]:
        series, decode = self._series, self._series.decode
        # Aim before its release 3.19 had no steps beside the values: the key is the step.
        stepped = sequence.version == 2  # noqa: PLR2004
        for key, moment, value, number in self._joined(sequence, "time", "val", "step" if stepped else "time"):
            # Aim's decoder reads on behind a number that is cut off.
            if len(value) != _SIZES.get(value[:1]) or len(moment) != _SIZE or len(number) != _SIZE:
                self.lost["a number that is damaged"] += 1
                continue
            time, step = decode(moment), decode(number) if stepped else series.rest(key)[0]
            if type(step) is int and step >= 0 and type(time) is float:
                yield time, step, value
            else:
                self.lost[_ODD] += 1

    def _joined(self, sequence: _Sequence, *parts: str) -> Iterator[tuple[bytes, Any, Any, Any]]:
        """Yield the key and three parts of each value; a process may have been killed between them."""
        late: tuple[dict[bytes, Any], ...] = ({}, {}, {})
        for one, two, three in zip_longest(*(self._series.items(*sequence.part(part)) for part in parts)):
            if one and two and three and one[0] == two[0] == three[0] and not late[0]:
                if one[0]:  # the first is the array itself
                    yield one[0], one[1], two[1], three[1]
                continue
            for place, item in zip(late, (one, two, three), strict=True):
                if item and item[0]:
                    place[item[0]] = item[1]
            for key in [key for item in (one, two, three) if item and all((key := item[0]) in place for place in late)]:
                if key in late[0]:
                    yield (key, *(place.pop(key) for place in late))
        if left := {key for place in late for key in place}:
            self.lost[_INCOMPLETE] += len(left)

    def _objects(self, sequence: _Sequence) -> Iterator[tuple[float, int, Any]]:
        """Yield time and step of each object, which is read once it is its turn."""
        for key, value in self._series.items(*sequence.part("time")):
            if key:
                (step,), time = self._series.rest(key), self._series.decode(value) if len(value) == _SIZE else None
                if type(step) is int and step >= 0 and type(time) is float:
                    yield time, step, None
                else:
                    self.lost[_ODD] += 1

    def _object(self, number: int, step: int) -> Any:
        sequence = self._sequences[number]
        try:
            found = self._series.value(*sequence.part("val"), step)
        except Exception as error:
            message = f"an object of the kind {sequence.kind} that is damaged"
            raise LostError(message) from error
        if found is None:
            raise LostError(_INCOMPLETE)
        return logged(found, self._scratch)


def _parts(context: Any, form: str) -> Iterator[str]:
    if isinstance(context, Mapping):
        for key, value in sorted(context.items(), key=str):
            yield form.format(key=key, value=value)
