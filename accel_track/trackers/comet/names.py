"""Names and texts that Comet takes as they are."""

from __future__ import annotations

import os

from accel_track.trackers.names import hashed_name, safe_name

_LENGTH = 100
_FORBIDDEN = r"[\x00-\x1f\x7f\ud800-\udfff]|^~"


def fitting(name: str) -> str:
    """Return `name`, or when it is too long for Comet its beginning and a hash of all of it."""
    return name if len(name) <= _LENGTH else hashed_name(name, name, _LENGTH)


def asset_name(name: str) -> str:
    """Return a similar name for what is no plain relative path: assets are downloaded under their names.

    Comet takes one that begins with "~" for a path in the home directory.
    """
    return safe_name(name, _FORBIDDEN, _LENGTH)


def literal(text: str) -> str:
    """Return a text, behind a line's end where Comet would take it for the path of a file, or of a home directory."""
    return f"\n{text}" if os.path.expanduser(text) != text or os.path.isfile(text) else text
