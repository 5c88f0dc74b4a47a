"""Sounds and videos."""

from __future__ import annotations

import numbers
import os
from typing import TYPE_CHECKING, Any

from accel_track.media import pixels, sound
from accel_track.media.content import Content
from accel_track.media.kinds.medium import Medium, captioned, checked_suffix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac")
_VIDEOS = (".gif", ".mp4", ".webm", ".ogg", ".mov", ".mkv", ".avi", ".wmv")
_WIDEST_GIF = 65_535


class Audio(Medium):
    """A sound.

    Args:
        data: An array or tensor of shape (n,), (n, channels) or (channels, n), with floats from -1 to 1 or integers of
            16 or 32 bits, which becomes a WAV file of 16 bits. Or the path of a sound file (`.wav`, `.mp3`, `.flac`,
            `.ogg`, `.opus`, `.m4a`, `.aac`), whose bytes are kept.
        sample_rate: Samples per second; an array needs this.
        caption: Text below the sound.
    """

    kind = "audio"

    def __init__(self, data: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        """Keep the sound until it is logged."""
        self._given, self._rate = data, sample_rate
        self.info = captioned(caption)

    def content(self) -> Content:
        """Return the sound as a WAV file, or its file."""
        if isinstance(self._given, (str, os.PathLike)):
            suffix = checked_suffix(self._given, _SOUNDS, "a sound file")
            rate = {} if self._rate is None else {"sample_rate": sound.checked_rate(self._rate)}
            return Content({**self.info, **rate}, suffix, path=self._given)
        if self._rate is None:
            message = "`Audio` of an array needs `sample_rate`, the number of samples a second."
            raise ValueError(message)
        checked = sound.checked_rate(self._rate)
        return Content({**self.info, "sample_rate": checked}, ".wav", data=sound.wav(self._given, checked))

    @property
    def sample_rate(self) -> int | None:
        """Samples per second; None for a file that was given without it."""
        rate: int | None = self.info.get("sample_rate")
        return rate

    def samples(self) -> NDArray[np.int16]:
        """Return the samples of a 16-bit WAV file, of shape (n, channels).

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: The file is damaged, or no 16-bit WAV file.
        """
        with self._reading():
            return sound.samples(self.data())[0]


class Video(Medium):
    """A video.

    Args:
        data: An array or tensor of shape (T, H, W), (T, H, W, C) or (T, C, H, W), or a list of images, which becomes a
            GIF with 256 colours per frame. Or the path of a video file (`.gif`, `.mp4`, `.webm`, `.ogg`, `.mov`,
            `.mkv`, `.avi`, `.wmv`), whose bytes are kept.
        fps: Frames per second of the GIF, above 0 and 100 at most. A GIF rounds the time of a frame to hundredths of a
            second.
        caption: Text below the video.
    """

    kind = "video"

    def __init__(self, data: Any, fps: float = 8, caption: str | None = None) -> None:
        """Keep the video until it is logged."""
        self._given, self._fps = data, fps
        self.info = captioned(caption)

    def content(self) -> Content:
        """Return the video's frames, or its file."""
        if isinstance(self._given, (str, os.PathLike)):
            return Content(self.info, checked_suffix(self._given, _VIDEOS, "a video file"), path=self._given)
        if isinstance(self._fps, bool) or not isinstance(self._fps, numbers.Real) or not 0 < self._fps <= 100:  # noqa: PLR2004
            message = f"`fps` is a number of frames a second, above 0 and 100 at most; got {self._fps!r}."
            raise ValueError(message)
        frames = pixels.frames(self._given)
        if max(frames.shape[1:3]) > _WIDEST_GIF:
            message = f"a GIF has {_WIDEST_GIF:,} rows and columns at most; got the shape {frames.shape}."
            raise ValueError(message)
        return Content({**self.info, "fps": float(self._fps)}, ".gif", pixels=frames)
