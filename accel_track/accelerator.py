"""The front door for plain training loops: devices and processes from Lightning Fabric, tracking from a `Run`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from accel_track.configuration import ProjectConfiguration
from accel_track.delivery.settings import Delivery, Durability, OnError, Settings
from accel_track.errors import AccelTrackWarning
from accel_track.registry import LogWith, select
from accel_track.run import Run, no_tracker
from accel_track.trackers.base import GeneralTracker
from accel_track.training import Training


class Accelerator(Training):
    """Trackers and training helpers for a loop of one's own.

    One process by default; started by `torchrun` it joins the process group. Trackers run on the main process only;
    elsewhere every tracking call does nothing.

    Args:
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend. None tracks nothing.
        project_dir: Folder for checkpoints and for trackers that store locally.
        project_config: More about folders; its `project_dir` counts when the argument is None.
        mixed_precision: None or "no", "fp16" or "bf16".
        gradient_accumulation_steps: How many batches one optimizer step takes its gradients from; see `accumulate`.
        cpu: Whether to use the CPU even where there is a GPU.
        delivery: "thread": values go to a journal on disk and from there to each tracker in the background. "inline":
            straight to the trackers, on the calling thread. "none": to the journal only, for `accel-track sync`.
        on_error: "warn" or "raise" when a tracker fails. Default: "warn", with "inline" "raise".
        strict: Whether a backend that cannot be reached at the start is an error. Default: False.
        start_timeout: How long to wait for trackers to start, in seconds. Default: 20.
        finish_timeout: How long to wait at the end for what is not delivered yet, in seconds. Default: 60.
        durability: What survives once `log` returned: "process", the process's end; "power", a power cut. Default:
            "process".
        redact: Whether credentials in the configuration are replaced by "***". Default: True.

    Each of the last seven is, when None, taken from the variable `ACCEL_TRACK_DELIVERY`, `ACCEL_TRACK_ON_ERROR`, ….

    Raises:
        ValueError: An unknown tracker or precision, fewer than 1 accumulation step, or no folder for a tracker that
            needs one.
        TypeError: `log_with` holds something else.
    """

    def __init__(
        self,
        log_with: LogWith = None,
        project_dir: str | os.PathLike[str] | None = None,
        project_config: ProjectConfiguration | None = None,
        mixed_precision: str | None = None,
        gradient_accumulation_steps: int = 1,
        cpu: bool = False,
        *,
        delivery: Delivery | None = None,
        on_error: OnError | None = None,
        strict: bool | None = None,
        start_timeout: float | None = None,
        finish_timeout: float | None = None,
        durability: Durability | None = None,
        redact: bool | None = None,
    ) -> None:
        """Choose devices and, under `torchrun`, join the group; check `log_with`."""
        self._settings = Settings.of(delivery, on_error, strict, start_timeout, finish_timeout, durability, redact)
        configuration = project_config or ProjectConfiguration()
        if project_dir is not None:
            configuration.set_directories(project_dir)
        self._selected = select(log_with, configuration.logging_dir)
        super().__init__(configuration, mixed_precision, gradient_accumulation_steps, cpu)
        self._run: Run | None = None
        self._warned = False

    @property
    def project_dir(self) -> str | os.PathLike[str] | None:
        """Folder of the project."""
        return self.project_configuration.project_dir

    @property
    def logging_dir(self) -> str | os.PathLike[str] | None:
        """Folder for trackers that store locally."""
        return self.project_configuration.logging_dir

    @property
    def trackers(self) -> list[GeneralTracker]:
        """The started trackers; none before `init_trackers`, after `end_training` and off the main process."""
        return [] if self._run is None else list(self._run.trackers)

    def init_trackers(
        self,
        project_name: str,
        config: Any = None,
        init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Start the trackers; if they run already, only add `config`.

        Args:
            project_name: Name of the project (some backends call it experiment); must do as a folder name.
            config: Hyperparameters: a dictionary, dataclass, namespace or OmegaConf node, possibly nested.
            init_kwargs: Constructor arguments by tracker name, e.g. `{"wandb": {"entity": "team"}}`.

        Raises:
            ValueError: The project name cannot be used, or `init_kwargs` names an unknown tracker.
            TypeError: `config` or `init_kwargs` is of another form.
            NotConfiguredError: A backend named in `log_with` lacks its credentials.
            UnwritableDirectoryError: The logging folder cannot be written to.
            Exception: A tracker could not be started; those that were are finished again.
        """
        if not self.is_main_process:
            return
        if self._run is None:
            self._run = Run(
                self._selected,
                project=project_name,
                directory=self.logging_dir,
                init_kwargs=init_kwargs,
                config=config,
                settings=self._settings,
            )
        elif config is not None:
            self._run.store_configuration(config)

    def log(
        self,
        values: dict[str, Any],
        step: int | None = None,
        log_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Log values with all trackers.

        Args:
            values: Names to numbers, texts, tensors or arrays of one element, or dictionaries of these.
            step: Training step, 0 or more.
            log_kwargs: More arguments by tracker name for that tracker's `log`.

        Raises:
            TypeError: `values` is no dictionary with string keys, or `step` no integer.
            ValueError: `step` is negative.
            Exception: A tracker's own error, with `on_error="raise"`.
        """
        if self._run is not None:  # on the main process only
            self._run.log(values, step, log_kwargs)
        elif self._selected and not self._warned and self.is_main_process:
            self._warned = True
            message = "nothing is logged: call `init_trackers` before `log`, and `end_training` after the last one."
            warnings.warn(message, AccelTrackWarning, stacklevel=2)

    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return the tracker of that name, or with `unwrap` its SDK's own object.

        Off the main process, an object on which every attribute and call does nothing.

        Raises:
            ValueError: No started tracker has that name.
        """
        if not self.is_main_process:
            return no_tracker(unwrap)
        if self._run is None:
            message = f"no tracker {name!r}: call `init_trackers` first."
            raise ValueError(message)
        return self._run.get_tracker(name, unwrap)

    def end_training(self) -> None:
        """Finish the trackers. Does nothing when there are none; at interpreter exit it happens by itself."""
        run, self._run = self._run, None
        if run is not None:
            run.finish()
