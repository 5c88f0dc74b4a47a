"""The addresses of mirrors, as users write them."""

from __future__ import annotations

import os
import re
from pathlib import Path

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://.+", re.DOTALL)
_FILE = "file://"


def is_url(text: object) -> bool:
    """Return whether a text is a URL."""
    return isinstance(text, str) and _URL.fullmatch(text) is not None


def mirrored_at(url: str) -> str | None:
    """Return the URL of a mirror that a text means, or None: a URL of a store, or a folder that holds a mirror."""
    path = url.removeprefix(_FILE)
    if is_url(path):
        return path
    if os.path.isdir(path) and any(
        next(Path(path).glob(f"{depth}rank-*/mirror.json"), None) is not None for depth in ("", "*/", "*/*/")
    ):
        return _FILE + os.path.abspath(path)
    return None
