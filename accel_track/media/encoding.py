"""Encoding: pixels as PNG and GIF files, and the plain form in which they wait for that."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.files import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray


def head(pixels: NDArray[Any], fps: float | None) -> bytes:
    """Return the line in front of plain pixels: their shape, and of a video's how many frames there are a second."""
    return ("x".join(map(str, pixels.shape)) + ("" if fps is None else f"@{fps:g}") + "\n").encode()


def read_plain(path: Path, name: str) -> tuple[NDArray[Any], float | None]:
    """Return the pixels in a file, and of a video's how many frames there are a second.

    Args:
        path: The file.
        name: Name of the medium, which begins with the SHA-256 of the file.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    with open(open_regular(path), "rb") as file:
        return plain_pixels(file.read(), name)


def plain_pixels(data: bytes, name: str) -> tuple[NDArray[Any], float | None]:
    """Return the pixels of which these are the plain bytes, and of a video's how many frames there are a second.

    Raises:
        ValueError: They are not those of the medium of that name.
    """
    import numpy as np

    if hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
        message = "its pixels are not what was logged"
        raise ValueError(message)
    line, _, pixels = data.partition(b"\n")
    shape, _, fps = line.partition(b"@")
    return np.frombuffer(pixels, np.uint8).reshape([int(one) for one in shape.split(b"x")]), float(fps) if fps else None


def encoded(pixels: NDArray[Any], fps: float | None) -> bytes:
    """Return pixels as the bytes of a PNG file, or with `fps` of a GIF file.

    Raises:
        OSError: There is not enough memory.
        ValueError: They cannot be encoded.
    """
    try:
        return png(pixels) if fps is None else gif(pixels, fps)
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
    except Exception as error:
        message = f"its pixels cannot be encoded ({type(error).__name__}: {error})"
        raise ValueError(message) from error


def png(pixels: NDArray[Any]) -> bytes:
    """Return an image of shape (height, width, channels), uint8, as a PNG file."""
    from PIL import Image

    from accel_track.media.pixels import without_single_channel

    stream = io.BytesIO()
    Image.fromarray(without_single_channel(pixels)).save(stream, "PNG")
    return stream.getvalue()


def gif(pixels: NDArray[Any], fps: float) -> bytes:
    """Return the frames of a video, of shape (frames, height, width, channels), uint8, as a GIF file that repeats.

    A frame that is like the one before makes that one longer: so Pillow writes it.
    """
    from PIL import Image

    from accel_track.media.pixels import without_single_channel

    pictures = [Image.fromarray(without_single_channel(frame)).convert("RGB") for frame in pixels]
    stream = io.BytesIO()
    pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0)
    return stream.getvalue()
