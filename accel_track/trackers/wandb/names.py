"""The names of values and artifacts, as wandb takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from accel_track.trackers.names import flat_name, hashed_name, safe_name
from accel_track.trackers.wandb.axis import STEP

# Names that wandb sets itself or leaves out silently.
_TAKEN = frozenset(("", "_step", "_runtime", "_timestamp"))
_TAKEN_WITH_STEP = _TAKEN | {STEP}

MOST = 108
"""The number of images of a list that wandb keeps."""

_CONTROL = r"[\x00-\x1f\x7f]"
_PATH, _ARTIFACT = 160, 128
_TABLE = len("run--") + len("-abcdef") + len("_table")
"""The length of the parts that wandb adds to a table's name and the run's id, for the table's artifact."""


def _kept(name: str) -> str:
    return hashed_name(f"user{name}", name, 100)


_GIVEN = {_kept(name): name for name in _TAKEN_WITH_STEP}


def user_names(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the names that the user gave."""
    if _GIVEN.keys().isdisjoint(row):
        return row
    return {_GIVEN.get(name, name): value for name, value in row.items()}


def row_names(values: Mapping[str, Any], *, has_step: bool) -> Mapping[str, Any]:
    """Return a row with names that wandb does not keep for itself, nor its own step for the field of steps."""
    taken = _TAKEN_WITH_STEP if has_step else _TAKEN
    if taken.isdisjoint(values):
        return values
    return {_kept(key) if key in taken else key: value for key, value in values.items()}


def file_names(values: Mapping[str, Any], wandb: Any, run_id: str) -> Mapping[str, Any]:
    """Return a row in which media have names of which wandb can make those of files, and tables of artifacts.

    Args:
        values: The row.
        wandb: The SDK's module.
        run_id: Part of the artifacts' names.
    """
    named = {}
    for name, value in _parts(values, wandb):
        one = value[0] if isinstance(value, (list, tuple)) and value else value
        if isinstance(one, (wandb.Table, wandb.plot.CustomChart)):
            named[safe_name(name, _CONTROL, max(_ARTIFACT - _TABLE - len(run_id), 16))] = value
        elif isinstance(one, wandb.data_types.Media):
            named[safe_name(name, _CONTROL, _PATH)] = value
        else:
            named[name] = value
    for name in [one for one, value in named.items() if isinstance(value, wandb.plot.CustomChart)]:
        if f"{name}_table" in named:  # which is where wandb puts the chart's table
            named[hashed_name(name, name, len(name) + 9)] = named.pop(name)
    return named


def _parts(values: Mapping[str, Any], wandb: Any) -> Iterator[tuple[str, Any]]:
    """Yield a row's values; of lists of more images than wandb keeps, the further parts have names of their own."""
    for name, value in values.items():
        if isinstance(value, (list, tuple)) and len(value) > MOST and isinstance(value[0], wandb.Image):
            yield name, value[:MOST]
            yield from ((f"{name}/{at}", value[at : at + MOST]) for at in range(MOST, len(value), MOST))
        else:
            yield name, value


def artifact_name(name: str, prefix: str = "") -> str:
    """Return the name of an artifact, behind a prefix."""
    return prefix + flat_name(name, r"[^A-Za-z0-9_.\-]", _ARTIFACT - len(prefix))


def artifact_type(kind: str) -> str:
    """Return a type of artifacts that wandb does not keep for itself."""
    reserved = kind.startswith("wandb-") or kind in ("job", "run_table", "code")
    return flat_name(f"user-{kind}" if reserved else kind, r"[:\x00-\x1f\x7f]", _ARTIFACT)
