"""The objects of Aim's sequences as what was logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accel_track import media
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.media import file_of, picture_of, text_of, whole


def logged(value: Any, scratch: Path) -> Any:
    """Return the number, text or medium that an object of Aim's stands for, or several of them.

    Args:
        value: The object, or a list of such.
        scratch: A folder for files of media.

    Raises:
        LostError: It is damaged, or there is nothing of its kind here.
        OSError: A file of it cannot be written.
    """
    if isinstance(value, (list, tuple)):
        several = [logged(one, scratch) for one in value]
        if len(several) == 1:
            return several[0]
        return [media.Text(one) if isinstance(one, str) else one for one in several]
    if type(value) in (int, float, bool, str):
        return value
    kind = type(value).__name__
    if type(value).__module__.partition(".")[0] != "aim" or kind not in _KINDS:
        message = f"an object of the kind {kind}"
        raise LostError(message)
    try:
        found = _KINDS[kind](value.storage, scratch)
    except OSError:  # of the scratch folder
        raise
    except Exception as error:
        message = f"an object of the kind {kind} that is damaged"
        raise LostError(message) from error
    return whole(found) if isinstance(found, media.Medium) else found


def _loaded(value: Any) -> Any:
    """Return the content of one of Aim's values that are read when they are asked for."""
    return value.load() if hasattr(value, "load") else value


def _image(stored: Any, scratch: Path) -> media.Medium:
    return picture_of(bytes(stored["data"]), scratch, str(stored["caption"]))


def _audio(stored: Any, scratch: Path) -> media.Medium:
    suffix = {"wav": ".wav", "mp3": ".mp3", "flac": ".flac"}[stored["format"]]
    return media.Audio(file_of(bytes(stored["data"]), suffix, scratch), caption=str(stored["caption"]))


def _distribution(stored: Any) -> media.Medium:
    import numpy as np

    low, high = stored["range"]
    counts = np.frombuffer(bytes(stored["data"]), np.dtype(stored["dtype"]))
    return media.Histogram(counts=counts, edges=np.linspace(low, high, len(counts) + 1))


def _figure(stored: Any, scratch: Path) -> media.Medium:
    data = _loaded(stored["data"])
    data = data.encode() if isinstance(data, str) else bytes(data)
    return media.Figure.of_stored({}, file_of(data, ".plotly.json", scratch))


_KINDS: Mapping[str, Callable[[Any, Path], Any]] = {
    "Image": _image,
    "Audio": _audio,
    "Distribution": lambda stored, _: _distribution(stored),
    "Figure": _figure,
    "Text": lambda stored, _: text_of(str(_loaded(stored["data"]))),
}
