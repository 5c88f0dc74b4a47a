"""The content of a medium: what is stored of it, as it was in the call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from accel_track.media.histograms import histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Content(NamedTuple):
    """What a medium is made of: `info`, and one of the others, which becomes a file, or none.

    Attributes:
        info: What there is beside the file, as JSON values.
        suffix: The file's suffix, such as ".png".
        data: The file's bytes.
        pixels: An image's, of shape (height, width, channels), or a video's frames, with one dimension more: of uint8,
            encoded later.
        path: A file to be copied.
        numbers: Those of a histogram, some of which are finite, counted later in `info["bins"]` bins.
        cells: A large table's columns and rows as MessagePack, which become JSON later.
    """

    info: Mapping[str, Any]
    suffix: str = ""
    data: bytes | None = None
    pixels: NDArray[Any] | None = None
    path: str | os.PathLike[str] | None = None
    numbers: NDArray[Any] | None = None
    cells: bytes | None = None

    def settled(self) -> Content:
        """Return the same without numbers that are still to be counted."""
        return self if self.numbers is None else Content(histogram(self.numbers, self.info["bins"]))
