"""ClearML's plots: the title and the series that a value's name becomes."""

from __future__ import annotations

import re

from accel_track.trackers.names import hashed_name

SUMMARY = "Summary"
"""The plot in which ClearML keeps single values."""

_SPLITS = "train|validation|valid|val|eval|test"
_LEADING = re.compile(rf"(?P<series>{_SPLITS})[_/](?P<title>.+)")
_TRAILING = re.compile(rf"(?P<title>.+)[_/](?P<series>{_SPLITS})")


class Plots:
    """The plots of one run: each name has a series of its own, "val_loss" after "val/loss" a plot of its own."""

    def __init__(self) -> None:
        """Begin without plots."""
        self._owners: dict[tuple[str, str], str] = {}
        self._places: dict[str, tuple[str, str]] = {}

    def place(self, name: str, step: int | None) -> tuple[str, str]:
        """Return title and series of a name, always the same; without a step, it is a single value's."""
        if step is None:
            return SUMMARY, name
        if (found := self._places.get(name)) is not None:
            return found
        for place in (_title_and_series(name), (name, name), (name, hashed_name(name, name, 250))):
            if self._owners.setdefault(place, name) == name:
                break
        self._places[name] = place
        return place


def joined(title: str, series: str) -> str:
    """Return the one name of a series of a plot; a single value's is that which it would have with a step."""
    if title == SUMMARY:
        title, series = _title_and_series(series)
    # A name whose place another one had is a plot of its own; "val/loss" has the place of "loss/val".
    is_own = title == series and "/".join(_title_and_series(series)) != series
    return series if is_own else f"{title}/{series}"


def _title_and_series(name: str) -> tuple[str, str]:
    title, _, series = name.rpartition("/")
    if split := _LEADING.fullmatch(name) or _TRAILING.fullmatch(name):
        title, series = split["title"], split["series"]
    return (title, series) if title not in ("", SUMMARY) and series else (name, name)
