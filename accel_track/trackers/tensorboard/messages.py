"""TensorBoard's messages of protobuf, from bytes that may be anything."""

from __future__ import annotations

from typing import Any


def parsed(kind: Any, data: bytes) -> Any:
    """Return a message; None if the bytes are none.

    Args:
        kind: Its class.
        data: The bytes.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # it has no types

    try:
        return kind.FromString(data)
    except DecodeError:
        return None
