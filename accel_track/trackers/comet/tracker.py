"""The tracker for Comet."""

from __future__ import annotations

import copy
import importlib
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from accel_track.media import without_single_channel
from accel_track.trackers.base import on_main_process
from accel_track.trackers.fast import FastPath, Gate
from accel_track.trackers.files import checkpoint_files, lasting
from accel_track.trackers.names import hashed_name
from accel_track.trackers.sdk import SDKTracker, setting, unreachable
from accel_track.values.plain import flat_config, is_number, leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

_FALSE = {"0", "f", "false", "n", "no", "off"}
_TRUE = {"1", "t", "true", "y", "yes", "on"}
_NAME_LENGTH = 100
_STATUS = "status"

# What `Experiment.log_image` does to arrays only; it ignores these for PIL images.
_ARRAY_OPTIONS = {"image_scale", "image_shape", "image_colormap", "image_minmax"}

# Where the SDK looks for settings besides the environment.
_FILES = (".env", ".comet.config", "~/.comet.config", "/content/drive/MyDrive/.comet.config")
_FILE_VARIABLES = ("COMET_CONFIG", "COMET_INI")


class CometParts(FastPath):
    """What Comet's public names do not offer: settings from its files, the running experiment, a report of a crash.

    Args:
        native: The module `comet_ml`.
    """

    distribution = "comet-ml"
    tested = ">=3.58"  # small enough a part of the SDK for later versions to be tried, too
    parts = ("comet_ml:CometExperiment._report_experiment_error",)
    attributes = ("config.get_config", "config.set_global_experiment", "config.get_backend_address")

    def settings(self) -> Any:
        """Return what is set in the environment and in Comet's files."""
        return self.native.config.get_config()

    def forget_running(self) -> None:
        """Let `comet_ml.start` neither return nor end the experiment that it knows as running."""
        self.native.config.set_global_experiment(None)

    def address(self) -> str:
        """Return the server's address."""
        return str(self.native.config.get_backend_address())

    def report_crash(self, experiment: Any, message: str) -> bool:
        """Mark an experiment as crashed, which the SDK offers to its own hook for exceptions only."""
        experiment._report_experiment_error(message, has_crashed=True)  # noqa: SLF001
        return True


class CometMLTracker(SDKTracker):
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

    def __init__(self, run_name: str, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.init_kwargs = kwargs
        self.experiment_name: str | None = None
        self.offline_directory: str | None = None
        self._parts = Gate(self.name, CometParts)

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
        config = init_kwargs.get("experiment_config")
        if (
            init_kwargs.get("api_key")
            or os.environ.get("COMET_API_KEY")
            or setting(init_kwargs, "online", "COMET_START_ONLINE") in _FALSE
            or (config.disabled if config else setting({}, "", "COMET_AUTO_LOG_DISABLE") in _TRUE)
        ):
            return None
        files = (*_FILES, *(os.environ[variable] for variable in _FILE_VARIABLES if os.environ.get(variable)))
        if "comet_ml" in sys.modules or any(os.path.exists(os.path.expanduser(file)) for file in files):
            parts = Gate(cls.name, CometParts)
            parts.open(importlib.import_module("comet_ml"))
            settings = parts.use(CometParts.settings)
            if settings is None:
                return None  # Comet itself will say what it lacks
            online = settings.get_bool(init_kwargs.get("online"), "comet.start.online", default=True)
            if settings["comet.api_key"] or not online:
                return None
        return "no API key; set COMET_API_KEY (or run `comet login`), or COMET_START_ONLINE=0 to log locally."

    @on_main_process
    def start(self) -> None:
        """Start the experiment.

        Raises:
            NotConfiguredError: There is neither an API key nor an offline setting.
            ConnectionError: Comet did not accept the experiment.
        """
        if self.started:
            return
        comet_ml = self.import_sdk()
        self.check_configured()
        self._parts.open(comet_ml)
        kwargs = dict(self.init_kwargs)
        kwargs.setdefault("project_name", kwargs.pop("project", None) or self.run_name)
        if kwargs.get("mode") != "get":
            self._parts.use(CometParts.forget_running)
        experiment = comet_ml.start(**{**kwargs, "experiment_config": self._options(comet_ml)})
        if not (experiment.alive or experiment.disabled):  # a refused key and a dead network are only logged by the SDK
            experiment.end()
            message = (
                f"{self.name}: Comet did not accept the experiment, see its error above; check the API key and the "
                "network, or set COMET_START_ONLINE=0 to log locally."
            )
            raise ConnectionError(message)
        # Offline, everything is in a folder for temporary files until the archive is made at the end.
        self.durable_flush = not isinstance(experiment, comet_ml.OfflineExperiment)
        self.native = experiment
        if "experiment_key" in kwargs:  # perhaps of an experiment that has ended
            experiment.log_other(_STATUS, "running")

    def _options(self, comet_ml: Any) -> Any:
        """Return the user's ExperimentConfig, or the default one, completed with what the front door derived."""
        options = copy.copy(self.init_kwargs.get("experiment_config"))
        if options is None:
            settings = self._parts.use(CometParts.settings)
            options = comet_ml.ExperimentConfig(
                auto_metric_logging=settings is not None
                and settings.get_bool(None, "comet.auto_log.metrics", default=False),
                display_summary_level=0
                if settings is None
                else settings.get_int(None, "comet.display_summary_level", default=0),
            )
        if options.name is None:
            options.name = self.experiment_name
        if self.offline_directory is not None and options.has_default_offline_directory():
            options.offline_directory = self.offline_directory
        return options

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Log hyperparameters."""
        self.tracker.log_parameters({_fitting(key): value for key, value in flat_config(values).items()})

    @on_main_process
    def store_environment(self, values: dict[str, Any]) -> None:
        """Log it among the "other" values."""
        self.tracker.log_others({_fitting(key): value for key, value in flat_config(values).items()})

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log metrics and texts; `kwargs` go to `Experiment.log_metrics` (e.g. `epoch`).

        Raises:
            ConnectionError: The experiment is over, or its server refused it: Comet takes values then and keeps none.
        """
        experiment = self._alive()
        numbers, texts, refused = self._sorted(values)
        if numbers:
            self.taken.part(None, lambda: experiment.log_metrics(numbers, step=step, **kwargs))
        for key, text in texts.items():
            # Not `log_other`, which keeps only the last text of a name.
            call = partial(experiment.log_text, text, step=step, metadata={"name": key})
            if self.taken.part(key, call, otherwise=key) is None and experiment.alive:
                refused.append((key, text))
        for one in refused:
            self.drop(*one)

    def _sorted(self, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str], list[tuple[str, Any]]]:
        """Return numbers by names that Comet takes, texts, and what it does not take."""
        numbers: dict[str, Any] = {}
        texts: dict[str, str] = {}
        refused: list[tuple[str, Any]] = []
        for key, value in leaves(values):
            if is_number(value):
                numbers[_fitting(key)] = (
                    int(value) if isinstance(value, bool) else value
                )  # a bool would be stored as text
            elif isinstance(value, str):
                texts[key] = value
            else:
                refused.append((key, value))
        return numbers, texts, refused

    @on_main_process
    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log images.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. One image
                keeps the name; several get `name/0`, `name/1`, ….
            step: Training step.
            **kwargs: Passed to `Experiment.log_image`. `image_scale`, `image_shape`, `image_colormap` and
                `image_minmax` need matplotlib.
        """
        from PIL import Image

        experiment = self.tracker
        as_array = not _ARRAY_OPTIONS.isdisjoint(kwargs)
        if as_array:  # else the SDK would stretch the contrast to what is in the image
            kwargs = {"image_minmax": (0, 255), **kwargs}
        for name, image in self.named_images(values):
            array = without_single_channel(image)
            data = array if as_array else Image.fromarray(array)
            stored = experiment.log_image(data, name=name, step=step, **kwargs)
            if stored is None and experiment.alive:
                self.drop(name, image, "Comet could not convert the image, see its error above")

    @on_main_process
    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Log the checkpoint as a model; `values` and the step are the metadata of each file."""
        experiment = self._alive()
        for file, stored_name in checkpoint_files(name, path):
            stored = experiment.log_model(
                name, file, file_name=stored_name, overwrite=True, metadata={**lasting(values), "step": step}
            )
            if stored is None and experiment.alive:
                self.drop("checkpoint", path, "Comet could not take the file, see its error above")

    @on_main_process
    def flush(self) -> None:
        """Wait until what was logged is sent, or on disk when offline.

        Raises:
            ConnectionError: Not all was sent. Comet goes on trying, in threads of its own.
        """
        if not self._alive().flush() and not self.native.disabled:
            message = f"{self.name}: Comet has not sent everything yet; see its messages above."
            raise ConnectionError(message)

    def _alive(self) -> Any:
        """Return the experiment if it takes values, or none by the user's choice."""
        experiment = self.tracker
        if not (experiment.alive or experiment.disabled):
            message = f"{self.name}: the experiment takes no more values; Comet or somebody else has ended it."
            raise ConnectionError(message)
        return experiment

    def is_transient(self, error: BaseException) -> bool:
        """Say so of the error that `start` raises, also for a refused key, only if the server cannot be reached."""
        if type(error) is ConnectionError and self.native is None:
            address = self._parts.use(CometParts.address)
            return address is None or unreachable(address)
        return super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the experiment's key; offline, another process adds an archive of the same key."""
        return {} if self.native is None else {"experiment_key": self.native.get_key(), "mode": "get_or_create"}

    def page(self) -> str | None:
        """Page of the experiment; None offline."""
        url = None if self.native is None else self.native.url
        return url if str(url).startswith("http") else None  # offline, it is a sentence

    @on_main_process
    def finish(self) -> None:
        """End the experiment with its status: send what is left, or write the archive when offline."""
        if self.native is not None:
            experiment, self.native = self.native, None
            status, reason = self.outcome
            message = f"{status}: {reason}" if reason else status
            experiment.log_other(_STATUS, message)
            if status != "finished":
                self._parts.use(lambda parts: parts.report_crash(experiment, message))
            experiment.end()


def _fitting(name: str) -> str:
    """Return `name`, or when it is too long for Comet its beginning and a hash of all of it."""
    return name if len(name) <= _NAME_LENGTH else hashed_name(name, name, _NAME_LENGTH)
