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


def known(folder: Path) -> dict[str, set[str]]:
    """Return the checksums by name; several where a file was written more than once. Torn lines are left out."""
    found: dict[str, set[str]] = {}
    try:
        lines = (folder / SUMS).read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return found
    for line in lines:
        digest, sign, name = line.removeprefix("\\").partition("  ")
        if not sign or len(digest) != _DIGITS:
            continue
        if line.startswith("\\"):
            name = _unescaped(name)
        found.setdefault(name, set()).add(digest)
    return found


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    digest = hashlib.sha256()
    with open(open_regular(path), "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _is_torn(file: int) -> bool:
    """Whether the last line was not written in full, since the disk was full."""
    end = os.lseek(file, 0, os.SEEK_END)
    if not end:
        return False
    os.lseek(file, end - 1, os.SEEK_SET)
    return os.read(file, 1) != b"\n"


def _unescaped(name: str) -> str:
    plain = {"\\": "\\", "n": "\n", "r": "\r"}
    parts = iter(name)
    return "".join(plain.get(next(parts, ""), "") if one == "\\" else one for one in parts)
