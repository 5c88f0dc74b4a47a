"""The x-axis of a wandb run's charts."""

from __future__ import annotations

from collections.abc import Collection
from functools import wraps
from typing import Any

STEP = "trainer/global_step"
"""Name of the field that holds the step, the one that Lightning's own logger uses."""


class Axis:
    """The x-axis of a run's charts, as wandb is told of it, and the values of a row that belong to it.

    Args:
        run: A `wandb.Run`.
    """

    def __init__(self, run: Any) -> None:
        """Define nothing yet: charts of a run that never gets a step would have an x-axis without values."""
        self._define = define = run.define_metric
        self._defined = False
        self._known: set[str] = set()
        self._own: list[str] = []

        @wraps(define)
        def noted(name: str, *args: Any, **kwargs: Any) -> Any:
            metric = define(name, *args, **kwargs)
            self._own.append(name)
            return metric

        run.define_metric = noted  # what the program defines goes before what follows here

    def learn(self, step: int | None, names: Collection[str]) -> None:
        """Tell wandb the x-axis of a row's names: for those that begin without a step, wandb's `_step`."""
        if step is not None and not self._defined:
            self._define(STEP)
            self._define("*", step_metric=STEP)
            self._defined = True
        if self._defined and not self._known.issuperset(names):
            if step is None:
                for name in names:
                    self._detach(name)
            self._known.update(names)

    def fields(self, step: int | None, moment: float | None) -> dict[str, Any]:
        """Return a row's step and time. Whatever rows are logged together is learned before."""
        fields: dict[str, Any] = {} if moment is None else {"_timestamp": moment}
        if self._defined:
            fields[STEP] = step  # of a row without one, too, or wandb adds the last one
        return fields

    def _detach(self, name: str) -> None:
        own = (name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in self._own)
        if name not in self._known and "*" not in name and not any(own):
            self._define(name)
