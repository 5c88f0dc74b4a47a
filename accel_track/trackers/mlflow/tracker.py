"""The tracker for MLflow."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from accel_track.errors import warn
from accel_track.records import Metrics
from accel_track.redaction import scrubbed
from accel_track.trackers.base import on_main_process
from accel_track.trackers.mlflow.answers import check_stored, checked_run, served
from accel_track.trackers.mlflow.artifacts import describe_checkpoint, remove_checkpoint, store_checkpoint
from accel_track.trackers.mlflow.fast import DatabasePath, ServerPath
from accel_track.trackers.mlflow.metrics import Call, metrics_of, mlflow_name
from accel_track.trackers.mlflow.run import (
    active_run_id,
    close_connections,
    continued_run,
    created_run,
    end_run,
    is_refusal,
    may_pass,
    parse_tags,
    wait_less,
)
from accel_track.trackers.mlflow.store import client_of, experiment_id, local_database
from accel_track.trackers.mlflow.writer import MetricWriter
from accel_track.trackers.names import safe_name
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import flat_config

if TYPE_CHECKING:
    from typing_extensions import Self

# The alphabet of `MlflowClient.log_image`, whose keys become part of a file's name.
_NOT_IN_IMAGE_KEYS = r"[^a-zA-Z0-9_\-. ]"
_IMAGE_KEY_LENGTH = 140


class MLflowTracker(SDKTracker):
    """One MLflow run, written with an `MlflowClient` and never as the thread's active run.

    Numbers become metrics, NaN too; ±inf is dropped, since MLflow's databases turn it into ±1.8e308. Texts are dropped.
    Hyperparameters become params: nested ones joined with "/", long ones cut at MLflow's limit. Calls are synchronous,
    also where `MLFLOW_ENABLE_ASYNC_LOGGING` is set: that queue loses records without an error when the server fails.

    A run ends as FINISHED, FAILED or, when interrupted or preempted, KILLED; the tags `accel_track.status` and
    `accel_track.reason` tell more. Checkpoints are in the artifact folder `checkpoints/<name>`.

    Metrics have the time of the call that logged them. MLflow ignores a metric whose name, time, step and value it has
    already, so delivering a record again changes nothing. It deletes none: after `rewind`, a step has its old and its
    new value. `start` sets MLFLOW_HTTP_REQUEST_MAX_RETRIES to 1 and MLFLOW_HTTP_REQUEST_TIMEOUT to 10 (seconds; 600 for
    checkpoints) where the environment does not: by default, one call to a server that is down blocks for minutes.

    The variables MLFLOW_EXPERIMENT_NAME, MLFLOW_RUN_ID, MLFLOW_TAGS and MLFLOW_NESTED_RUN win over the arguments.
    Without `tracking_uri`, `mlflow.set_tracking_uri` and MLFLOW_TRACKING_URI, the run is in the SQLite file `mlflow.db`
    in the front door's directory or else the working directory.

    Args:
        experiment_name: Experiment, created when missing and restored when deleted. Default: MLflow's "Default".
        logging_dir: Where a newly created experiment keeps its artifacts: a folder or URI.
        run_id: Run to continue, instead of a new one.
        tags: Tags of the run; a dictionary, or one as JSON text.
        nested_run: Make the run a child of the active run (`mlflow.active_run()`) of the thread that constructs or
            starts the tracker, if it has one.
        run_name: Name of the run. Default: MLflow makes one up.
        description: Text shown at the top of the run's page.
        tracking_uri: Server or database.
    """

    name = "mlflow"
    requires_logging_directory = False
    sdk = "mlflow"
    install = "mlflow>=3.17"
    takes_text = False
    takes_inf = False
    keeps_time = True
    batch_size = 1000
    keeps_status = True
    fast_paths = (DatabasePath, ServerPath)

    _writer: MetricWriter

    def __init__(
        self,
        experiment_name: str | None = None,
        logging_dir: str | os.PathLike[str] | None = None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | str | None = None,
        nested_run: bool = False,
        run_name: str | None = None,
        description: str | None = None,
        tracking_uri: str | None = None,
    ) -> None:
        """Keep the arguments, or the variables in their place, for `start`."""
        super().__init__()
        nested = os.environ.get("MLFLOW_NESTED_RUN") or str(nested_run)
        self.experiment_name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or experiment_name or "Default"
        self.logging_dir = logging_dir
        self.run_id = self._continued = os.environ.get("MLFLOW_RUN_ID") or run_id
        self.tags = parse_tags(os.environ.get("MLFLOW_TAGS") or tags or {})
        self.nested_run = nested.strip().lower() in ("1", "true", "t", "yes", "y", "on")
        self.run_name = run_name
        self.description = description
        self.tracking_uri = tracking_uri
        self.directory: str | os.PathLike[str] | None = None
        self.client: Any = None
        self.clipped: Counter[str] = Counter()
        self._params: dict[str, str] = {}
        self._attempt: str | None = None
        # The active run belongs to a thread, and `start` may come from another one than the user's.
        self._parent_id = active_run_id() if self.nested_run else None

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use the project as experiment; without a tracking URI, `mlflow.db` and `mlartifacts` in `directory`."""
        tracker = cls(**{"experiment_name": project, "run_name": run_name, **init_kwargs})
        tracker.directory = directory
        return tracker

    @on_main_process
    def start(self) -> None:
        """Create the run, or set the one to continue to RUNNING."""
        if self.started:
            return
        mlflow = self.import_sdk()
        wait_less()
        uri, artifacts = self.tracking_uri, None if self.logging_dir is None else os.fspath(self.logging_dir)
        if uri is None and not mlflow.tracking.is_tracking_uri_set():
            uri, local = local_database(self.directory)
            artifacts = artifacts or local
        client = client_of(mlflow, uri)
        tags = self.tags | ({"mlflow.note.content": self.description} if self.description else {})
        if self._continued:
            run = continued_run(client, self._continued, self.run_name, tags)
        else:
            if self.nested_run and (parent_id := active_run_id() or self._parent_id):
                tags["mlflow.parentRunId"] = parent_id
            experiment = experiment_id(client, self.experiment_name, artifacts)
            repeated, self._attempt = self._attempt is not None, self._attempt or uuid.uuid4().hex
            run = created_run(client, experiment, self.run_name, tags, self._attempt, repeated=repeated)
        self._attempt = None
        self.clipped.clear()
        self.run_id, self._params = run.info.run_id, dict(run.data.params)
        self.client, self.native = client, run
        self._writer = MetricWriter(self.name, client, run.info.run_id)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store params; MLflow never changes one, so another value for a stored name is dropped."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        run_id = self.tracker.info.run_id
        news: dict[str, str] = {}
        changed: list[tuple[str, Any, str]] = []
        for key, value in flat_config(values).items():
            name, text = mlflow_name(key), self._clip(key, str(value), MAX_PARAM_VAL_LENGTH)
            if self._params.get(name, text) != text:
                why = f"it is stored as {self._params[name]!r}, and MLflow's params cannot change"
                changed.append((key, value, why))
            elif name not in self._params:
                news[name] = text
        self.client.log_batch(run_id, params=[Param(*param) for param in news.items()], synchronous=True)
        check_stored(self.client, run_id, params=news)
        self._params.update(news)
        for one in changed:
            self.drop(*one)

    @on_main_process
    def store_environment(self, values: dict[str, Any]) -> None:
        """Store it as tags."""
        from mlflow.entities import RunTag
        from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

        tags = {
            mlflow_name(key): self._clip(key, str(text), MAX_TAG_VAL_LENGTH)
            for key, text in flat_config(values).items()
        }
        run_id = self.tracker.info.run_id
        self.client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()], synchronous=True)
        check_stored(self.client, run_id, tags=tags)

    def _clip(self, key: str, text: str, limit: int) -> str:
        if len(text) > limit:
            self.clipped[key] += 1
            warn(f"mlflow: cut {key!r} to the first {limit} of its {len(text)} characters.")
        return text[:limit]

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write metrics, at step 0 when there is none; `kwargs` go to `MlflowClient.log_batch`."""
        self._write([(values, step, self.now())], kwargs)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Write metrics of several calls: to a SQLite database at once, to a server up to 1000 in a request.

        MLflow takes a request as a whole or not at all. Of several, the first may be stored when a later one fails;
        repeating them is harmless, since MLflow ignores what it has.
        """
        for kwargs, group in groupby(records, lambda record: record.kwargs.get(self.name, {})):
            self._write([(record.values, record.step, record.time) for record in group], kwargs)

    def _write(self, calls: Sequence[Call], kwargs: Mapping[str, Any]) -> None:
        rows, refused = metrics_of(calls)
        if self.tracker and rows:
            self._writer.write(rows, kwargs)
        for one in refused:  # not before: a call that fails is repeated
            self.drop(*one)

    @on_main_process
    def flush(self) -> None:
        """Read back the newest values from a server, and send again what it lacks."""
        if self.native is not None:
            self._writer.prove()

    @on_main_process
    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write images to the run's image grid.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. One image
                keeps the name; several get `name/0`, `name/1`, ….
            step: Training step.
            **kwargs: Passed to `MlflowClient.log_image`.
        """
        run_id = self._checked_id()
        for name, image in self.named_images(values):
            where = {"key": safe_name(name, _NOT_IN_IMAGE_KEYS, _IMAGE_KEY_LENGTH), "step": step or 0}
            self.client.log_image(run_id, image, **{**where, "synchronous": True, **kwargs})

    @on_main_process
    def log_figure(self, figure: Any, artifact_file: str, **save_kwargs: Any) -> None:
        """Save a Matplotlib or Plotly figure as the artifact `artifact_file`; `save_kwargs` go to its save method."""
        run_id = self._checked_id()
        self.client.log_figure(run_id, figure, artifact_file, save_kwargs=save_kwargs)

    @on_main_process
    def log_artifact(self, local_path: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Store a file, in the run's artifact folder `artifact_path` if given."""
        run_id = self._checked_id()
        self.client.log_artifact(run_id, os.fspath(local_path), artifact_path)

    @on_main_process
    def log_artifacts(self, local_dir: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Store the files of a folder, in the run's artifact folder `artifact_path` if given."""
        run_id = self._checked_id()
        self.client.log_artifacts(run_id, os.fspath(local_dir), artifact_path)

    def _checked_id(self) -> str:
        # MLflow's client keeps for good where an answer of another server's says that the run's artifacts belong.
        run_id: str = self.tracker.info.run_id
        if served(self.client):
            checked_run(self.client.get_run(run_id), run_id=run_id)
        return run_id

    @on_main_process
    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Store a checkpoint in the artifact folder `checkpoints/<name>`, its step and values in `accel_track.json`."""
        store_checkpoint(self.client, self.tracker.info, name, path, {"step": step, **values})

    @on_main_process
    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Change what `accel_track.json` says of it."""
        describe_checkpoint(self.client, self.tracker.info, name, {"step": step, **values})

    @on_main_process
    def delete_checkpoint(self, name: str) -> None:
        """Delete the artifact folder of a checkpoint."""
        remove_checkpoint(self.client, self.tracker.info, name)

    @on_main_process
    def rest(self) -> None:
        """Close connections to a database; those to a server are MLflow's, of the whole process."""
        close_connections(self.client)

    def is_transient(self, error: BaseException) -> bool:
        """Say so also of a locked database, and of what a server answers when it is overloaded or fails itself."""
        return super().is_transient(error) or may_pass(error)

    def concerns_run(self, error: BaseException) -> bool:
        """Say so also of MLflow's own codes for refused credentials and for a run that is gone."""
        return super().concerns_run(error) or is_refusal(error)

    def identity(self) -> dict[str, Any]:
        """Return the run's id, and the server or database unless its URI holds a password."""
        if self.native is None:
            return {}
        uri = str(self.client.tracking_uri)
        return {"run_id": self.run_id} | ({"tracking_uri": uri} if scrubbed(uri) == uri else {})

    def page(self) -> str | None:
        """Page of the run on its server; None for a database."""
        if self.native is None or not str(self.client.tracking_uri).startswith(("http://", "https://")):
            return None
        info = self.native.info
        return f"{self.client.tracking_uri.rstrip('/')}/#/experiments/{info.experiment_id}/runs/{info.run_id}"

    @on_main_process
    def finish(self) -> None:
        """Set the final status of this run and no other; after a failure that may pass it can be called again."""
        if self.native is not None:
            try:
                self.flush()
                end_run(self.client, self.native.info.run_id, self.outcome)
            except Exception as error:
                if not (self.is_transient(error) or self.concerns_run(error)):
                    self.native = None
                raise
            self.native = None
            close_connections(self.client)
