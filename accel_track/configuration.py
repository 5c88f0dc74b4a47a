"""The folders of a project."""

from __future__ import annotations

import os
from dataclasses import dataclass

from accel_track.folders import expanded, is_address


@dataclass
class ProjectConfiguration:
    """The folders of a project, and the names of its checkpoints.

    Folders may begin with `~` or `file://`, and may contain environment variables.

    Args:
        project_dir: Folder of the project, with the checkpoints in its subfolder `checkpoints/`.
        logging_dir: Folder for the journal and for trackers that store locally. Default: `project_dir`.
        automatic_checkpoint_naming: Whether `save_state()` without a folder saves to numbered ones: `checkpoint_0`, ….
        total_limit: Number of numbered checkpoints to keep, 1 or more; older ones are deleted. Default: all.
        iteration: Number of the next numbered checkpoint.

    Raises:
        ValueError: `total_limit` is less than 1, a folder names an unset variable, or a URL of another scheme.
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
        """Set `project_dir`, and `logging_dir` as well if that was not given.

        Args:
            project_dir: Folder of the project.
        """
        if project_dir is not None:
            project_dir = expanded(project_dir, "project_dir", or_address=True)
        place = project_dir if self.logging_dir is None else self.logging_dir
        self.logging_dir = None if place is None else expanded(place, "logging_dir", or_address=True)
        self.project_dir = None if is_address(project_dir) else project_dir
