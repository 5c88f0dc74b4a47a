"""The content of a medium: what is stored of it, as it was in the call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Content(NamedTuple):
    """What a medium is made of. One of `data`, `pixels` and `path` becomes a file; without any, `info` is all.

    Attributes:
        info: What there is beside the file, as JSON values.
        suffix: The file's suffix, such as ".png".
        data: The file's bytes.
        pixels: An image's, of shape (height, width, channels), or a video's frames, with one dimension more: of uint8,
            encoded later.
        path: A file to be copied.
    """

    info: Mapping[str, Any]
    suffix: str = ""
    data: bytes | None = None
    pixels: NDArray[Any] | None = None
    path: str | os.PathLike[str] | None = None
