"""The reader of MLflow's runs: on a server, in a database, or in a folder of MLflow's file store."""

from __future__ import annotations

import heapq
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from accel_track.errors import NotReadableError
from accel_track.media.fallbacks import QUANTILES
from accel_track.media.kinds import Histogram
from accel_track.outcome import Outcome, Status
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.mlflow.answers import wait_less
from accel_track.trackers.mlflow.database import Database
from accel_track.trackers.mlflow.metrics import mlflow_name
from accel_track.trackers.mlflow.run import REASON_TAG, STATUS_TAG
from accel_track.trackers.mlflow.store import address_of, file_of
from accel_track.trackers.mlflow.stored_files import StoredFiles
from accel_track.trackers.mlflow.stored_run import Store, StoredRun
from accel_track.trackers.reading.values import literal_of, step_of

_STATUS: dict[str, Status] = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}
_LARGEST = 2**63
_INFINITE = sys.float_info.max
"""The number that MLflow's databases store in place of an infinite one."""

_Call = tuple[int, int, str, Any]  # milliseconds, step, name, value


def store_at(address: str, folders: Sequence[str] | None) -> Store:
    """Return the store at an address: a URI, or the path of a SQLite file.

    Args:
        address: A tracking URI.
        folders: The folders in which files of runs may be; None: wherever the store says.
    """
    if address.startswith("sqlite") and (file := file_of(address)) is not None:
        return Database(str(file), folders)
    from mlflow import MlflowClient  # pyright: ignore[reportAttributeAccessIssue]

    from accel_track.trackers.mlflow.client_store import ClientStore

    wait_less()
    try:
        return ClientStore(MlflowClient(address), folders)
    except Exception as error:
        message = f"mlflow: {address!r} cannot be opened ({type(error).__name__}: {error})."
        raise NotReadableError(message) from error


def run_with(id: str | None, address: str) -> MLflowRun:  # noqa: A002 - as MLflow calls it
    """Return the run of an id.

    Raises:
        NotReadableError: There is none.
    """
    store = store_at(address, None)
    found = next(store.runs(None, id), None) if id else None
    if found is None:
        message = f"mlflow: there is no run {id!r} at {address}."
        raise NotReadableError(message)
    return MLflowRun(store, found, address)


class MLflowRun(BackendRun):
    """A run of MLflow's.

    Its params are texts there; those that `str` makes of a number, boolean or None are such ones here. Values that have
    the time and the step in common are of one call. Images of MLflow's grid, tables that its page lists, and media of
    this package's are media; other files are artifacts: each folder at the run's top, and each file there.

    Args:
        store: Where it is.
        stored: What that says of it.
        tracking_uri: The server that gets its artifacts, or None.
    """

    def __init__(self, store: Store, stored: StoredRun, tracking_uri: str | None = None) -> None:
        """Take over what is known."""
        super().__init__(stored.id)
        self._store, self._stored, self._uri = store, stored, tracking_uri
        self.project, self.name, self.total = stored.experiment, stored.name, stored.total
        self.created = None if stored.began is None else stored.began / 1000
        self.config = {name: literal_of(value) for name, value in stored.params.items()}
        status = stored.tags.get(STATUS_TAG)
        if stored.status in _STATUS:
            known: Any = next((one for one in get_args(Status) if one == status), _STATUS[stored.status])
            self.outcome = Outcome(known, stored.tags.get(REASON_TAG))

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact]:
        """Yield the calls, those of media among them, then artifacts and models."""
        self.lost.clear()
        files = StoredFiles(self._store.folders, self._uri, self.lost, scratch)
        media, artifacts = files.of_run(self._stored)
        calls: Iterator[_Call] = heapq.merge(self._values(), media, key=lambda call: call[:2])
        for (milliseconds, step), call in groupby(calls, lambda call: call[:2]):
            yield from _rows(milliseconds, step, call, files)
        yield from artifacts()
        yield from files.models(self._models())

    def _values(self) -> Iterator[_Call]:
        try:
            for name, value, milliseconds, step in self._store.points(self._stored):
                if not (isinstance(value, (int, float)) and _is_integer(milliseconds) and _is_integer(step)):
                    self.lost["values that are damaged"] += 1
                elif abs(value) >= _INFINITE:
                    yield milliseconds, step, name, float("inf") if value > 0 else float("-inf")
                else:
                    yield milliseconds, step, name, float(value)
        except Exception as error:  # noqa: BLE001 - of SQLite, of MLflow, or of the way to a server
            self.lost[f"values behind an error of the store's ({type(error).__name__})"] += 1

    def _models(self) -> Iterator[Any]:
        try:
            yield from self._store.models(self._stored)
        except Exception as error:  # noqa: BLE001 - as above
            self.lost[f"models behind an error of the store's ({type(error).__name__})"] += 1


def _rows(milliseconds: int, step: int, call: Iterator[_Call], files: StoredFiles) -> Iterator[Metrics]:
    """Yield the values of one time and step, in as many calls as the most frequent name needs."""
    own = step_of(step)
    values: dict[str, Any] = {}
    for _, _, name, given in call:
        value = given
        if type(given) is not float:
            value = files.medium(given)
            if value is None:
                continue
        if name in values:
            yield Metrics(-1, milliseconds / 1000, values, own)
            values = {}
        values[name] = value
        if type(value) is Histogram:
            for quantile in _quantiles(name):
                values.pop(quantile, None)
    if values:
        yield Metrics(-1, milliseconds / 1000, values, own)


def _is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) < _LARGEST


def _quantiles(name: str) -> Iterator[str]:
    """Yield the names of the numbers that the tracker stores for a histogram."""
    yield from (mlflow_name(f"{name}/p{round(100 * share):02d}") for share in QUANTILES)
    yield from (mlflow_name(f"{name}/min"), mlflow_name(f"{name}/max"))


def default_address(directory: str | os.PathLike[str] | None) -> str:
    """Return the address of a tracker without a tracking URI."""
    from mlflow import get_tracking_uri  # pyright: ignore[reportAttributeAccessIssue]
    from mlflow.tracking import is_tracking_uri_set

    if is_tracking_uri_set():
        return str(get_tracking_uri())
    return address_of(Path(directory or "").absolute() / "mlflow.db")
