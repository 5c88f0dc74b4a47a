"""The names of a logger's project and run, and the folders that follow from them, as Lightning's loggers have it."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from accel_track.values.plain import check_name

DEFAULT = "lightning_logs"
"""Name of a project that has none."""


class Names(NamedTuple):
    """The names of a logger's project and run.

    Attributes:
        project: Name of the project in every backend and in the journal.
        folder: Folder of the project's runs below `save_dir`; empty for `save_dir` itself.
        version: Number or name of the run; empty for a run without a folder of its own, None for the next free number.
        sub_dir: Folder below the run's for TensorBoard's files; empty for none.
    """

    project: str
    folder: str
    version: int | str | None
    sub_dir: str = ""

    @classmethod
    def of(cls, name: Any, version: Any, sub_dir: Any = None) -> Names:
        """Return the names that a logger's arguments stand for.

        Args:
            name: Of the project. None or "" means no folder of the project's own; in "a/b", each part is a folder.
            version: Of the run.
            sub_dir: As Lightning's TensorBoardLogger has it.

        Raises:
            TypeError: One is of another type.
            ValueError: One cannot be a folder below `save_dir`.
        """
        parts = _parts(name, "name")
        if isinstance(version, bool) or not isinstance(version, str | int | None):
            message = f"`version` must be the number or the name of a run; got a {type(version).__name__}."
            raise TypeError(message)
        if isinstance(version, str) and version:
            version = check_name(version, "version")
        project = check_name("-".join(parts), "name") if parts else DEFAULT
        return cls(project, os.path.join("", *parts), version, os.path.join("", *_parts(sub_dir, "sub_dir")))


def _parts(folder: Any, argument: str) -> list[str]:
    """Return the names of the folders in a relative path."""
    if folder is None or folder == "":
        return []
    if isinstance(folder, os.PathLike):
        folder = os.fspath(folder)
    if not isinstance(folder, str):
        return [check_name(folder, argument)]
    if os.path.isabs(folder):
        message = f"`{argument}` must be a folder below `save_dir`; got {folder!r}. Give the folder as `save_dir`."
        raise ValueError(message)
    return [check_name(part, argument) for part in folder.split("/") if part not in ("", ".")]
