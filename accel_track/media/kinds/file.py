"""Files that stand for media where a backend has nothing better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from accel_track.media.kinds.medium import Medium, captioned

if TYPE_CHECKING:
    pass


class File(Medium):
    """A file that stands for a medium where a backend has nothing better; users log artifacts.

    Args:
        path: The file.
        suffix: What its name ends in.
        caption: What is written below it.
    """

    kind = "file"

    def __init__(self, path: Path, suffix: str, caption: str = "") -> None:
        """Know where it is."""
        self.path, self.suffix = path, suffix
        self.info = captioned(caption)
