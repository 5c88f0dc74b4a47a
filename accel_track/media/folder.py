"""The folder of a rank's media: files that are named by what is in them, one for equal contents."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import warn
from accel_track.files import make_private, open_regular, sync_file, write_whole
from accel_track.media import sums, waiting
from accel_track.media.bundles import Bundle, Bundles
from accel_track.media.content import Content
from accel_track.media.encoding import encoded, head, plain_pixels, read_plain
from accel_track.media.waiting import Spares

if TYPE_CHECKING:
    from numpy.typing import NDArray

RAW = ".raw"
"""The further ending of the name of a file whose pixels are not encoded yet."""

ENCODED = (".png", ".gif", *waiting.SUFFIXES)
"""The endings of files that may be encoded; the names of other files are checksums of their bytes."""

LARGEST_FILE = 1024 * 1024 * 1024
"""Bytes of the largest file that is taken for a medium; larger ones are artifacts."""

MOST_WAITING = 512 * 1024 * 1024
"""Bytes of pixels, numbers and cells that may wait to be encoded; a call that finds more encodes its own."""

_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8}){1,2}")
_NAME = re.compile(r"[0-9a-f]{64}" + _SUFFIX.pattern)
_CHUNK = 1024 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class MediaFolder:
    """A folder of contents as files; pixels are encoded there, as PNG, or as GIF those of a video.

    A name is the SHA-256 of the file's bytes, or of the shape and the bytes of the pixels that it was made of, and a
    suffix. Several processes and threads may use a folder at once.

    Args:
        path: The folder; made when needed.
        durable: Whether what is kept survives a power cut from then on.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        """Touch nothing yet."""
        self.path = path
        self.encoded_in_calls = 0
        """The number of contents that were encoded in the call that logged them, since too many waited."""
        self._durable = durable
        self._waiting: dict[str, int] = {}
        self._bundles = Bundles(path)
        self._spares = Spares(path)

    @contextlib.contextmanager
    def together(self, contents: Iterable[Content]) -> Iterator[Bundle | None]:
        """Yield a place for the pixels of a call, where there are several: one file in place of one for each."""
        if sum(content.pixels is not None for content in contents) > 1:
            with self._bundles.open(durable=self._durable) as bundle:
                yield bundle
        else:
            yield None

    def keep(self, content: Content, bundle: Bundle | None = None) -> str:
        """Store a content, and return its name: "" if it needs no file. Pixels are encoded later.

        Args:
            content: The content.
            bundle: Where pixels go, within `together`.

        Raises:
            OSError: It cannot be stored, or its file cannot be read.
            ValueError: Its file is too large, or its pixels cannot be encoded, or its suffix is none.
        """
        if not content.suffix:
            return ""
        if not _SUFFIX.fullmatch(content.suffix):
            message = f"no file's name ends in {content.suffix!r}"
            raise ValueError(message)
        if content.pixels is not None:
            return self._keep_pixels(content.pixels, content.suffix, content.info.get("fps"), bundle)
        if content.numbers is not None:
            return self._keep_numbers(content.numbers, content.info["bins"])
        if content.cells is not None:
            return self._keep_cells(content.cells)
        if content.path is not None:
            return self._keep_file(content.path, content.suffix)
        data = content.data or b""
        name = hashlib.sha256(data).hexdigest() + content.suffix
        if not self._holds(name, len(data)):
            with self._new_file(name) as file:
                file.write(data)
        return name

    def file(self, name: str) -> Path | None:
        """Return the file of a name, encoded now if it was not; None if there is none.

        Args:
            name: From a record, which somebody else may have written: no path leads out of the folder.

        Raises:
            OSError: It cannot be encoded now.
            ValueError: The pixels are damaged, or cannot be encoded.
        """
        if not _NAME.fullmatch(name):
            return None
        path = self.path / name
        if path.is_symlink():
            return None
        if (not self._holds(name) or name in self._bundles) and not self._encode(name):
            return None
        return path if path.is_file() else None

    def file_elsewhere(self, name: str, folder: Path) -> Path:
        """Return a name's file in another folder, encoded there: while this one takes nothing.

        Raises:
            OSError: It cannot be stored there, or does not wait to be encoded.
            ValueError: The pixels are damaged, or cannot be encoded.
        """
        if not (folder / name).exists():
            MediaFolder(folder).store_encoded(name, self._encoded(name))
        return folder / name

    @property
    def waiting(self) -> int:
        """The bytes of the pixels, numbers and cells that were kept here and wait to be encoded."""
        return sum(list(self._waiting.values()))

    def encode_next(self) -> bool:
        """Encode pixels that were kept here and wait; say whether there were any.

        Raises:
            OSError: They cannot be stored; they wait on, behind the others.
        """
        name = next(iter(list(self._waiting)), None)
        if name is None:
            return False
        try:
            self._encode(name)
        except ValueError:  # whoever needs the file finds that out, too
            self._waiting.pop(name, None)
        except OSError:
            self._waiting[name] = self._waiting.pop(name, 0)
            raise
        return True

    def find_waiting(self) -> None:
        """Encode here the contents that an earlier process has left waiting."""
        self._spares.delete_old()
        with contextlib.suppress(OSError):
            for one in self.path.glob(f"*{RAW}"):
                if _NAME.fullmatch(name := one.name.removesuffix(RAW)):
                    self._waiting.setdefault(name, one.stat().st_size)
            for name, size in self._bundles.waiting():
                self._waiting.setdefault(name, size)

    def _keep_pixels(self, pixels: NDArray[Any], suffix: str, fps: float | None, bundle: Bundle | None) -> str:
        line = head(pixels, fps)
        digest = hashlib.sha256(line)
        digest.update(pixels.data)
        name = digest.hexdigest() + suffix
        raw = self.path / (name + RAW)
        if self._holds(name) or name in self._bundles or self._holds(raw.name, len(line) + pixels.nbytes):
            return name
        if self._encoded_in_call(name, pixels.nbytes, lambda: encoded(pixels, fps)):
            return name
        if bundle is not None:
            self._bundles.add(bundle, name, line, pixels.data)
        else:
            with self._new_file(raw.name) as file:
                file.write(line, pixels.data)
        self._waiting[name] = pixels.nbytes
        return name

    def _keep_numbers(self, numbers: NDArray[Any], bins: int) -> str:
        """Store numbers under a name of their own, since to hash them takes as long as to count them."""
        name = secrets.token_hex(32) + waiting.NUMBERS
        raw = self.path / (name + RAW)
        parts = (waiting.head(numbers, bins), numbers.data.cast("B"))
        if self._encoded_in_call(name, numbers.nbytes, lambda: waiting.encoded(name, b"".join(parts))):
            return name
        if self._spares.take(raw, sum(map(len, parts))):
            with contextlib.ExitStack() as undo:
                undo.callback(raw.unlink, missing_ok=True)
                file = os.open(raw, os.O_WRONLY | getattr(os, "O_BINARY", 0))
                try:
                    write_whole(file, *parts)
                    if self._durable:
                        os.fsync(file)
                finally:
                    os.close(file)
                undo.pop_all()
        else:
            with self._new_file(raw.name) as target:
                target.write(*parts)
        self._waiting[name] = numbers.nbytes
        return name

    def _keep_cells(self, cells: bytes) -> str:
        name = hashlib.sha256(cells).hexdigest() + waiting.CELLS
        raw = self.path / (name + RAW)
        if self._holds(name) or self._holds(raw.name, len(cells)):
            return name
        if self._encoded_in_call(name, len(cells), lambda: waiting.encoded(name, cells)):
            return name
        with self._new_file(raw.name) as file:
            file.write(cells)
        self._waiting[name] = len(cells)
        return name

    def forget_spares(self) -> None:
        """Delete files that were kept to be used again."""
        self._spares.delete()

    def _encoded(self, name: str) -> bytes:
        """Return the waiting content of a name, encoded; raises as `_plain`."""
        if name.endswith(waiting.SUFFIXES):
            return waiting.encoded(name, waiting.read(self.path / (name + RAW)))
        return encoded(*self._plain(name))

    def _plain(self, name: str) -> tuple[NDArray[Any], float | None]:
        """Return the pixels of a name that wait.

        Raises:
            FileNotFoundError: They do not.
            OSError: They cannot be read.
            ValueError: They are damaged.
        """
        data = self._bundles.plain(name) if name in self._bundles else None
        if data is None:
            try:
                return read_plain(self.path / (name + RAW), name)
            except FileNotFoundError:
                if (data := self._bundles.plain(name)) is None:
                    raise
        return plain_pixels(data, name)

    def _encoded_in_call(self, name: str, size: int, encode: Callable[[], bytes]) -> bool:
        """Store a content encoded if too much waits already; return whether that is done.

        Args:
            name: Name of the content.
            size: Bytes of its plain form.
            encode: A function that returns the encoded bytes.
        """
        if not self._waiting or self.waiting + size <= MOST_WAITING:
            return False
        self.encoded_in_calls += 1
        if self.encoded_in_calls == 1:
            limit = f"{MOST_WAITING // 1024**2} MiB"
            warn(f"media: over {limit} of media wait to be encoded; calls encode their own until it is less.")
        self.store_encoded(name, encode())
        return True

    def _holds(self, name: str, size: int | None = None) -> bool:
        """Return whether there is a file of that size; a power cut may leave one that is shorter."""
        try:
            found = os.stat(self.path / name).st_size
        except FileNotFoundError:
            return False
        return found == size if size is not None else found > 0

    def _keep_file(self, path: str | os.PathLike[str], suffix: str) -> str:
        """Copy a file as it is now: what is added to it meanwhile is left out."""
        with open(open_regular(path), "rb") as source:
            size = os.fstat(source.fileno()).st_size
            if size > LARGEST_FILE:
                message = f"the file has {size:,} bytes, more than {LARGEST_FILE:,}; use `log_artifact`."
                raise ValueError(message)
            digest, left = hashlib.sha256(), size
            with self._new_file() as target:
                while left and (chunk := source.read(min(left, _CHUNK))):
                    digest.update(chunk)
                    target.write(chunk)
                    left -= len(chunk)
                if left:
                    message = "the file has become shorter while it was read."
                    raise ValueError(message)
                target.name = digest.hexdigest() + suffix
        return target.name

    def _encode(self, name: str) -> bool:
        """Encode the pixels of a name, once for all threads of the process; say whether its file is there."""
        raw = self.path / (name + RAW)
        with _turns.of(self.path / name):
            try:
                if not self._holds(name):
                    self.store_encoded(name, self._encoded(name))
                if name.endswith(waiting.NUMBERS) and name in self._waiting:
                    self._spares.keep(raw)
                else:
                    raw.unlink(missing_ok=True)
                self._bundles.done(name)
            except FileNotFoundError:  # another process may have been faster
                self._waiting.pop(name, None)
                return (self.path / name).exists()
            self._waiting.pop(name, None)
        return True

    def store_encoded(self, name: str, data: bytes) -> None:
        """Store an encoded file; none is without its checksum, whenever the process is killed.

        Raises:
            OSError: It cannot be stored.
        """
        sums.note(self.path, name, hashlib.sha256(data).hexdigest())
        with self._new_file(name) as file:
            file.write(data)

    @contextlib.contextmanager
    def _new_file(self, name: str = "") -> Iterator[_NewFile]:
        """Open a new file without a buffer, which gets its name once it is complete."""
        new = self.path / f".{secrets.token_hex(8)}.new"
        try:
            file = os.open(new, _NEW, 0o600)
        except FileNotFoundError:  # the folder is not made yet, or gone
            make_private(self.path)
            file = os.open(new, _NEW, 0o600)
        try:
            try:
                whole = _NewFile(file, name)
                yield whole
                if self._durable:
                    os.fsync(file)
            finally:
                os.close(file)
            os.replace(new, self.path / whole.name)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        if self._durable:
            sync_file(self.path)


class _NewFile:
    """A file that is being written, and the name that it gets."""

    def __init__(self, file: int, name: str) -> None:
        self._file, self.name = file, name

    def write(self, *parts: bytes | memoryview) -> None:
        write_whole(self._file, *parts)


class _Turns:
    """Locks by which threads that need the same file encode it in turn, also a signal handler in one of them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._locks: dict[str, threading.RLock] = {}

    @contextlib.contextmanager
    def of(self, path: Path) -> Iterator[None]:
        key = os.fspath(path)
        with self._lock:
            turn = self._locks.setdefault(key, threading.RLock())
        with turn:
            try:
                yield
            finally:
                self._locks.pop(key, None)


_turns = _Turns()

if hasattr(os, "register_at_fork"):  # another thread may hold a lock while this one forks
    os.register_at_fork(after_in_child=_turns.__init__)  # type: ignore[misc] # anew


def problem(folder: Path, name: str, known: dict[str, set[str]]) -> str | None:
    """Return the problem of a file in a folder of media, or None.

    Args:
        folder: The folder.
        name: Name of the file.
        known: The checksums of the folder's encoded files, as `sums.known` returns them.
    """
    path = folder / name
    if not _NAME.fullmatch(name):
        return "its name is none of a medium"
    raw = folder / (name + RAW)
    try:
        if not path.exists():
            if raw.exists() and name.endswith(waiting.SUFFIXES):
                waiting.encoded(name, waiting.read(raw))
            elif raw.exists():
                read_plain(raw, name)
            elif (data := Bundles(folder).plain(name)) is None:
                return "it is missing"
            else:
                plain_pixels(data, name)
            return None
        found = sums.sha256(path)
    except (OSError, ValueError) as error:
        return str(error)
    good = {name.partition(".")[0], *known.get(name, ())}
    return None if found in good else "its bytes are not what was stored"
