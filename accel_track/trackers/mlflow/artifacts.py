"""The artifacts and models of an MLflow run, as users log them."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from accel_track.texts import storable_text
from accel_track.trackers.files import artifact_files
from accel_track.trackers.mlflow.answers import ForeignAnswerError, checked_run, patience
from accel_track.trackers.mlflow.files import ABOUT, MLflowFiles, check_stored, safe_part, safe_path, tell, upload
from accel_track.trackers.names import hashed_name

_NOT_IN_MODELS = r"[/:.%\"'\\\x00-\x1f\x7f]"  # as `mlflow.utils.validation` has it, and what no file's name holds
_MODEL_LENGTH = 200
_TAG = "accel_track.model"
"""Tag by which a model is found whose creation was not answered, or whose files were not all sent."""

_Path = str | os.PathLike[str]


class MLflowArtifacts(MLflowFiles):
    """The part of the tracker that stores files and folders."""

    def log_artifact(
        self,
        path: _Path | None = None,
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
        local_path: _Path | None = None,
        artifact_path: str | None = None,
    ) -> None:
        """Store a file in the run's artifact folder of that name, or a folder as one; a model as a model of MLflow's.

        Args:
            path: The file or folder.
            name: The artifact folder. None: a file goes to the top, a folder keeps its name.
            type: What it is; "model" for a model.
            metadata: What is known about it: it is in `<name>.accel_track.json` beside it, with `type` and `step`.
            copy: Of no account here.
            step: Training step.
            local_path: As `path`, by the name that `MlflowClient.log_artifact` gives it.
            artifact_path: As `name`, likewise.

        Raises:
            ForeignAnswerError: A file that was sent is not there.
        """
        source = _source(path, local_path)
        folder = name if artifact_path is None else artifact_path
        own = os.path.basename(os.path.normpath(source))
        about = _about(type, step, metadata)
        if type == "model" and self._store_model(source, folder or own, step, about):
            return
        place = safe_path(folder or own)
        if folder or os.path.isdir(source):
            self._store_files({posixpath.join(place, safe_part(part)): file for file, part in artifact_files(source)})
        else:
            self._store_files({place: source})
        self._tell(place, about)

    def log_artifacts(
        self,
        folder: _Path | None = None,
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - as above
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
        local_dir: _Path | None = None,
        artifact_path: str | None = None,
    ) -> None:
        """Store the files of a folder in the run's artifact folder of that name, or without one at the top.

        Args:
            folder: The folder.
            name: The artifact folder.
            type: As for `log_artifact`.
            metadata: As for `log_artifact`.
            copy: Of no account here.
            step: Training step.
            local_dir: As `folder`, by the name that `MlflowClient.log_artifacts` gives it.
            artifact_path: As `name`, likewise.

        Raises:
            NotADirectoryError: It is not a folder.
            ForeignAnswerError: A file that was sent is not there.
        """
        source = _source(folder, local_dir)
        where = name if artifact_path is None else artifact_path
        if where or not os.path.isdir(source):
            super().log_artifacts(source, where, type=type, metadata=metadata, step=step)
            return
        self._store_files({safe_part(part): file for file, part in artifact_files(source)})
        self._tell(safe_path(os.path.basename(os.path.normpath(source))), _about(type, step, metadata))

    def _store_files(self, sources: Mapping[str, str], repository: Any = None) -> None:
        """Send files, by their paths there, and look for them."""
        repository = self.repository() if repository is None else repository
        with patience():
            for target, file in sources.items():
                upload(repository, file, target)
        check_stored(repository, {target: os.path.getsize(file) for target, file in sources.items()})

    def _tell(self, place: str, about: Mapping[str, Any]) -> None:
        if about:
            target = f"{place}.{ABOUT}"
            tell(self.repository(), about, target)
            check_stored(self.repository(), {target: None})

    def _store_model(self, source: str, name: str, step: int | None, about: Mapping[str, Any]) -> bool:
        """Store a model of MLflow's, which the run's page lists; False if the server knows no such thing."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        run = self.tracker.info
        told = f"{run.run_id}\0{name}\0{int(self.now() * 1000)}"
        tag = hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()[:16]
        try:
            found = self.client.search_logged_models([run.experiment_id], filter_string=f"tags.`{_TAG}` = '{tag}'")
        except MlflowException as error:
            if error.error_code == "ENDPOINT_NOT_FOUND":  # MLflow before 3.0
                return False
            raise
        model = next(iter(found), None) or self.client.create_logged_model(
            run.experiment_id, name=_model_name(name), source_run_id=run.run_id, tags={_TAG: tag}
        )
        _check_model(model, run.run_id)
        if model.status == LoggedModelStatus.READY:  # an earlier delivery has done all this
            return True
        repository = get_artifact_repository(model.artifact_location, tracking_uri=self.client.tracking_uri)
        self._store_files({safe_part(part): file for file, part in artifact_files(source)}, repository)
        if metadata := about.get("metadata"):
            tell(repository, metadata, ABOUT)
        outputs = checked_run(self.client.get_run(run.run_id), run_id=run.run_id).outputs
        if model.model_id not in [one.model_id for one in (outputs and outputs.model_outputs) or ()]:
            self.client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, step or 0)])
        _check_model(self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY), run.run_id)
        return True


def _check_model(model: Any, run_id: str) -> None:
    if not model.model_id or not model.artifact_location or model.source_run_id != run_id:
        what = f"the answer holds the model {model.model_id!r}"
        raise ForeignAnswerError(what)


def _source(path: _Path | None, local: _Path | None) -> str:
    if (given := path if local is None else local) is None:
        message = "mlflow: an artifact needs a path."
        raise TypeError(message)
    return os.fspath(given)


def _about(kind: str | None, step: int | None, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the facts about an artifact beyond its name."""
    about: dict[str, Any] = {} if kind in (None, "artifact") else {"type": kind}
    if step is not None:
        about["step"] = step
    return {**about, "metadata": dict(metadata)} if metadata else about


def _model_name(name: str) -> str:
    text = storable_text(name)
    safe = re.sub(_NOT_IN_MODELS, "_", text)
    return name if safe == name and 0 < len(name.encode()) <= _MODEL_LENGTH else hashed_name(safe, name, _MODEL_LENGTH)
