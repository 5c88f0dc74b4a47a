"""The folders of a project."""

from __future__ import annotations

import os
from dataclasses import dataclass

from accel_track.folders import expanded, is_address


@dataclass
class ProjectConfiguration:
    """Folders and checkpoint names of a project.

    In folders, `~` and variables are expanded; `file://` is taken off.

    Args:
        project_dir: Folder for everything; checkpoints go to its `checkpoints/`.
        logging_dir: Folder for trackers that store locally. Default: `project_dir`.
        automatic_checkpoint_naming: Whether `save_state()` without a folder numbers its own: `checkpoint_0`, ….
        total_limit: With automatic naming, how many checkpoints to keep; older ones are deleted. Default: all.
        iteration: Number of the next automatic checkpoint.

    Raises:
        ValueError: `total_limit` is less than 1, or a folder is on another file system.
    """

    project_dir: str | os.PathLike[str] | None = None
    logging_dir: str | os.PathLike[str] | None = None
    automatic_checkpoint_naming: bool = False
    total_limit: int | None = None
    iteration: int = 0

    def __post_init__(self) -> None:
        """Fill in the logging directory."""
        if self.total_limit is not None and self.total_limit < 1:
            message = f"`total_limit` must be 1 or more, or None to keep all checkpoints; got {self.total_limit}."
            raise ValueError(message)
        self.set_directories(self.project_dir)

    def set_directories(self, project_dir: str | os.PathLike[str] | None) -> None:
        """Set `project_dir`, and `logging_dir` too unless it was given."""
        if project_dir is not None:
            project_dir = expanded(project_dir, "project_dir", or_address=True)
        place = project_dir if self.logging_dir is None else self.logging_dir
        self.logging_dir = None if place is None else expanded(place, "logging_dir", or_address=True)
        self.project_dir = None if is_address(project_dir) else project_dir
