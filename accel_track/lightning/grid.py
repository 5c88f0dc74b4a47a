"""A grid of images, each with what it is and what it was taken for, as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from accel_track.media.lettering import font
from accel_track.media.pixels import images_of, without_single_channel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE = 96
"""Width or height that an image at least has; a smaller one is enlarged by a whole number, its pixels staying sharp."""

_MOST = 256
"""Width and height that an image has at most; a larger one is made smaller."""

_GAP, _FRAME, _TEXT, _SIZE, _ARROW = 8, 3, 22, 16, 18
_RIGHT, _WRONG = "#2e7d32", "#c62828"


def grid(images: Any, targets: Sequence[str], predictions: Sequence[str]) -> NDArray[np.uint8]:
    """Return the picture, of shape (height, width, 3).

    Args:
        images: A batch of images, as [`images`][accel_track.media.images] takes it; floats outside of 0 to 1, such as
            those of normalised images, are stretched to it, all in the same way.
        targets: What each is.
        predictions: What each was taken for. Its frame is green if that is the same, else red.

    Raises:
        ValueError: They are no images.
        TypeError: They are no images.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    cells = [_cell(one) for one in images_of(_stretched(images))]
    letters = font(_SIZE)
    texts = [letters.getlength(one + other) + _ARROW for one, other in zip(targets, predictions, strict=True)]
    width = max(max(cell.width for cell in cells) + 2 * _FRAME, min(math.ceil(max(texts)), _MOST)) + _GAP
    height = max(cell.height for cell in cells) + 2 * _FRAME + _TEXT + _GAP
    columns = math.ceil(math.sqrt(len(cells)))
    rows = math.ceil(len(cells) / columns)
    picture = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    draw = ImageDraw.Draw(picture)
    for place, (cell, target, prediction) in enumerate(zip(cells, targets, predictions, strict=True)):
        left, top = _GAP + place % columns * width, _GAP + place // columns * height
        colour = _RIGHT if target == prediction else _WRONG
        edge = (left, top, left + cell.width + 2 * _FRAME - 1, top + cell.height + 2 * _FRAME - 1)
        draw.rectangle(edge, fill=colour)
        picture.paste(cell, (left + _FRAME, top + _FRAME))
        text = Image.new("RGB", (width - _GAP, _TEXT), "white")
        _caption(ImageDraw.Draw(text), target, prediction, colour)
        picture.paste(text, (left, edge[3] + 2))
    return np.asarray(picture)


def _caption(draw: Any, target: str, prediction: str, colour: str) -> None:
    """Write target, arrow, prediction; the arrow is drawn, since not every font has one."""
    letters, middle = font(_SIZE), _TEXT // 2
    draw.text((0, middle), target, fill=colour, font=letters, anchor="lm")
    begin = math.ceil(letters.getlength(target)) + 3
    end = begin + _ARROW - 6
    draw.line((begin, middle, end, middle), fill=colour, width=2)
    draw.line((end - 4, middle - 4, end, middle, end - 4, middle + 4), fill=colour, width=2)
    draw.text((end + 3, middle), prediction, fill=colour, font=letters, anchor="lm")


def _cell(pixels: NDArray[np.uint8]) -> Any:
    from PIL import Image

    image = Image.fromarray(without_single_channel(pixels)).convert("RGB")
    longest = max(image.size)
    if longest < _SIDE:
        times = -(-_SIDE // longest)
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    if longest > _MOST:
        image.thumbnail((_MOST, _MOST))
    return image


def _stretched(images: Any) -> Any:
    """Return floats from 0 to 1; integers, and floats of that range, as they are."""
    if not images.is_floating_point():
        return images
    images = images.float().nan_to_num()
    low, high = images.min(), images.max()
    return images if low >= 0 and high <= 1 else (images - low) / (high - low).clamp(min=1e-12)
