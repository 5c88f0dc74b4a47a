"""The folder of a rank's media: files that are named by what is in them, one for equal contents."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import warn
from accel_track.files import make_private, open_regular
from accel_track.media.content import Content

if TYPE_CHECKING:
    from numpy.typing import NDArray

RAW = ".raw"
"""What the name of a file of pixels ends in that are not encoded yet, behind its own."""

SUMS = "SHA256SUMS"
"""File that holds the checksums of encoded files, in the form of `sha256sum`; other files are named by theirs."""

LARGEST_FILE = 1024 * 1024 * 1024
"""Bytes of the largest file that is taken for a medium; larger ones are artifacts."""

MOST_WAITING = 512 * 1024 * 1024
"""Bytes of pixels that may wait to be encoded; a call that finds more encodes its own."""

_NAME = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]{1,8}){1,2}")
_CHUNK = 1024 * 1024


class MediaFolder:
    """Keeps contents as files, and encodes pixels: as PNG, or as GIF those of a video.

    A name is the SHA-256 of the file's bytes, or of the shape and the bytes of the pixels that it was made of, and a
    suffix. Several processes and threads may use a folder at once.

    Args:
        path: The folder; made when needed.
    """

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self.path = path
        self.encoded_in_calls = 0
        """How many contents were encoded in the call that logged them, since too many waited."""
        self._made = False
        self._waiting: dict[str, int] = {}
        self._encoding: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def keep(self, content: Content) -> str:
        """Store a content, and return its name: "" where it needs no file. Pixels are encoded later.

        Raises:
            OSError: It cannot be stored, or its file cannot be read.
            ValueError: Its file is too large.
        """
        if not content.suffix:
            return ""
        if not self._made:
            make_private(self.path)
            self._made = True
        if content.pixels is not None:
            return self._keep_pixels(content.pixels, content.suffix, content.info.get("fps"))
        if content.path is not None:
            return self._keep_file(content.path, content.suffix)
        data = content.data or b""
        name = hashlib.sha256(data).hexdigest() + content.suffix
        if not (self.path / name).exists():
            with self._new_file(name) as file:
                file.write(data)
        return name

    def file(self, name: str) -> Path | None:
        """Return the file of a name, encoded now if it was not; None where there is none.

        Args:
            name: From a record, which somebody else may have written: no path leads out of the folder.

        Raises:
            OSError: It cannot be encoded now.
            ValueError: The pixels are damaged.
        """
        if not _NAME.fullmatch(name):
            return None
        path = self.path / name
        if path.is_symlink():
            return None
        if not path.exists() and not self._encode(name):
            return None
        return path if path.is_file() else None

    @property
    def waiting(self) -> int:
        """How many bytes of pixels wait to be encoded, of those that were kept here."""
        return sum(list(self._waiting.values()))

    def encode_next(self) -> bool:
        """Encode pixels that were kept here and wait; say whether there were any.

        Raises:
            OSError: They cannot be stored; they wait on.
        """
        name = next(iter(list(self._waiting)), None)
        if name is None:
            return False
        try:
            self._encode(name)
        except ValueError:  # damaged meanwhile; whoever needs the file finds that out
            self._waiting.pop(name, None)
        return True

    def find_waiting(self) -> None:
        """Have what an earlier process left wait to be encoded here."""
        with contextlib.suppress(OSError):
            for one in self.path.glob(f"*{RAW}"):
                self._waiting.setdefault(one.name.removesuffix(RAW), one.stat().st_size)

    def _keep_pixels(self, pixels: NDArray[Any], suffix: str, fps: float | None) -> str:
        head = "x".join(map(str, pixels.shape)) + ("" if fps is None else f"@{fps:g}")
        digest = hashlib.sha256(f"{head}\n".encode())
        digest.update(pixels.data)
        name = digest.hexdigest() + suffix
        raw = self.path / (name + RAW)
        if (self.path / name).exists() or raw.exists():
            return name
        if self._waiting and self.waiting + pixels.nbytes > MOST_WAITING:
            self.encoded_in_calls += 1
            if self.encoded_in_calls == 1:
                limit = f"{MOST_WAITING // 1024**2} MiB"
                warn(f"media: over {limit} of pixels wait to be encoded; calls encode their own until it is less.")
            self._store_encoded(name, pixels, fps)
            return name
        with self._new_file(raw.name) as file:
            file.write(f"{head}\n".encode())
            file.write(pixels.data)
        self._waiting[name] = pixels.nbytes
        return name

    def _keep_file(self, path: str | os.PathLike[str], suffix: str) -> str:
        """Copy a file as it is now: what is added to it meanwhile is left out."""
        with open(open_regular(path), "rb") as source:
            size = os.fstat(source.fileno()).st_size
            if size > LARGEST_FILE:
                message = f"the file has {size:,} bytes, more than {LARGEST_FILE:,}; use `log_artifact`."
                raise ValueError(message)
            digest, left = hashlib.sha256(), size
            copy = self.path / f".{secrets.token_hex(8)}.new"
            try:
                with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                    while left and (chunk := source.read(min(left, _CHUNK))):
                        digest.update(chunk)
                        target.write(chunk)
                        left -= len(chunk)
                name = digest.hexdigest() + suffix
                os.replace(copy, self.path / name)
            finally:
                copy.unlink(missing_ok=True)
        return name

    def _encode(self, name: str) -> bool:
        """Encode the pixels of a name, once for all threads; say whether its file is there."""
        with self._lock:
            alone = self._encoding.setdefault(name, threading.Lock())
        with alone:
            raw = self.path / (name + RAW)
            try:
                if not (self.path / name).exists():
                    self._store_encoded(name, *_pixels(raw, name))
                raw.unlink(missing_ok=True)
                self._waiting.pop(name, None)
            except FileNotFoundError:  # another process may have been faster
                self._waiting.pop(name, None)
                return (self.path / name).exists()
            finally:
                self._encoding.pop(name, None)
        return True

    def _store_encoded(self, name: str, pixels: NDArray[Any], fps: float | None) -> None:
        data = png(pixels) if fps is None else gif(pixels, fps)
        with self._new_file(name) as file:
            file.write(data)
        line = f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode()
        sums = os.open(self.path / SUMS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(sums, line)
        finally:
            os.close(sums)

    @contextlib.contextmanager
    def _new_file(self, name: str) -> Iterator[Any]:
        """Open a new file without a buffer, which has its name once it is complete."""
        new = self.path / f".{secrets.token_hex(8)}.new"
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(file, "wb", buffering=0) as stream:
                yield _Whole(stream)
            os.replace(new, self.path / name)
        finally:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)


class _Whole:
    """Writes all of what it is given, where the system may write a part."""

    def __init__(self, stream: io.FileIO) -> None:
        self._stream = stream

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._stream.write(rest) or 0 :]


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


def problem(folder: Path, name: str, sums: dict[str, str]) -> str | None:
    """Return what is wrong with a file of a folder of media, or None.

    Args:
        folder: The folder.
        name: Name of the file.
        sums: The checksums of encoded files, by name, as `checksums` reads them.
    """
    path = folder / name
    if not _NAME.fullmatch(name):
        return "its name is none of a medium"
    raw = folder / (name + RAW)
    try:
        if not path.exists():
            if not raw.exists():
                return "it is missing"
            _pixels(raw, name)
            return None
        with open(open_regular(path), "rb") as file:
            found = _sha256(file)
    except (OSError, ValueError) as error:
        return str(error)
    return None if found in (sums.get(name), name.partition(".")[0]) else "its bytes are not what was stored"


def checksums(folder: Path) -> dict[str, str]:
    """Return the checksums of a folder's encoded files, by name; lines that are torn are left out."""
    try:
        lines = (folder / SUMS).read_text("ascii", errors="replace").splitlines()
    except OSError:
        return {}
    return {line[66:]: line[:64] for line in lines if line[64:66] == "  "}


def _sha256(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _pixels(raw: Path, name: str) -> tuple[NDArray[Any], float | None]:
    """Return the pixels in a file, and of a video's how many frames there are a second.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    import numpy as np

    with open(open_regular(raw), "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
        message = "its pixels are not what was logged"
        raise ValueError(message)
    head, _, pixels = data.partition(b"\n")
    shape, _, fps = head.partition(b"@")
    return np.frombuffer(pixels, np.uint8).reshape([int(one) for one in shape.split(b"x")]), float(fps) if fps else None
