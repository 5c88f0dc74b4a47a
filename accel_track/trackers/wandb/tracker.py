"""The tracker for Weights & Biases."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accel_track.folders import command_line
from accel_track.media.calls import AlertLevel
from accel_track.trackers.names import short_id
from accel_track.trackers.sdk import native_object
from accel_track.trackers.wandb import global_run as _wandb_global
from accel_track.trackers.wandb.axis import STEP, Axis
from accel_track.trackers.wandb.fast import Rows
from accel_track.trackers.wandb.media import WandBMedia
from accel_track.trackers.wandb.metrics import WandBMetrics
from accel_track.trackers.wandb.reading import folders_of, run_with
from accel_track.trackers.wandb.settings import chooses_id, find_settings, netrc_key, runs_folder
from accel_track.values.plain import storable

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun

_ALERT_TITLE = 63
_REFUSED = re.compile(r"returned error 4(?!08|29)\d\d")


class WandBTracker(WandBMetrics, WandBMedia):
    """One `wandb.Run` of its own (`reinit="create_new"`).

    It is wandb's global run, which `wandb.run`, `wandb.log`, `wandb.watch`, … refer to, unless the program, or an
    earlier tracker that goes on, has one.

    The step is the field `trainer/global_step` of each row and the x-axis of all charts. It is not wandb's own `_step`,
    which counts rows: wandb loses every value whose `step=` is lower than an earlier one, as evaluation and resuming
    produce them. Here each call adds one row and none is lost. A row logged without a step has none, and names that
    begin without one have wandb's `_step` as x-axis; rows of your own `run.log` get the last step from wandb.
    A row has the time of the call that logged it; rows of numbers and
    texts that a worker delivers reach wandb's service together. Your own `define_metric` for a name or a prefix
    goes before the tracker's.

    The status is the exit code: 0, 1 for failed, 130 for interrupted, 143 for preempted, which is marked as preempting,
    too. Rewinding keeps the rows there are: what is logged again follows them, with the same steps. Checkpoints are the
    versions of one artifact, `model-<run id>`, each with its own name as an alias, and "best" or "last" where it is
    that. wandb copies them, offline into its staging folder (below WANDB_DATA_DIR) until `wandb sync`; versions of
    checkpoints that the program deletes stay.

    Args:
        run_name: Name of the project.
        **kwargs: Passed to `wandb.init`.
    """

    name = "wandb"
    requires_logging_directory = False
    main_process_only = False
    sdk = "wandb"
    install = "wandb>=0.31"
    keeps_status = True
    batch_size = 1000
    wraps_terminal = True
    durable_flush = False  # the SDK keeps rows in memory, and has no flush
    fast_paths = (Rows,)
    keeps_alerts = True
    keeps_nesting = True
    keeps_time = True
    checks_arguments = True
    run = native_object

    def __init__(self, run_name: str, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__(run_name, **kwargs)
        self._planned: dict[str, Any] = {}
        self._place: tuple[str, str] | None = None

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Keep wandb's files in `<directory>/wandb` unless `WANDB_DIR` says otherwise."""
        derived: dict[str, Any] = {"run_name": re.sub("[#?%:]", "-", project)[:128]}  # what wandb refuses in a project
        if run_name is not None:
            derived["name"] = run_name
        if directory is not None and not os.environ.get("WANDB_DIR"):
            derived["dir"] = os.fspath(directory)
        return cls(**{**derived, **init_kwargs})

    @classmethod
    def not_configured(cls, init_kwargs: Mapping[str, Any]) -> str | None:
        """Look for an offline mode and for credentials in every place where wandb does, without importing it."""
        settings = find_settings(init_kwargs)
        if settings.get("mode") in ("offline", "dryrun", "disabled"):
            return None
        if settings.get("api_key") or settings.get("identity_token_file") or netrc_key(settings.get("base_url")):
            return None
        return "no credentials; set WANDB_API_KEY (or run `wandb login`), or WANDB_MODE=offline to log locally."

    def open(self, sdk: Any) -> Any:
        """Open the run, as wandb's global one if there is none.

        Raises:
            RuntimeError: The program has a run of this id open, which wandb calls "in use".
        """
        own = self.init_kwargs.get("id")
        if own is not None and "reinit" not in self.init_kwargs and getattr(sdk.run, "id", None) == own:
            message = (
                f"{self.name}: the program has the run {own} open; end it by `wandb.finish()` before this one begins."
            )
            raise RuntimeError(message)
        # wandb reads its variables once per process; the mode found now is the one that counts.
        mode = find_settings(self.init_kwargs).get("mode")
        derived = {"project": self.run_name, "reinit": "create_new", "mode": mode, **self._planned}
        run = sdk.init(**{**derived, **self.init_kwargs})
        self._planned = {}
        own = os.path.abspath(os.path.dirname(run.dir))
        self._place, self._own = (str(run.id), os.path.dirname(own)), own if run.offline else None
        self.axis = Axis(run)
        _wandb_global.opened(sdk, run)
        return run

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add to the run's config; in offline mode too it is in the run's file at once."""
        self.alive().config.update(_without_nan(storable(values)), allow_val_change=True)

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise one of wandb's alerts, which go to the user's mail or Slack; offline, with `wandb sync`."""
        level_name = {"warning": "WARN"}.get(level, level.upper())
        # wandb would leave out a second one of a title within a minute; `wait_duration=0` stands for that minute, too.
        self.alive().alert(title[:_ALERT_TITLE], self.said_late(text), level_name, wait_duration=0.001)

    def is_transient(self, error: BaseException) -> bool:
        """Return whether an error may pass; wandb's `CommError` does if it blames neither the key nor the request."""
        names = [cls.__name__ for cls in type(error).__mro__ if cls.__module__.startswith("wandb.")]
        if "CommError" in names and "AuthenticationError" not in names:
            return _REFUSED.search(str(error)) is None
        return super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the run's id; offline, another process adds a folder of the same id."""
        return {} if self.native is None else {"id": self.native.id, "resume": "allow"}

    def planned_identity(self) -> dict[str, Any]:
        """Choose the run's id, unless it is chosen elsewhere."""
        if chooses_id(self.init_kwargs):
            return {}
        self._planned = {"id": short_id()}
        return {**self._planned, "resume": "allow"}

    def read(self) -> BackendRun:
        """Return the offline run; of one on a server there is no reader."""
        run_id, folder = self._place or (str(self.init_kwargs.get("id", "")), runs_folder(self.init_kwargs))
        return run_with(run_id, folder, STEP, own=self._own if self.native is None else None)

    def page(self) -> str | None:
        """Page of the run; None offline."""
        return None if self.native is None or self.native.offline else self.native.url

    def look(self) -> str | None:
        """Return the command that uploads an offline run: there is no page of those."""
        run_id, folder = self._place or (str(self.init_kwargs.get("id", "")), runs_folder(self.init_kwargs))
        folders = folders_of(run_id, folder) if run_id else []
        return command_line("wandb", "sync", *folders) if folders else None

    @classmethod
    def grouped(cls, group: str, rank: int) -> dict[str, Any]:
        """Put the runs of all ranks into one group."""
        return {"group": group}

    @classmethod
    def child_of(cls, identity: Mapping[str, Any], parent: str) -> dict[str, Any]:
        """Put the run into the group with the parent's name."""
        id_of_parent = os.environ.get("WANDB_RUN_ID")
        return {"group": parent, "job_type": "child"} | ({"id": short_id()} if id_of_parent else {})

    def close(self, native: Any) -> None:
        """End the run with the exit code of its outcome; online, this waits for the upload."""
        if "torch" in sys.modules:
            native.unwatch()  # its hooks would fail, or log to another run
        try:
            if not self.fast(Rows).use(Rows.is_finished):
                if self.outcome.status == "preempted":
                    native.mark_preempting()
                native.finish(exit_code=self.outcome.exit_code)
        finally:
            _wandb_global.finished(self.import_sdk(), native)
        if self._own is not None:
            self.check_file(self._own, "*.wandb", over=True)


def _without_nan(value: Any) -> Any:
    """Return hyperparameters with the text "NaN" for NaN, of which wandb's files have null."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list) else value
