"""The tracker for Comet."""

from __future__ import annotations

import copy
import glob
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.folders import command_line
from accel_track.trackers.comet.fast import CometParts, is_configured
from accel_track.trackers.comet.metrics import CometMetrics
from accel_track.trackers.comet.names import fitting
from accel_track.trackers.comet.reading import STATUS, run_with
from accel_track.trackers.sdk import native_object, unreachable

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun


class CometMLTracker(CometMetrics):
    """One Comet experiment, from `comet_ml.start`.

    Numbers become metrics; NaN and infinities are stored as the texts "NaN", "Infinity" and "-Infinity". Strings go to
    the Text tab, each with its name in the metadata `name`. Names of nested dictionaries are joined with "/", also
    those of hyperparameters; names over 100 characters, which Comet would cut and thereby mix, end in a hash.
    Hyperparameters over 1000 characters are cut by the SDK. Values without a step get the last step that was logged.

    All have the time of their delivery, since the SDK takes none from outside.

    Every start is an experiment of its own, also while another is running; with `mode="get"` the running one is used.
    Comet's copying of what other loggers log (`auto_metric_logging`: TensorBoard scalars, the loss of `backward()`) and
    its summary at the end (`display_summary_level`) are off unless an `experiment_config` is passed or Comet's own
    variables (COMET_AUTO_LOG_METRICS, COMET_DISPLAY_SUMMARY_LEVEL) turn them on.

    The status, with the reason, is the "Other" field `status`. An experiment that did not finish also gets Comet's
    error report, online as crashed; `comet upload` sends an archive's report without that mark. Rewinding keeps the
    values there are: what is logged again follows them, with the same steps. A checkpoint is a model of its name,
    whose files the SDK copies and the service is asked to replace; an archive holds all of them in order. Models of
    checkpoints that the program deletes stay.

    Args:
        run_name: Name of Comet's project.
        **kwargs: Passed to `comet_ml.start`, e.g. `workspace`, `online`, `experiment_key`, `experiment_config`.
    """

    name = "comet_ml"
    requires_logging_directory = False
    sdk = "comet_ml"
    install = "comet-ml>=3.58"
    checks_arguments = True
    keeps_status = True
    fast_paths = (CometParts,)
    wraps_terminal = True
    of_one_run = frozenset(("experiment_key", "mode"))
    writer = native_object

    experiment_name: str | None = None
    _place: tuple[str, str, str | None] = ("", "", None)
    """Key, folder of archives, and folder while it is running, of the offline experiment that was opened."""

    offline_directory: str | None = None

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Name project and experiment, and keep what is written offline in `<directory>/comet_ml`."""
        tracker = cls(**{"run_name": project, **init_kwargs})
        tracker.experiment_name = run_name
        tracker.offline_directory = None if directory is None else os.path.join(directory, "comet_ml")
        return tracker

    @classmethod
    def not_configured(cls, init_kwargs: Mapping[str, Any]) -> str | None:
        """Look for an API key or an offline setting wherever the SDK does."""
        if is_configured(cls.name, init_kwargs):
            return None
        return "no API key; set COMET_API_KEY (or run `comet login`), or COMET_START_ONLINE=0 to log locally."

    def open(self, sdk: Any) -> Any:
        """Start the experiment.

        Raises:
            ConnectionError: Comet did not accept the experiment.
        """
        kwargs = dict(self.init_kwargs)
        kwargs.setdefault("project_name", kwargs.pop("project", None) or self.run_name)
        if kwargs.get("mode") != "get":
            self.fast(CometParts).use(CometParts.forget_running)
        experiment = sdk.start(**{**kwargs, "experiment_config": self._options(sdk)})
        if not (experiment.alive or experiment.disabled):  # a refused key and a dead network are only logged by the SDK
            experiment.end()
            message = (
                f"{self.name}: Comet did not accept the experiment, see its error above; check the API key and the "
                "network, or set COMET_START_ONLINE=0 to log locally."
            )
            raise ConnectionError(message)
        # Offline, everything is in a folder for temporary files until the archive is made at the end.
        self.durable_flush = not isinstance(experiment, sdk.OfflineExperiment)
        if not self.durable_flush:
            self._place = experiment.get_key(), str(experiment.offline_directory), str(experiment.tmpdir)
        if "experiment_key" in kwargs:  # perhaps of an experiment that has ended
            experiment.log_other(STATUS, "running")
        return experiment

    def _options(self, sdk: Any) -> Any:
        options = copy.copy(self.init_kwargs.get("experiment_config"))  # the user's stays as it is
        if options is None:
            off = {"auto_metric_logging": False, "display_summary_level": 0}
            options = sdk.ExperimentConfig(**(self.fast(CometParts).use(CometParts.turned_on) or off))
        if options.name is None:
            options.name = self.experiment_name
        if self.offline_directory is not None and options.has_default_offline_directory():
            options.offline_directory = self.offline_directory
        return options

    def flush(self) -> None:
        """Wait until what was logged is sent, or on disk when offline.

        Raises:
            ConnectionError: Not all was sent. Comet goes on trying, in threads of its own.
            EndedError: The files of an offline experiment are gone.
        """
        self._check_files()
        if not self.alive().flush() and not self.native.disabled:
            message = f"{self.name}: Comet has not sent everything yet; see its messages above."
            raise ConnectionError(message)

    def _check_files(self) -> None:
        """Check that the folder in which an offline experiment is until its archive is made is still there."""
        folder = self._place[2]
        if folder is not None and self.native.alive:  # else the archive is made
            self.check_place(folder)

    def is_transient(self, error: BaseException) -> bool:
        """Return whether an error may pass; that of `start`, also raised for a rejected key, if no server answers."""
        if type(error) is ConnectionError and self.native is None:
            address = self.fast(CometParts).use(CometParts.address)
            return address is None or unreachable(address)
        return super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the experiment's key; offline, another process adds an archive of the same key."""
        return {} if self.native is None else {"experiment_key": self.native.get_key(), "mode": "get_or_create"}

    def read(self) -> BackendRun:
        """Return the offline experiment; of one on a server there is no reader."""
        key, folder, unfinished = self._place
        if not key:
            sdk = self.import_sdk()
            key, folder = str(self.init_kwargs.get("experiment_key", "")), str(self._options(sdk).offline_directory)
        return run_with(key, folder, unfinished)

    def stored_name(self, name: str) -> str:
        """Return the name as Comet takes it."""
        return fitting(name)

    def page(self) -> str | None:
        """Page of the experiment; None offline."""
        url = None if self.native is None else self.native.url
        return url if str(url).startswith("http") else None  # offline, it is a sentence

    def look(self) -> str | None:
        """Return the command that uploads an offline experiment, once it has ended: there is no page of those."""
        key, folder, _ = self._place
        key = key or str(self.init_kwargs.get("experiment_key") or "")
        folder = folder or os.environ.get("COMET_OFFLINE_DIRECTORY") or self.offline_directory or ""
        archives = sorted(Path(folder).glob(f"{glob.escape(key)}*.zip")) if key and folder else []
        return command_line("comet", "upload", *archives) if archives else None

    def finish(self) -> None:
        """End the experiment, which itself waits for what is not sent, also where somebody else has ended it before."""
        if self.native is not None:
            try:
                self._check_files()
            finally:
                self._end()

    def close(self, native: Any) -> None:
        """End the experiment with its status: send what is left, or write the archive when offline."""
        message = self.outcome.text
        native.log_other(STATUS, message)
        if self.outcome.status != "finished":
            self.fast(CometParts).use(lambda parts: parts.report_crash(native, message))
        native.end()
