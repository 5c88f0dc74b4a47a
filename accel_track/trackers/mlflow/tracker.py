"""The tracker for MLflow."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accel_track.errors import warn
from accel_track.folders import command_line
from accel_track.redaction import scrubbed
from accel_track.trackers.mlflow.answers import is_refusal, may_pass, wait_less
from accel_track.trackers.mlflow.both import RunAndClient
from accel_track.trackers.mlflow.fast import DatabasePath, ServerPath
from accel_track.trackers.mlflow.images import ImagesPath
from accel_track.trackers.mlflow.media import MLflowMedia
from accel_track.trackers.mlflow.metrics import MLflowMetrics, mlflow_name
from accel_track.trackers.mlflow.params import MLflowParams, parse_tags
from accel_track.trackers.mlflow.reading import default_address, run_with
from accel_track.trackers.mlflow.run import active_run_id, continued_run, created_run, end_run
from accel_track.trackers.mlflow.store import client_of, close_connections, experiment_id, file_of, local_database
from accel_track.trackers.sdk import native_object

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun


class MLflowTracker(MLflowMetrics, MLflowParams, MLflowMedia):
    """One MLflow run, written with an `MlflowClient` and never as the thread's active run.

    Numbers become metrics, NaN too; ±inf is dropped, since MLflow's databases turn it into ±1.8e308. Texts are dropped
    but for those of `log_text`; what becomes of media, `media` says. Hyperparameters become params: nested ones joined
    with "/", long ones cut at MLflow's limit. Calls are synchronous, also where `MLFLOW_ENABLE_ASYNC_LOGGING` is set:
    that queue loses records without an error when the server fails.

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
        parent_run_id: Id of the run that the new run is a child of.
        run_name: Name of the run. Default: MLflow makes one up.
        description: Text shown at the top of the run's page.
        tracking_uri: Server or database.
    """

    name = "mlflow"
    requires_logging_directory = False
    sdk = "mlflow"
    install = "mlflow>=3.17"
    batch_size = 1000
    takes_text = False
    takes_inf = False
    keeps_equal = False
    why_finite = "MLflow's databases would store {} as a finite number"
    keeps_time = True
    keeps_status = True
    finish_again = True
    fast_paths = (DatabasePath, ServerPath, ImagesPath)
    active_run = native_object

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
        parent_run_id: str | None = None,
    ) -> None:
        """Keep the arguments, or the variables in their place, for `start`."""
        super().__init__(run_name)
        nested = os.environ.get("MLFLOW_NESTED_RUN") or str(nested_run)
        self.experiment_name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or experiment_name or "Default"
        self.logging_dir = logging_dir
        named = None if parent_run_id else os.environ.get("MLFLOW_RUN_ID")  # the variable names the parent
        self.run_id = self._continued = named or run_id
        self.tags = parse_tags(os.environ.get("MLFLOW_TAGS") or tags or {})
        self.nested_run = nested.strip().lower() in ("1", "true", "t", "yes", "y", "on")
        self.description = description
        self.tracking_uri = tracking_uri
        self.directory: str | os.PathLike[str] | None = None
        self.client: Any = None
        self.clipped = Counter()
        self._attempt: str | None = None
        # The active run belongs to a thread, and `start` may come from another one than the user's.
        self.parent_run_id = parent_run_id
        self._active_id = active_run_id() if self.nested_run else None

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use the project as experiment; without a tracking URI, `mlflow.db` and `mlartifacts` in `directory`."""
        tracker = cls(**{"experiment_name": project, "run_name": run_name, **init_kwargs})
        tracker.directory = directory
        return tracker

    def open(self, sdk: Any) -> Any:
        """Create the run, or set the one to continue to RUNNING."""
        wait_less()
        uri, artifacts = self.tracking_uri, None if self.logging_dir is None else os.fspath(self.logging_dir)
        if uri is None and not sdk.tracking.is_tracking_uri_set():
            uri, local = local_database(self.directory)
            artifacts = artifacts or local
        client = client_of(sdk, uri)
        tags = self.tags | ({"mlflow.note.content": self.description} if self.description else {})
        if self._continued:
            run = continued_run(client, self._continued, self.run_name, tags)
        else:
            active_id = (active_run_id() or self._active_id) if self.nested_run else None
            if parent_id := self.parent_run_id or active_id:
                tags["mlflow.parentRunId"] = parent_id
            experiment = experiment_id(client, self.experiment_name, artifacts)
            repeated, self._attempt = self._attempt is not None, self._attempt or uuid.uuid4().hex
            run = created_run(client, experiment, self.run_name, tags, self._attempt, repeated=repeated)
        self._attempt = None
        self.client, self.run_id = client, run.info.run_id
        self._database = file_of(str(client.tracking_uri))
        self.clipped, self._params, self._unproved, self._sent = Counter(), dict(run.data.params), [], {}
        self._has_images = ImagesPath.tag in run.data.tags
        for path in self.fast_paths:
            self.fast(path).open(client)
        return run

    def flush(self) -> None:
        """Read back from a server the newest values and the files of media, and send again what it lacks.

        Raises:
            ForeignAnswerError: Something is still not there, or what answers is no MLflow server.
        """
        super().flush()
        self.prove_files()

    def rest(self) -> None:
        """Close connections to a database; those to a server are MLflow's, of the whole process."""
        close_connections(self.client)

    def is_transient(self, error: BaseException) -> bool:
        """Return whether an error may pass, also a locked database's, and that of an overloaded or failing server."""
        return super().is_transient(error) or may_pass(error)

    def concerns_run(self, error: BaseException) -> bool:
        """Return whether an error is the run's, also by MLflow's own codes for rejected credentials and a lost run."""
        return super().concerns_run(error) or is_refusal(error)

    def as_experiment(self) -> Any:
        """Return an object that answers as the `Run` and as an `MlflowClient`, which is Lightning's `experiment`."""
        return RunAndClient(self.tracker, self.client) if self.native is not None else self.tracker

    def identity(self) -> dict[str, Any]:
        """Return the run's id, and the server or database unless its URI holds a password."""
        if self.native is None:
            return {}
        uri = str(self.client.tracking_uri)
        return {"run_id": self.run_id} | ({"tracking_uri": uri} if scrubbed(uri) == uri else {})

    @classmethod
    def child_of(cls, identity: Mapping[str, Any], parent: str) -> dict[str, Any]:
        """Nest the run below the parent's run."""
        if "run_id" in identity:
            return {"parent_run_id": identity["run_id"]}
        warn(f"{cls.name}: the run of the parent {parent!r} is not known yet; its child is not nested below it.")
        return {}

    def read(self) -> BackendRun:
        """Return the run as its server or database has it."""
        address = str(self.client.tracking_uri) if self.client is not None else self.tracking_uri
        return run_with(self.run_id, address or default_address(self.directory))

    def stored_name(self, name: str) -> str:
        """Return the name as MLflow takes it."""
        return mlflow_name(name)

    def page(self) -> str | None:
        """Page of the run on its server; None for a database."""
        if self.native is None or not str(self.client.tracking_uri).startswith(("http://", "https://")):
            return None
        info = self.native.info
        return f"{self.client.tracking_uri.rstrip('/')}/#/experiments/{info.experiment_id}/runs/{info.run_id}"

    def look(self) -> str | None:
        """Return the command that shows the database; none for one on a server of databases, whose URI has a password.

        MLflow's pages need an address; a run that was not started yet has none.
        """
        address = str(self.client.tracking_uri) if self.client is not None else self.tracking_uri or ""
        files = address.startswith(("sqlite:", "file:"))
        return command_line("mlflow", "ui", "--backend-store-uri", address) if files else None

    def store_outcome(self) -> None:
        """Set the final status of this run and no other; after a failure that may pass, `finish` does it again."""
        self.check_database()
        end_run(self.client, self.native.info.run_id, self.outcome)

    def close(self, native: Any) -> None:
        """Close connections to a database."""
        close_connections(self.client)
