"""Media that readers of backends make of bytes and files, by what these begin with and how they are called."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, TypeVar

from accel_track.files import read_file
from accel_track.media import Audio, Figure, Html, Image, Points3D, Text, Video, pixels
from accel_track.media.content import Content
from accel_track.media.fallbacks import stored
from accel_track.media.folder import MediaFolder
from accel_track.media.kinds import Medium

MediumT = TypeVar("MediumT", bound=Medium)

_SOUND = {b"RIFF": ".wav", b"OggS": ".ogg", b"fLaC": ".flac", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}
_FILES: dict[type[Medium], tuple[str, ...]] = {
    Figure: (".plotly.json",),
    Image: (".png", ".jpg", ".jpeg", ".gif"),
    Audio: (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"),
    Video: (".mp4", ".webm", ".mov", ".mkv", ".avi", ".wmv"),
    Html: (".html", ".htm"),
    Points3D: (".npy",),
    Text: (".md", ".txt"),
}
_LARGEST_TEXT = 2**26


def of_bytes(kind: type[MediumT], data: bytes, suffix: str, scratch: Path, **info: Any) -> MediumT:
    """Return a medium whose file is made of some bytes.

    Args:
        kind: Its class.
        data: The bytes.
        suffix: What the file's name ends in.
        scratch: Where to make the file.
        **info: What there is beside the file.

    Raises:
        OSError: The file cannot be made.
        ValueError: The suffix is none.
    """
    files = MediaFolder(scratch)
    return kind.of_stored(info, files.file(files.keep(Content(info, suffix, data=data))))


def sound(data: bytes, scratch: Path, **info: Any) -> Audio:
    """Return sound in a format that its first bytes tell.

    Raises:
        ValueError: They tell none that is known.
        OSError: Its file cannot be made.
    """
    suffix = next((suffix for begin, suffix in _SOUND.items() if data.startswith(begin)), None)
    if suffix is None:
        message = f"these are no bytes of sound: {data[:8]!r}"
        raise ValueError(message)
    return of_bytes(Audio, data, suffix, scratch, **info)


def picture(data: bytes, scratch: Path) -> Image | Video:
    """Return an image; a GIF that moves is a video.

    Raises:
        ValueError: The bytes are no image, or it has more than 64 million pixels.
        OSError: No file can be made.
    """
    if _moves(data):
        return of_bytes(Video, data, ".gif", scratch)
    image = stored(Image(data), scratch)
    assert isinstance(image, Image)  # noqa: S101 - as `stored` says
    return image


def of_file(path: Path, scratch: Path) -> Medium | None:
    """Return the medium that a file is, by its name; None where it is none of those known.

    Args:
        path: The file, which stays where it is.
        scratch: Where to make another one, where it has to be.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, or is not what its name says.
    """
    name = path.name.lower()
    kind = next((kind for kind, endings in _FILES.items() if name.endswith(endings)), None)
    if kind is None:
        return None
    given: Any = path
    if kind is Text:
        given = read_file(path, _LARGEST_TEXT).decode(errors="replace")
    elif kind is Points3D:
        import numpy as np

        given = np.load(path, allow_pickle=False)
    elif kind is Image and _moves(path):
        kind = Video
    elif kind is Figure:
        json.loads(path.read_bytes())
        return Figure.of_stored({}, path)
    make: Any = kind
    content = make(given).content()
    return stored(make(given), scratch) if content.path is None else kind.of_stored(content.info, path)


def _moves(given: Path | bytes) -> bool:
    """Whether an image is a GIF of several frames."""
    with pixels.opened(io.BytesIO(given) if isinstance(given, bytes) else given) as image:
        return image.format == "GIF" and bool(image.is_animated)
