"""Ways: the fate of each kind of medium in a backend, as each tracker declares it and docs/media.md shows."""

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
"""All kinds, in the order of the table in docs/media.md."""


class Way(NamedTuple):
    """The way of one kind of medium into a backend.

    Attributes:
        how: "native" if the backend has that kind, "fallback" if the medium is stored as something else, "none" if the
            medium is counted as dropped.
        note: The form in which the user finds the medium; for "none", the reason.
        by: The kind that the medium is converted to first; "" for no conversion.
    """

    how: str
    note: str
    by: str = ""


def native(note: str) -> Way:
    """Return the way of a kind that the backend has.

    Args:
        note: The form in which the user finds the medium.
    """
    return Way("native", note)


def by(kind: str, note: str) -> Way:
    """Return the way of a kind that is converted to another one.

    Args:
        kind: The other kind: "image", "table", "text", "file", or "quantiles", which are numbers.
        note: The form in which the user finds the medium.
    """
    return Way("fallback", note, kind)


def otherwise(note: str) -> Way:
    """Return the way of a kind that the backend stores by another of its calls, without a conversion.

    Args:
        note: The form in which the user finds the medium.
    """
    return Way("fallback", note)


def none(why: str) -> Way:
    """Return the way of a kind that is counted as dropped.

    Args:
        why: The reason, for the warning.
    """
    return Way("none", why)


ALL: Mapping[str, Way] = {kind: native("among the values of `log`") for kind in KINDS[:-2]}
"""The ways of a tracker that gets all media among the values of `log`, unchanged."""
