"""Turn logged values into MLflow's metrics, under names that it takes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from accel_track.trackers.names import safe_name
from accel_track.values import is_number, leaves

Call = tuple[dict[str, Any], int | None, float]
"""What one call logged: values, step, and wall-clock time in seconds."""

# The alphabet of `mlflow.utils.validation`.
_NOT_IN_NAMES = r"[^\w.\- ]" if os.name == "nt" else r"[^\w.\- :]"
_NAME_LENGTH = 250


def mlflow_name(key: str) -> str:
    """Return the name of a metric or param as MLflow takes it."""
    return safe_name(key, _NOT_IN_NAMES, _NAME_LENGTH)


def metrics_of(calls: Sequence[Call]) -> tuple[list[Any], list[tuple[str, Any, str]]]:
    """Return the metrics of several calls, and name, value and reason of what MLflow cannot take."""
    from mlflow.entities import Metric

    metrics: list[Any] = []
    refused: list[tuple[str, Any, str]] = []
    for values, step, moment in calls:
        for key, value in leaves(values):
            if not is_number(value):
                refused.append((key, value, ""))
            elif math.isinf(value):
                refused.append((key, value, f"MLflow's databases would store {value} as a finite number"))
            else:
                metrics.append(Metric(mlflow_name(key), float(value), int(moment * 1000), step or 0))
    return metrics, refused
