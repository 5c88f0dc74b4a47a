"""Media: images and tables, from the forms that users have them in to one form that every SDK takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHANNELS = (1, 3, 4)
_IMAGE_DIMENSIONS = (2, 3)


def images(value: Any, keep: type | tuple[()] = ()) -> list[Any]:
    """Return one or several images as a list of arrays of shape (height, width, channels), uint8.

    Args:
        value: A NumPy array or tensor of shape (H, W), (H, W, C), (C, H, W), (N, H, W, C) or (N, C, H, W) with C in 1,
            3, 4; a PIL image; the path of an image file; or a list or tuple of these. Where both ends of a shape could
            be the channels, the last is. Floating-point pixels are 0 to 1, or 0 to 255 if any exceeds 1; values outside
            are clipped and NaN is 0.
        keep: Objects of this class are passed through.

    Raises:
        ValueError: The shape is none of those.
        TypeError: The value is no image at all.
    """
    if isinstance(value, keep):
        return [value]
    if isinstance(value, (list, tuple)) and not _is_pixels(value):
        return [image for item in value for image in images(item, keep)]
    array = _array(value)
    if array.ndim == max(_IMAGE_DIMENSIONS) + 1:
        return [_image(one) for one in array]
    return [_image(array)]


def without_single_channel(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image of shape (H, W, 1) as (H, W), the form in which PIL and some SDKs take grey images."""
    return image[:, :, 0] if image.shape[-1] == 1 else image


def rows(
    columns: Sequence[str] | None, data: Sequence[Sequence[Any]] | None, dataframe: Any
) -> tuple[list[str], list[list[Any]]]:
    """Return the column names and the rows of a table given as `columns` and `data` or as a pandas `dataframe`.

    Raises:
        ValueError: Both forms are given, or none, or a row's length differs from the number of columns.
    """
    if (data is None) == (dataframe is None):
        message = "`log_table` takes either `columns` and `data` or `dataframe`."
        raise ValueError(message)
    if dataframe is not None:
        return [str(name) for name in dataframe.columns], [list(row) for row in dataframe.itertuples(index=False)]
    table = [list(row) for row in data or ()]
    width = len(table[0]) if table else 0
    names = [str(name) for name in columns] if columns is not None else [str(index) for index in range(width)]
    for index, row in enumerate(table):
        if len(row) != len(names):
            message = f"`log_table` got {len(names)} columns and a row {index} of {len(row)} values; make them equal."
            raise ValueError(message)
    return names, table


def _is_pixels(value: Sequence[Any]) -> bool:
    """Whether a nested list is one image written as numbers rather than a list of images."""
    first = value
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    return isinstance(first, (bool, int, float))


def _array(value: Any) -> NDArray[Any]:
    import numpy as np

    if isinstance(value, (str, os.PathLike)):
        from PIL import Image

        with Image.open(value) as image:
            return np.asarray(image.convert("RGB"))
    if type(value).__module__.partition(".")[0] == "PIL":
        value = value.convert("RGB") if value.mode not in ("L", "RGB", "RGBA") else value
    elif hasattr(value, "detach"):  # a tensor; NumPy has no bfloat16
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        message = f"an image must be a numeric array, a PIL image or a file; got {type(value).__name__}."
        raise TypeError(message)
    return array


def _image(array: NDArray[Any]) -> NDArray[np.uint8]:
    import numpy as np

    if array.ndim not in _IMAGE_DIMENSIONS:
        message = f"an image has 2 or 3 dimensions (4 for a batch); got the shape {array.shape}."
        raise ValueError(message)
    if array.ndim == min(_IMAGE_DIMENSIONS):
        array = array[:, :, None]
    elif array.shape[-1] not in _CHANNELS and array.shape[0] in _CHANNELS:
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] not in _CHANNELS:
        message = f"an image has 1, 3 or 4 channels, first or last; got the shape {array.shape}."
        raise ValueError(message)
    if array.dtype.kind == "f":
        scale = 1 if (array[np.isfinite(array)] > 1).any() else 255
        array = (np.nan_to_num(array, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255) * scale).round()
    elif array.dtype.kind == "b":
        array = array.astype(np.uint8) * 255
    return np.ascontiguousarray(array.clip(0, 255).astype(np.uint8))
