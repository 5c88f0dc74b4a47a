"""A Lightning logger on top of trackers."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import _DummyExperiment
from lightning.pytorch.loggers import Logger

from accel_track.delivery.settings import Delivery, Durability, OnError, Settings
from accel_track.noop import NoOp
from accel_track.registry import LogWith, select
from accel_track.run import Run, no_tracker
from accel_track.state import process_index
from accel_track.trackers.base import GeneralTracker
from accel_track.values import check_config, check_name

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_SAVES = 30.0


class NoOpExperiment(NoOp, _DummyExperiment):  # type: ignore[misc]  # takes any key, not only an index
    """What `experiment` is off rank zero: Lightning recognises it, and everything on it does nothing."""


def _be_recognised() -> None:
    """Make `Trainer.log_dir` a logger's own `log_dir`: it is for its TensorBoardLogger and CSVLogger only.

    Lightning has two import names with classes of their own; whichever the program has imported is served.
    """
    for name in ("lightning.pytorch.loggers", "pytorch_lightning.loggers"):
        if (loggers := sys.modules.get(name)) is not None:
            loggers.CSVLogger.register(AccelTrackLogger)


class AccelTrackLogger(Logger):
    """Logs with any set of trackers: `Trainer(logger=AccelTrackLogger("mlflow"))` or `Fabric(loggers=...)`.

    The run starts when Lightning first needs it, on rank zero only, and goes on over `fit`, `validate`, `test` and
    `predict` until `finish` or the interpreter's exit. The project (or experiment) in every backend is `name`, the
    run's name the version.

    Args:
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend.
        name: Name of the project, used as a folder name.
        version: An int or a string naming the run. Default: the next free number in `save_dir`/`name`.
        save_dir: Folder for everything local, checkpoints included. Default: the working directory.
        prefix: Put before metric names, joined by "-" as Lightning's loggers do.
        config: Hyperparameters to store besides those of the module and the data module.
        init_kwargs: Constructor arguments by tracker name.
        delivery: "thread": values go to a journal on disk and from there to each tracker in the background. "inline":
            straight to the trackers, on the calling thread. "none": to the journal only, for `accel-track sync`.
        on_error: "warn" or "raise" when a tracker fails. Default: "warn", with "inline" "raise".
        strict: Whether a backend that cannot be reached at the start is an error. Default: False.
        start_timeout: How long to wait for trackers to start, in seconds. Default: 20.
        finish_timeout: How long to wait at the end for what is not delivered yet, in seconds. Default: 60.
        durability: What survives once a value is logged: "process", the process's end; "power", a power cut. Default:
            "process".
        redact: Whether credentials in hyperparameters are replaced by "***". Default: True.

    Each of the last seven is, when None, taken from the variable `ACCEL_TRACK_DELIVERY`, `ACCEL_TRACK_ON_ERROR`, ….

    Raises:
        ValueError: `name` or `version` cannot be a folder name, or `log_with` names an unknown tracker.
        TypeError: An argument is of another type.
    """

    def __init__(
        self,
        log_with: LogWith = "tensorboard",
        name: str = "lightning_logs",
        version: int | str | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        prefix: str = "",
        config: dict[str, Any] | None = None,
        init_kwargs: dict[str, dict[str, Any]] | None = None,
        delivery: Delivery | None = None,
        on_error: OnError | None = None,
        strict: bool | None = None,
        start_timeout: float | None = None,
        finish_timeout: float | None = None,
        durability: Durability | None = None,
        redact: bool | None = None,
    ) -> None:
        """Check the arguments; nothing starts yet."""
        super().__init__()
        _be_recognised()
        self._settings = Settings.of(delivery, on_error, strict, start_timeout, finish_timeout, durability, redact)
        if version is not None and not isinstance(version, int):
            check_name(version, "version")
        self._name = check_name(name, "name")
        self._version = version
        self._save_dir = os.fspath(save_dir or os.curdir)
        self._prefix = prefix
        self._config = {} if config is None else check_config(config)
        self._init_kwargs = init_kwargs
        self._selected = select(log_with, self._save_dir)
        self._run: Run | None = None
        self._saved_at = 0.0

    # -- where things are ---------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the project."""
        return self._name

    @property
    def version(self) -> int | str:
        """The run's version; the next free number is looked up once."""
        if self._version is None:
            taken = [
                int(match[1])
                for path in Path(self._save_dir, self._name).glob("version_*")
                if (match := re.fullmatch(r"version_(\d+)", path.name))
            ]
            self._version = max(taken, default=-1) + 1
        return self._version

    @property
    def run_name(self) -> str:
        """The version as a folder and run name: itself if a string, else `version_<number>`."""
        return self.version if isinstance(self.version, str) else f"version_{self.version}"

    @property
    def save_dir(self) -> str:
        """Folder for everything local."""
        return self._save_dir

    @property
    def root_dir(self) -> str:
        """Folder of the project's runs."""
        return os.path.join(self.save_dir, self.name)

    @property
    def log_dir(self) -> str:
        """Folder of this run; Lightning puts checkpoints below it."""
        return os.path.join(self.root_dir, self.run_name)

    # -- trackers -----------------------------------------------------------------------------------------------------

    def open(self) -> Run:
        """Return the run, started if it is not. For rank zero.

        Raises:
            Exception: As `Run`; an AttributeError comes as a RuntimeError, which `hasattr` cannot hide.
        """
        if self._run is None:
            try:
                self._run = Run(
                    self._selected,
                    project=self.name,
                    name=self.run_name,
                    directory=self.save_dir,
                    init_kwargs=self._init_kwargs,
                    config=self._config or None,
                    argument="save_dir",
                    settings=self._settings,
                )
            except AttributeError as error:
                message = f"a tracker could not be started: {error}"
                raise RuntimeError(message) from error
        return self._run

    def add(self, other: AccelTrackLogger, *, with_trackers: bool = True) -> None:
        """Have the configuration and the trackers of another logger, which has no run itself, take part in this run.

        A tracker whose name is there already is left out.

        Args:
            other: The logger.
            with_trackers: False to leave its trackers out.
        """
        if process_index() == 0:
            run = self.open()
            if with_trackers:
                present = {tracker.name for tracker in run.trackers}
                more = [one for one in other._selected if one.name not in present]
                run.add(more, other._init_kwargs)
            if other._config:
                run.store_configuration(other._config)

    @property
    def experiment(self) -> Any:
        """The first tracker's native object, after it has had what was logged before.

        An object on which everything does nothing off rank zero, with `delivery="none"`, and while the backend cannot
        be reached.
        """
        if process_index() != 0:
            return NoOpExperiment()
        run = self.open()
        native = run.native(run.trackers[0]) if run.trackers else None
        return NoOpExperiment() if native is None else native

    @property
    def experiments(self) -> dict[str, Any]:
        """The native objects of all trackers whose backend could be reached, by name; empty off rank zero."""
        run = self.open() if process_index() == 0 else None
        found = {} if run is None else {tracker.name: run.native(tracker) for tracker in run.trackers}
        return {name: native for name, native in found.items() if native is not None}

    @property
    def trackers(self) -> list[GeneralTracker]:
        """The started trackers; empty off rank zero."""
        return list(self.open().trackers) if process_index() == 0 else []

    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return the tracker of that name, or with `unwrap` its SDK's own object.

        Off rank zero, an object on which every attribute and call does nothing.

        Raises:
            ValueError: No tracker has that name.
        """
        return self.open().get_tracker(name, unwrap) if process_index() == 0 else no_tracker(unwrap)

    # -- what Lightning calls -----------------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, Any], step: float | None = None) -> None:
        """Log metrics with all trackers.

        Args:
            metrics: Names to values; not changed (Lightning shares the dictionary between loggers).
            step: Training step, or None. A fractional one, as the mean of a logged "step" may be, is cut to an int.
        """
        if process_index() == 0:
            named = {f"{self._prefix}-{key}": value for key, value in metrics.items()} if self._prefix else metrics
            self.open().log(named, int(step) if isinstance(step, float) else step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Store hyperparameters; those stored already are not stored again.

        Args:
            params: A dictionary, namespace, dataclass or OmegaConf node, possibly nested.
            *args: Accepted for Lightning's signature, and ignored.
            **kwargs: Accepted for Lightning's signature, and ignored.
        """
        if process_index() == 0:
            self.open().store_configuration(params)

    def save(self) -> None:
        """Flush inline trackers, at most every 30 seconds: Lightning calls this after every `log_metrics`."""
        if self._run is not None and self._settings.delivery == "inline":
            now = time.monotonic()
            if now - self._saved_at > _SECONDS_BETWEEN_SAVES:
                self._saved_at = now
                self._run.flush()

    def finalize(self, status: str) -> None:
        """Flush the trackers at the end of a `fit`, `validate`, `test` or `predict`; the run stays open.

        Errors are logged, not raised: raised here they would hide the error that ended the training.

        Args:
            status: Lightning's word for how the call ended.
        """
        if self._run is not None:
            try:
                self._run.flush()
            except Exception:  # noqa: BLE001 - reported, see above
                _log.exception("AccelTrackLogger: flushing after %r failed", status)

    def finish(self) -> None:
        """End the run now; it would end at the interpreter's exit. The next use starts another run."""
        run, self._run = self._run, None
        if run is not None:
            run.finish()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the run behind, which lives in this process, and take the version along, decided now."""
        return {**self.__dict__, "_version": self.version, "_run": None}
