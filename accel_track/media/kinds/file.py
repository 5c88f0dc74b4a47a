"""Files that stand for media in a backend that has nothing better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from accel_track.media.kinds.medium import Medium, captioned

if TYPE_CHECKING:
    pass


class File(Medium):
    """A file that a tracker gets for a medium whose kind its backend does not have. Users log artifacts instead.

    Args:
        path: The file.
        suffix: Ending of the file's name, such as ".json".
        caption: Text below the file.
    """

    kind = "file"

    def __init__(self, path: Path, suffix: str, caption: str = "") -> None:
        """Keep the path."""
        self.path, self.suffix = path, suffix
        self.info = captioned(caption)
