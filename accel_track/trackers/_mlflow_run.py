"""Find the place of an MLflow run: database, artifacts, experiment and parent."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accel_track.errors import AccelTrackWarning


def local_database(directory: str | os.PathLike[str] | None) -> tuple[str, str | None]:
    """Return the URIs of `mlflow.db` and, if a directory is given, of the artifacts in it; create the folder.

    MLflow's own default is a folder of files on older versions and wherever an `mlruns` folder is, which newer versions
    refuse to open. It also percent-encodes the path of a database, which SQLite takes literally.
    """
    folder = Path(directory or "").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = None if directory is None else (folder / "mlartifacts").as_uri()
    return f"sqlite:///{(folder / 'mlflow.db').as_posix()}", artifacts


def experiment_id(client: Any, name: str, artifacts: str | None) -> str:
    """Return the id of the experiment of that name, which is created when missing and restored when deleted."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:  # else another process created it in between
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        message = f"mlflow: the experiment {name!r} was deleted; it is restored, with its runs, for this run."
        warnings.warn(message, AccelTrackWarning, stacklevel=4)
    return str(experiment.experiment_id)


def active_run_id() -> str | None:
    """Return the id of this thread's active run; there is none where nobody has imported MLflow yet."""
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow is not None else None
    return None if run is None else str(run.info.run_id)


def parse_tags(tags: Mapping[str, Any] | str) -> dict[str, str]:
    """Return tags, given as a dictionary or as JSON text, with texts as values.

    Raises:
        ValueError: They are neither.
    """
    try:
        parsed = dict(json.loads(tags) if isinstance(tags, str) else tags)
    except (TypeError, ValueError) as error:
        message = f"mlflow: `tags` and MLFLOW_TAGS are a dictionary, or one as JSON text; got {tags!r}."
        raise ValueError(message) from error
    return {str(key): str(value) for key, value in parsed.items()}
