"""Ways: what becomes of a medium in a backend, as each tracker declares it and docs/media.md shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

KINDS = (
    "image",
    "figure",
    "table",
    "histogram",
    "text",
    "audio",
    "video",
    "html",
    "points",
    "confusion_matrix",
    "artifact",
    "model",
)
"""All kinds, in the order of the table."""


class Way(NamedTuple):
    """What becomes of one kind of medium in a backend.

    Attributes:
        how: "native" where the backend has something of that kind, "fallback" where it is stored as something else,
            "none" where it is counted as dropped.
        note: What the user finds there; of none, why not.
        by: The kind that it is made into first; "" for none.
    """

    how: str
    note: str
    by: str = ""


def native(note: str) -> Way:
    """Return the way of a kind that a backend has."""
    return Way("native", note)


def by(kind: str, note: str) -> Way:
    """Return the way of a kind that is stored as another: "image", "table", "text", "file", or "quantiles"."""
    return Way("fallback", note, kind)


def otherwise(note: str) -> Way:
    """Return the way of a kind that a backend stores by another of its calls."""
    return Way("fallback", note)


def none(why: str) -> Way:
    """Return the way of a kind that is counted as dropped."""
    return Way("none", why)


ALL: Mapping[str, Way] = {kind: native("among the values of `log`") for kind in KINDS[:-2]}
"""The ways of a tracker that is given all media as they are."""
