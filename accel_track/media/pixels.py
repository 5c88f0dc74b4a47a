"""Pixels: images and videos, from the forms that users have them in to arrays of uint8."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from accel_track.files import open_regular

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHANNELS = (1, 3, 4)
_IMAGE, _IMAGES, _VIDEOS = 3, 4, 5
"""Dimensions of an image with its channels, of several, and of several videos."""

_BYTE, _WORD = 255, 65535
_OVERSHOOT = 2
"""The highest value of pixels from 0 to 1, after interpolation or denoising; pixels beyond it are from 0 to 255."""

_SINGLE = 4
"""Bytes of a float32."""


def images(value: Any, keep: type | tuple[()] = ()) -> list[Any]:
    """Return one or several images as a list of arrays of shape (height, width, channels), uint8.

    Args:
        value: A NumPy array or tensor of shape (H, W), (H, W, C), (C, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or
            4 channels; a PIL image; the path of an image file; or a list or tuple of these. If both ends of a shape
            could be the channels, the last one is taken. Floats range from 0 to 1, or from 0 to 255 if one of them
            exceeds 2; integers of 16 bits from 0 to 255, or from 0 to 65535 if one of them exceeds 255. Values outside
            of the range are clipped, and NaN becomes 0.
        keep: A class whose objects come back unchanged.

    Raises:
        ValueError: The shape is another one, or there are no pixels.
        TypeError: The value is not an image.
    """
    if isinstance(value, keep):
        return [value]
    return [one if isinstance(one, keep) else one.copy() for one in images_of(value, keep)]


def images_of(value: Any, keep: type | tuple[()] = ()) -> list[Any]:
    """Return the same list, without copies: an array of uint8 may share its memory with `value`."""
    if isinstance(value, (list, tuple)) and not is_nested_numbers(value):
        return [image for item in value for image in ([item] if isinstance(item, keep) else images_of(item, keep))]
    array = _pixels(value)
    return list(_image(array)) if array.ndim == _IMAGES else [_image(array)]


def frames(value: Any) -> NDArray[np.uint8]:
    """Return a video as one array of shape (frames, height, width, channels), uint8.

    Args:
        value: An array or tensor of shape (T, H, W), (T, H, W, C) or (T, C, H, W), or a list of images.

    Raises:
        ValueError: The shape is none of those, the images differ in size, or there are none.
        TypeError: The value is no video.
    """
    import numpy as np

    found = images_of(value) if isinstance(value, (list, tuple)) else None
    if found is None:
        array = _pixels(value)
        if array.ndim not in (_IMAGE, _IMAGES):
            message = f"a video has the shape (T, H, W), (T, H, W, C) or (T, C, H, W); got {array.shape}."
            raise ValueError(message)
        found = list(_image(array if array.ndim == _IMAGES else array[:, :, :, None]))
    if not found or any(one.shape != found[0].shape for one in found):
        message = "a video needs one or more frames of one size."
        raise ValueError(message)
    return np.stack(found)


def without_single_channel(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image of shape (H, W, 1) as (H, W), the form of grey images for PIL and some SDKs.

    Args:
        image: An array of shape (H, W, C). With more than one channel, it comes back unchanged.
    """
    return image[:, :, 0] if image.shape[-1] == 1 else image


def is_nested_numbers(value: Sequence[Any]) -> bool:
    """Return whether a nested list is one array written as numbers rather than a list of arrays."""
    first = value
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    return isinstance(first, (bool, int, float))


def is_pil(value: Any) -> bool:
    """Return whether a value is an image of PIL's, of any class."""
    return any(cls.__module__ == "PIL.Image" and cls.__name__ == "Image" for cls in type(value).__mro__)


def number_array(value: Any, what: str) -> NDArray[Any]:
    """Return an array, tensor or nested list as a NumPy array of numbers; NumPy has no bfloat16, it becomes float32.

    Raises:
        TypeError: It does not hold numbers.
    """
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach()
        value = (value.float() if value.is_floating_point() else value).numpy(force=True)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        message = f"{what}; got {type(value).__name__}{f' of {array.dtype}' if array.ndim else ''}."
        raise TypeError(message)
    return array


@contextlib.contextmanager
def opened(source: Any) -> Iterator[Any]:
    """Open an image file with PIL, however many pixels it has: `Image` has a limit of its own.

    Args:
        source: The path of a regular file, or a stream.

    Raises:
        OSError: It cannot be read, or is not an image.
    """
    from PIL import Image, UnidentifiedImageError

    with contextlib.ExitStack() as stack:
        path = source if isinstance(source, (str, os.PathLike)) else None
        if path is not None:
            source = stack.enter_context(open(open_regular(path), "rb"))
        with _opening:  # PIL knows one limit for all, and asks for it here only
            most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(source)
            except UnidentifiedImageError as error:
                message = "these are no bytes of an image" if path is None else f"{os.fspath(path)!r} is no image file"
                raise UnidentifiedImageError(message) from error
            finally:
                Image.MAX_IMAGE_PIXELS = most
        yield stack.enter_context(image)


_opening = threading.RLock()


def pil_pixels(image: Any) -> NDArray[Any]:
    """Return the pixels of a PIL image: grey, RGB or RGBA; palettes and other colours are converted."""
    import numpy as np

    if image.mode in ("I;16", "I;16L", "I;16B", "I", "F"):
        return np.asarray(image)
    if image.mode not in ("L", "RGB", "RGBA"):
        transparent = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
        image = image.convert("L" if image.mode == "1" else "RGBA" if transparent else "RGB")
    return np.asarray(image)


def _pixels(value: Any) -> NDArray[Any]:
    if isinstance(value, (str, os.PathLike)):
        with opened(value) as image:
            return pil_pixels(image)
    if is_pil(value):
        return pil_pixels(value)
    return number_array(value, "an image must be a numeric array, a PIL image or a file")


def _image(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image, or several in one array, with the channels last."""
    import numpy as np

    given = array.shape
    if array.ndim not in (_IMAGE - 1, _IMAGE, _IMAGES):
        message = f"an image has 2 or 3 dimensions (4 for a batch); got the shape {given}."
        raise ValueError(message)
    if array.ndim == _IMAGE - 1:
        array = array[:, :, None]
    elif array.shape[-1] not in _CHANNELS and array.shape[-3] in _CHANNELS:
        array = np.moveaxis(array, -3, -1)
    if array.shape[-1] not in _CHANNELS:
        message = f"an image has 1, 3 or 4 channels, first or last; got the shape {given}."
        raise ValueError(message)
    if not array.size and (array.ndim < _IMAGES or array.shape[0]):
        message = f"an image has pixels; got the shape {given}."
        raise ValueError(message)
    if array.dtype.kind == "f":
        array = _of_floats(array)
    elif array.dtype.kind == "b":
        array = array.astype(np.uint8) * _BYTE
    elif array.dtype != np.uint8 and array.size:
        array = array // (_WORD // _BYTE) if _BYTE < array.max() <= _WORD and array.dtype.itemsize > 1 else array
        array = array.clip(0, _BYTE).astype(np.uint8)
    return np.ascontiguousarray(array)


def _of_floats(array: NDArray[Any]) -> NDArray[np.uint8]:
    import numpy as np

    wide = array.astype(np.float32) if array.dtype.itemsize < _SINGLE else array
    with np.errstate(all="ignore"):
        finite = bool(np.isfinite(wide.sum()))
    own = wide if finite else np.nan_to_num(wide, nan=0.0, posinf=np.inf, neginf=0.0)
    above = own if finite else own[np.isfinite(own)]
    scaled = own * (1 if above.size and above.max() > _OVERSHOOT else _BYTE)
    np.rint(scaled, out=scaled).clip(0, _BYTE, out=scaled)
    return scaled.astype(np.uint8)
