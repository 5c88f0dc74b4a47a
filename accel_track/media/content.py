"""The content of a medium: what is stored of it, as it was in the call."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accel_track.media.histograms import histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray


SUFFIX = re.compile(r"(\.[a-z0-9]{1,8}){1,2}")
"""The ending of the name of a medium's file, such as ".png" or ".plotly.json"."""


def suffix_of(path: Path) -> str:
    """Return the ending of a file's name, which may have other dots, as backends' files do."""
    whole = "".join(path.suffixes)
    return whole if SUFFIX.fullmatch(whole) else path.suffix.lower()


class Content(NamedTuple):
    """The content of a medium: `info`, and one of the others, which becomes a file, or none.

    Attributes:
        info: Facts beside the file, as JSON values by name.
        suffix: Ending of the file's name, such as ".png".
        data: Bytes of the file.
        pixels: Pixels of an image, of shape (height, width, channels), or of a video's frames, with a dimension before
            these; of type uint8, encoded later.
        path: A file to be copied.
        numbers: Numbers of a histogram, some of which are finite, counted later in `info["bins"]` bins.
        cells: Columns and rows of a large table as MessagePack, which become JSON later.
    """

    info: Mapping[str, Any]
    suffix: str = ""
    data: bytes | None = None
    pixels: NDArray[Any] | None = None
    path: str | os.PathLike[str] | None = None
    numbers: NDArray[Any] | None = None
    cells: bytes | None = None

    def settled(self) -> Content:
        """Return the content with its numbers counted."""
        return self if self.numbers is None else Content(histogram(self.numbers, self.info["bins"]))
