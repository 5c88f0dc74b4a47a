"""The hyperparameters and values of a Comet experiment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from accel_track.media.calls import AlertLevel
from accel_track.trackers.comet.media import CometMedia
from accel_track.trackers.comet.names import fitting, literal
from accel_track.trackers.rows import Row
from accel_track.values.plain import flat_config


class CometMetrics(CometMedia):
    """The part of the tracker that logs hyperparameters and the values of calls."""

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Log hyperparameters."""
        self.tracker.log_parameters(_flat(values))

    def store_environment(self, values: dict[str, Any]) -> None:
        """Log the environment among the "other" values."""
        self.tracker.log_others(_flat(values))

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Log the alert as a text, and have Comet send it by mail, which it does for online experiments only."""
        super().alert(title, text, level)
        if self.durable_flush:
            said = self.said_late(text)
            self.alive().send_notification(title, level, {"text": said} if said else None)

    def write_row(self, row: Row) -> None:
        """Log a call's numbers together, with `kwargs` for `Experiment.log_metrics` (e.g. `epoch`), and each text."""
        experiment = self.alive()
        numbers = {fitting(name): value for name, value in row.values.items() if not isinstance(value, str)}
        if numbers:
            self.taken.part(None, partial(experiment.log_metrics, numbers, step=row.step, **row.kwargs))
        for name, text in row.values.items():
            if isinstance(text, str):
                # Not `log_other`, which keeps only the last text of a name.
                call = partial(experiment.log_text, literal(text), step=row.step, metadata={"name": name})
                if self.taken.part(name, call, otherwise=name) is None and experiment.alive:
                    self.drop(name, text)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    return {fitting(key): value for key, value in flat_config(values).items()}
