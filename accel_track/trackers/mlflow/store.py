"""The store of an MLflow run: its server or database, which is set up by one process at a time, and its experiment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from accel_track.errors import warn
from accel_track.trackers.mlflow.answers import ForeignAnswerError
from accel_track.trackers.set_up import alone_at

_SQLITE = "sqlite:///"


def local_database(directory: str | os.PathLike[str] | None) -> tuple[str, str | None]:
    """Return the URIs of `mlflow.db` and, if a directory is given, of the artifacts in it; create the folder.

    MLflow's own default is a folder of files on older versions and wherever an `mlruns` folder is, which newer versions
    refuse to open.
    """
    folder = Path(directory or "").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = None if directory is None else (folder / "mlartifacts").as_uri()
    return address_of(folder / "mlflow.db"), artifacts


def client_of(sdk: Any, address: str | None) -> Any:
    """Return an `MlflowClient`; where it opens a SQLite file, under a lock, with an address that no `chdir` changes.

    Args:
        sdk: The package.
        address: Server or database; None for the one that is set in MLflow.

    Raises:
        ValueError: The installed SQLAlchemy knows no address for the file.
    """
    text = address or str(sdk.get_tracking_uri())
    if (file := file_of(text)) is None:
        return sdk.MlflowClient(address)
    with alone_at(file.absolute()), _without_other_folder(file.absolute(), text):
        return sdk.MlflowClient(text if file.is_absolute() else address_of(file.absolute()))


def close_connections(client: Any) -> None:
    """Close the connections to a database, which are opened again when they are needed; MLflow has no call for it."""
    store = getattr(getattr(client, "_tracking_client", None), "store", None)
    if (engine := getattr(store, "engine", None)) is not None:
        engine.dispose()


def experiment_id(client: Any, name: str, artifacts: str | None) -> str:
    """Return the id of the experiment of that name, which is created when missing and restored when deleted."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return _given(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:  # else another process created it in between
                raise
    if experiment.lifecycle_stage == "deleted":
        try:
            client.restore_experiment(experiment.experiment_id)
        except MlflowException:
            if client.get_experiment(experiment.experiment_id).lifecycle_stage == "deleted":
                raise  # else another process restored it in between
        message = f"mlflow: the experiment {name!r} was deleted; it is restored, with its runs, for this run."
        warn(message, stacklevel=4)
    return _given(experiment.experiment_id if experiment.name == name else "")


def _given(identifier: str) -> str:
    if not identifier:
        what = "the answer does not hold the experiment"
        raise ForeignAnswerError(what)
    return str(identifier)


def address_of(path: Path) -> str:
    """Return the address of a SQLite file.

    SQLAlchemy ends a path at "?". Since its version 2.1 it takes percent escapes, which before it took literally.
    """
    from sqlalchemy.engine import make_url

    plain = path.as_posix()
    for text in (plain, plain.replace("%", "%25").replace("?", "%3F")):
        if make_url(_SQLITE + text).database == plain:
            return _SQLITE + text
    message = (
        f"mlflow: the installed SQLAlchemy cannot open a SQLite file whose path holds '?': {plain!r}; use another "
        "folder, or `tracking_uri`, or upgrade sqlalchemy to 2.1."
    )
    raise ValueError(message)


def file_of(address: str) -> Path | None:
    """Return the path of the SQLite file at an address; None if there is none."""
    if not address.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(address).database
    return None if not database or database.startswith((":memory:", "file:")) else Path(database)


@contextmanager
def _without_other_folder(file: Path, address: str) -> Iterator[None]:
    """Remove the folder that MLflow makes for an address with escapes, of which it takes the text for a path."""
    named = Path(address.removeprefix(_SQLITE)).parent
    there = named == file.parent or named.exists()
    yield
    if not there:
        with suppress(OSError):
            os.removedirs(named)
