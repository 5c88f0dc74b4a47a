"""The values of a run: its hyperparameters, and of each metric the last, the smallest and the largest one."""

from __future__ import annotations

import msgspec

from accel_track.journal.directory import RunDirectory
from accel_track.values.plain import flat_config, long_integers_as_text
from accel_track.views.content import Content
from accel_track.views.metric import At, Metric

Scalar = bool | int | float | str | None
"""The value of a cell in a list of runs."""

WHICH = ("last", "min", "max")
_LONGEST = 1000


class Values(msgspec.Struct):
    """The hyperparameters and results of a run.

    Attributes:
        config: Hyperparameters by name; names of nested ones are joined with "/".
        metrics: By name: the last value, the smallest and the largest finite number, in the order of `WHICH`.
    """

    config: dict[str, Scalar] = {}
    metrics: dict[str, tuple[Scalar, Scalar, Scalar]] = {}

    @classmethod
    def of(cls, run: RunDirectory) -> Values:
        """Return the values of a run as its journals have them; nothing of one that cannot be read."""
        content = Content(run, wanted=lambda _: False)
        try:
            content.update()
        except (ValueError, OSError, OverflowError):  # its summary says why
            return cls()
        config = {name: _short(value) for name, value in flat_config(content.config).items()}
        return cls(config, {name: _three(one) for name, one in content.metrics.items() if one.last is not None})


def _three(metric: Metric) -> tuple[Scalar, Scalar, Scalar]:
    last = None if metric.last is None else metric.last.value
    shown = _short(long_integers_as_text(last)) if isinstance(last, (bool, int, float, str)) else None
    return shown, _number(metric.minimum), _number(metric.maximum)


def _number(at: At | None) -> float | None:
    return None if at is None else at.value


def _short(value: Scalar) -> Scalar:
    return value[:_LONGEST] if isinstance(value, str) else value
