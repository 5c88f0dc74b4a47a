"""Logged values as MLflow's metrics, under names that it takes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from accel_track.trackers.names import safe_name
from accel_track.values.plain import check_step, is_number, leaves

Call = tuple[dict[str, Any], int | None, float]
"""What one call logged: values, step, and wall-clock time in seconds."""

Row = tuple[str, float, int, int]
"""What MLflow keeps of one metric: name, value, time in milliseconds, and step."""

# The alphabet of `mlflow.utils.validation`.
_NOT_IN_NAMES = r"[^\w.\- ]" if os.name == "nt" else r"[^\w.\- :]"
_NAME_LENGTH = 250


@lru_cache(maxsize=65536)
def mlflow_name(key: str) -> str:
    """Return the name of a metric or param as MLflow takes it."""
    return safe_name(key, _NOT_IN_NAMES, _NAME_LENGTH)


def metrics_of(calls: Sequence[Call]) -> tuple[list[Row], list[tuple[str, Any, str]]]:
    """Return the metrics of several calls, and name, value and reason of what MLflow cannot take.

    Raises:
        ValueError: A step is none that a database takes; MLflow's server would store the value at step 0.
    """
    rows: list[Row] = []
    refused: list[tuple[str, Any, str]] = []
    for values, step, moment in calls:
        milliseconds, at = int(moment * 1000), check_step(step) or 0
        for key, value in leaves(values):
            if not is_number(value):
                refused.append((key, value, ""))
            elif math.isinf(value):
                refused.append((key, value, f"MLflow's databases would store {value} as a finite number"))
            else:
                rows.append((mlflow_name(key), float(value), milliseconds, at))
    return rows, refused
