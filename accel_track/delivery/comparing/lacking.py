"""The lacking: the records of one rank, and the parts of records, that make its backend run whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from accel_track.records import AnyRecord, Config, Metrics, Stored
from accel_track.values.plain import leaves

_NOT = object()
"""Stands for a value that is not chosen: None is a hyperparameter."""


class Lacking:
    """The values that a backend lacks of one rank's records, 16 bytes each."""

    def __init__(self) -> None:
        """Begin without lacking records."""
        self.records: set[int] = set()
        """The numbers of records that are lacking as a whole."""
        self.settings: dict[int, set[str]] = {}
        """Names of hyperparameters by the number of their record."""
        self.media: dict[int, set[tuple[str, int | None]]] = {}
        """Names of media, and places in lists, by the number of their record."""
        self._names: list[str] = []
        self._values: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._sorted: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        """Return the number of lacking values; a record as a whole is one."""
        more = sum(map(len, self.settings.values())) + sum(map(len, self.media.values()))
        return len(self.records) + more + sum(len(seqs) for seqs, _ in self._values)

    def add_values(self, name: str, seqs: NDArray[np.int64]) -> None:
        """Add the values of one name, as the backend calls it, in these records."""
        if len(seqs):
            self._values.append((seqs, np.full(len(seqs), len(self._names))))
            self._names.append(name)

    def of(self, record: AnyRecord, stored_name: Callable[[str], str]) -> AnyRecord | None:
        """Return a record, or the part of it that is lacking; None if none is.

        Args:
            record: As the journal has it.
            stored_name: Returns the name by which the backend calls a value.
        """
        if record.seq in self.records:
            return record
        if isinstance(record, Config):
            names = self.settings.get(record.seq, set())
            values = _part(record.values, lambda name, value: value if name in names else _NOT)
        elif isinstance(record, Metrics):
            values = self._metrics(record, stored_name)
        else:
            return None
        if not values:
            return None
        part = msgspec.structs.replace(record, values=values)
        return msgspec.structs.replace(part, seq=-1, unread={}) if isinstance(part, Metrics) else part

    def _metrics(self, record: Metrics, stored_name: Callable[[str], str]) -> dict[str, Any]:
        names, media = self._values_of(record.seq), self.media.get(record.seq, set())
        if not names and not media:
            return {}

        def chosen(name: str, value: Any) -> Any:
            if stored_name(name) in names or (name, None) in media:
                return value
            return _NOT if (whole := _whole(name, value, media)) is None else whole

        alone = _part(record.values, chosen)
        for name, value in leaves(record.values):
            if isinstance(value, list) and _whole(name, value, media) is None:
                for place, one in enumerate(value):
                    if (name, place) in media:
                        alone[f"{name}/{place}"] = one
        return alone

    def _values_of(self, seq: int) -> set[str]:
        if self._sorted is None:
            if not self._values:
                return set()
            seqs, numbers = (np.concatenate(parts) for parts in zip(*self._values, strict=True))
            order = np.argsort(seqs, kind="stable")
            self._sorted = seqs[order], numbers[order]
        seqs, numbers = self._sorted
        begin, end = np.searchsorted(seqs, [seq, seq + 1])
        return {self._names[number] for number in numbers[begin:end].tolist()}


def _whole(name: str, value: Any, media: set[tuple[str, int | None]]) -> Any:
    """Return a list of media if all of it is lacking, else None."""
    places = [place for place, one in enumerate(value) if isinstance(one, Stored)] if isinstance(value, list) else []
    return value if places and all((name, place) in media for place in places) else None


def _part(values: dict[str, Any], chosen: Callable[[str, Any], Any], prefix: str = "") -> dict[str, Any]:
    """Return the chosen values, nested as they are."""
    part: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if type(value) is dict and value:
            if inner := _part(value, chosen, f"{name}/"):
                part[key] = inner
        elif (own := chosen(name, value)) is not _NOT:
            part[key] = own
    return part
