"""The source of MLflow's runs: a server, a database, or a folder of the file store."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.places import is_regular
from accel_track.trackers.reading.walks import walked

_DATABASES = ("postgresql", "mysql", "mssql")
_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_PATIENCE = 5.0


class MLflowSource(Source):
    """The runs at a tracking URI; in a SQLite file, or a folder of MLflow's file store; or in such ones in a folder.

    SQLite files and folders are only read, whatever version of MLflow has written them. Deleted runs and experiments
    are left out.
    """

    name = "mlflow"
    what = "MLflow's runs (a tracking URI, a SQLite file such as `mlflow.db`, or a folder `mlruns`)"
    sdk = "mlflow"
    install = "mlflow>=3.17"
    options: ClassVar = {
        "experiment": "name of the one experiment to read",
        "artifacts": "another local folder in which artifacts may be, besides the store's own",
    }
    cannot_give = (
        "No texts among the values of a call, no captions, and step 0 for values without a step. Not read: "
        "tags, notes, data sets, traces, metrics of models, and the parents of runs."
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Look for MLflow's tables or files; ask a server for its experiments."""
        try:
            scheme = urlsplit(place).scheme
            if scheme in ("http", "https"):
                return _answers(place)
            if scheme.split("+")[0] in _DATABASES:
                return True
            return next(_stores(_path(place), quick=True), None) is not None
        except ValueError:
            return False

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, the oldest of each store first."""
        from accel_track.trackers.mlflow.database import Database
        from accel_track.trackers.mlflow.folder import Folder
        from accel_track.trackers.mlflow.reading import MLflowRun, store_at

        path = _path(self.place)
        more = [self.given["artifacts"]] if "artifacts" in self.given else []
        more += [path] if os.path.isdir(path) else []
        if urlsplit(self.place).scheme not in ("", "file", "sqlite"):
            stores: list[Any] = [store_at(self.place, more)]
        else:
            stores = [
                Folder(one, [one, *more]) if os.path.isdir(one) else Database(one, [os.path.dirname(one), *more])
                for one in _stores(path)
            ]
        if not stores:
            message = f"mlflow: there is neither a database of MLflow's nor a folder of its file store in {path!r}."
            raise NotReadableError(message)
        none = True
        for store in stores:
            for run in store.runs(self.given.get("experiment")):
                none = False
                yield MLflowRun(store, run, self.place if "://" in self.place else None)
        if none and "experiment" in self.given:
            message = f"mlflow: there is no run in an experiment {self.given['experiment']!r} in {self.place!r}."
            raise NotReadableError(message)


def _path(place: str) -> str:
    """Return the path that a place is, or that its address has."""
    if place.startswith("file:"):
        return unquote(urlsplit(place).path)
    return place.removeprefix("sqlite:///") if place.startswith("sqlite:") else place


def _stores(place: str, *, quick: bool = False) -> Iterator[str]:
    """Yield the SQLite file or folder of experiments that this is, or those in the folder; `quick` as for `walked`."""
    from accel_track.trackers.mlflow.database import is_database
    from accel_track.trackers.mlflow.folder import is_folder

    if not os.path.isdir(place):
        if is_database(place):
            yield os.path.abspath(place)
        return
    for folder, folders, files in walked(Path(os.path.abspath(place)), quick=quick):
        if is_folder(str(folder)):
            folders.clear()
            yield str(folder)
        named = (folder / file for file in files if file.endswith(_SUFFIXES))
        yield from (str(path) for path in named if is_regular(path) and is_database(str(path)))


def _answers(address: str) -> bool:
    """Return whether a server tells of experiments."""
    request = urllib.request.Request(  # noqa: S310 - the scheme is HTTP's
        f"{address.rstrip('/')}/api/2.0/mlflow/experiments/search",
        data=b'{"max_results": 1}',
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - as above
            return "experiments" in json.loads(answer.read(1 << 20))
    except (OSError, ValueError, TypeError):
        return False
