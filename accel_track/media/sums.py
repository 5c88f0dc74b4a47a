"""Checksums: the file of a folder that says what is in others, in the form of `sha256sum`."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from accel_track.files import make_private, open_regular

SUMS = "SHA256SUMS"
"""Name of that file."""

_CHUNK = 1024 * 1024
_DIGITS = 64
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"))


def note(folder: Path, name: str, digest: str) -> None:
    """Add the checksum of a file. Several processes may do so at once.

    Args:
        folder: Where the checksums are; made when needed.
        name: Path of the file, relative to the folder or absolute.
        digest: SHA-256 of its bytes, in hexadecimal.

    Raises:
        OSError: It cannot be written.
    """
    escaped = name
    for plain, safe in _ESCAPES:
        escaped = escaped.replace(plain, safe)
    line = ("\\" * (escaped != name) + f"{digest}  {escaped}\n").encode()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    make_private(folder)
    file = os.open(folder / SUMS, flags, 0o600)
    try:
        line = b"\n" * _is_torn(file) + line
        if os.write(file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder / SUMS))
    finally:
        os.close(file)


class Sums:
    """The checksums of a folder by name, read as far as somebody has asked.

    Args:
        folder: Where the checksums are.
    """

    def __init__(self, folder: Path) -> None:
        """Read nothing yet."""
        self.known: dict[str, set[str]] = {}
        """The checksums read so far; several where a file was written more than once."""
        self._path, self._end = folder / SUMS, 0

    def has(self, name: str, digest: str) -> bool | None:
        """Return whether a digest is among those of a name; None if there are none."""
        if digest not in self.known.get(name, ()):
            self.read()
        return digest in self.known[name] if name in self.known else None

    def read(self) -> None:
        """Read the added lines; torn ones are left out."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._end)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._end += len(whole)
        for line in whole.decode("utf-8", "replace").split("\n"):
            digest, sign, name = line.removeprefix("\\").partition("  ")
            if sign and len(digest) == _DIGITS:
                self.known.setdefault(_unescaped(name) if line.startswith("\\") else name, set()).add(digest)


def known(folder: Path) -> dict[str, set[str]]:
    """Return the checksums of a folder by name; several where a file was written more than once."""
    sums = Sums(folder)
    sums.read()
    return sums.known


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    digest = hashlib.sha256()
    with open(open_regular(path), "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _is_torn(file: int) -> bool:
    """Return whether the last line was not written in full, since the disk was full."""
    end = os.lseek(file, 0, os.SEEK_END)
    if not end:
        return False
    os.lseek(file, end - 1, os.SEEK_SET)
    return os.read(file, 1) != b"\n"


def _unescaped(name: str) -> str:
    plain = {"\\": "\\", "n": "\n", "r": "\r"}
    parts = iter(name)
    return "".join(plain.get(next(parts, ""), "") if one == "\\" else one for one in parts)
