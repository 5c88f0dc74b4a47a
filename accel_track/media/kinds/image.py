"""Images and figures."""

from __future__ import annotations

import functools
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.media import drawing, pixels
from accel_track.media.content import Content
from accel_track.media.kinds.medium import Medium, captioned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MOST_PIXELS = 64_000_000
"""Pixels of the largest image that is taken without `max_pixels`."""


class Image(Medium):
    """An image.

    Args:
        data: A NumPy array or tensor of shape (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels, as
            [`images`][accel_track.media.images] takes it; a PIL image; the path of an image file; or a file's bytes.
            A PNG, JPEG or GIF file keeps its bytes, everything else becomes a PNG.
        caption: Text below the image.
        max_pixels: Largest number of pixels, a guard against mistakes; None for no limit.
    """

    kind = "image"

    def __init__(self, data: Any, caption: str | None = None, *, max_pixels: int | None = MOST_PIXELS) -> None:
        """Keep the image until it is logged."""
        self._given, self._most = data, max_pixels
        self.info = captioned(caption)

    def content(self) -> Content:
        """Return the image's pixels, or its file."""
        if isinstance(self._given, (str, os.PathLike, bytes, bytearray)):
            return self._of_file(self._given)
        if pixels.is_pil(self._given):
            self._check(self._given.width * self._given.height)
        elif (shape := getattr(self._given, "shape", None)) is not None and len(shape) > 1:
            size = 1
            for length in shape:
                size *= int(length)
            self._check(size // _channels(shape))
        found = pixels.images_of(self._given)
        if len(found) != 1:
            message = f"`Image` is one image; got {len(found)}: log a list of images, or use `log_images`."
            raise ValueError(message)
        return Content(self.info, ".png", pixels=found[0])

    def _check(self, size: int) -> None:
        if self._most is not None and size > self._most:
            message = f"the image has {size:,} pixels, more than `max_pixels={self._most:,}`; give another limit."
            raise ValueError(message)

    def _of_file(self, given: Any) -> Content:
        with pixels.opened(io.BytesIO(given) if isinstance(given, (bytes, bytearray)) else given) as image:
            self._check(image.width * image.height)
            suffix = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif"}.get(image.format or "", "")
            if not suffix or (suffix == ".png" and image.mode.startswith("I")):
                return Content(self.info, ".png", pixels=pixels.images_of(image)[0])
        if isinstance(given, (bytes, bytearray)):
            return Content(self.info, suffix, data=bytes(given))
        return Content(self.info, suffix, path=given)

    def pil(self) -> Any:
        """Return a PIL image in the mode L, RGB or RGBA.

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: The file is damaged.
        """
        from PIL import Image as Pil

        return Pil.fromarray(pixels.without_single_channel(self.array()))

    def array(self) -> NDArray[np.uint8]:
        """Return an array of shape (height, width, channels) and type uint8.

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: The file is damaged.
        """
        with self._reading():
            found: NDArray[np.uint8] = pixels.images(self.path if self._is_stored() else self._given)[0]
        return found


class ImageOf(Image):
    """One image of a batch, whose images are made ready together when the first is logged.

    Args:
        batch: The batch.
        place: Number of the image in the batch, from 0.
        caption: Text below the image.
    """

    def __init__(self, batch: Batch, place: int, caption: str | None = None) -> None:
        """Keep the batch and the place."""
        self._given, self._place, self._most = batch, place, MOST_PIXELS
        self.info = captioned(caption)

    def content(self) -> Content:
        """Return the image's pixels."""
        found = self._given.images[self._place]
        self._check(found.shape[0] * found.shape[1])
        return Content(self.info, ".png", pixels=found)

    @classmethod
    def of_stored(cls, info: Mapping[str, Any], path: Path | None) -> Any:
        """Return an `Image`."""
        return Image.of_stored(info, path)


class Batch:
    """Several images in one array.

    Args:
        value: An array or tensor of shape (N, H, W, C) or (N, C, H, W).
    """

    def __init__(self, value: Any) -> None:
        """Touch nothing."""
        self._value = value

    @functools.cached_property
    def images(self) -> list[Any]:
        """The images, on one scale."""
        return pixels.images_of(self._value)


class Figure(Image):
    """A figure.

    Args:
        data: A Matplotlib figure, or `matplotlib.pyplot` for its current figure, which the call that logs it draws as a
            PNG. Or a Plotly figure, which is stored as JSON.
        caption: Text below the figure.
    """

    kind = "figure"

    def __init__(self, data: Any, caption: str | None = None) -> None:
        """Keep the figure until it is logged."""
        super().__init__(data, caption, max_pixels=None)

    def content(self) -> Content:
        """Return the figure's picture, or its JSON."""
        if drawing.is_plotly(self._given):
            return Content(self.info, ".plotly.json", data=self._given.to_json().encode())
        return Content(self.info, ".png", pixels=drawing.drawn(self._given))

    @property
    def is_plotly(self) -> bool:
        """Whether the figure is a Plotly figure, which has `plotly()` and no picture."""
        return self.path is not None and self.path.name.endswith(".json")

    def plotly(self) -> dict[str, Any]:
        """Return the JSON of a Plotly figure as a dictionary.

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: The file is damaged.
        """
        with self._reading():
            figure: dict[str, Any] = json.loads(self.data())
        return figure


def _channels(shape: Sequence[int]) -> int:
    """Return the number of channels of an array of a shape."""
    if len(shape) < 3:  # noqa: PLR2004 - height and width
        return 1
    return int(shape[-1] if shape[-1] in (1, 3, 4) else shape[0] if shape[0] in (1, 3, 4) else 1) or 1
