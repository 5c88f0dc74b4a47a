"""The front door for plain training loops."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from accel_track.registry import LogWith, select
from accel_track.run import Run, no_tracker
from accel_track.state import process_index


class Accelerator:
    """Minimal for now."""

    def __init__(self, log_with: LogWith = None, project_dir: str | os.PathLike[str] | None = None, cpu: bool = False) -> None:
        self.logging_dir = project_dir
        self._selected = select(log_with, project_dir)
        self._run: Run | None = None

    def init_trackers(
        self,
        project_name: str,
        config: Any = None,
        init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if process_index() == 0:
            self._run = Run(
                self._selected, project=project_name, directory=self.logging_dir, init_kwargs=init_kwargs, config=config
            )

    def log(self, values: dict[str, Any], step: int | None = None, log_kwargs: Any = None) -> None:
        if self._run:
            self._run.log(values, step, log_kwargs)

    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        return self._run.get_tracker(name, unwrap) if self._run else no_tracker(name, unwrap)

    def end_training(self) -> None:
        if self._run:
            self._run.finish()
