"""Sound: arrays of samples as WAV files of 16 bits."""

from __future__ import annotations

import contextlib
import io
import operator
import wave
from typing import TYPE_CHECKING, Any

from accel_track.media.pixels import number_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHANNELS, _FEW = 2, 8
_FULL = 32767
_HIGHEST_RATE = 2**28
"""Samples a second: a WAV file has 32 bits for the bytes of a second, of 8 channels at most."""


def wav(samples: Any, sample_rate: int) -> bytes:
    """Return samples as the bytes of a WAV file.

    Args:
        samples: An array or tensor of shape (n,), (n, channels) or (channels, n), with 8 channels at most: floats from
            -1 to 1, which are clipped, NaN being 0; or integers of 16 or 32 bits.
        sample_rate: Samples a second.

    Raises:
        ValueError: The shape is none of those, or there are no samples.
        TypeError: They are no numbers of these types.
    """
    words = _words(number_array(samples, "sound is an array of samples or a file"))
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(words.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(words.astype("<i2").tobytes())
    return stream.getvalue()


def checked_rate(given: Any) -> int:
    """Return a number of samples a second, NumPy's or Python's, as Python's.

    Raises:
        ValueError: It is not an integer, or not one that a WAV file takes.
    """
    with contextlib.suppress(TypeError):
        if not isinstance(given, bool) and 0 < (rate := operator.index(given)) <= _HIGHEST_RATE:
            return rate
    message = f"`sample_rate` is a number of samples a second, such as 16000; got {given!r}."
    raise ValueError(message)


def samples(data: bytes) -> tuple[NDArray[np.int16], int]:
    """Return the samples of a 16-bit WAV file, of shape (n, channels), and how many there are a second.

    Raises:
        wave.Error: It is no such file.
    """
    import numpy as np

    with wave.open(io.BytesIO(data)) as file:
        words = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return words.reshape(-1, file.getnchannels()).astype(np.int16), file.getframerate()


def _words(array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    if array.ndim == 1:
        array = array[:, None]
    if array.ndim == _CHANNELS and array.shape[1] > _FEW >= array.shape[0]:
        array = array.T
    if array.ndim != _CHANNELS or not array.size or array.shape[1] > _FEW:
        message = f"sound has the shape (n,), (n, channels) or (channels, n), 8 channels at most; got {array.shape}."
        raise ValueError(message)
    if array.dtype.kind == "f":
        wide: NDArray[Any] = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=1.0, neginf=-1.0)
        np.rint(wide.clip(-1, 1) * _FULL, out=wide)
        return wide
    if array.dtype == np.int16:
        return array
    if array.dtype == np.int32:
        return array >> 16
    message = f"samples are floats from -1 to 1, or integers of 16 or 32 bits; got {array.dtype}."
    raise TypeError(message)
