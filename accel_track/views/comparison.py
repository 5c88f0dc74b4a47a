"""Runs beside each other: hyperparameters that differ, and mean and spread over runs that differ in the seed alone."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from accel_track.views.metric import Metric
from accel_track.views.names import good

_SEED = re.compile(r"(.*[/._-])?(seeds?|seed_everything|random_state)", re.IGNORECASE)
"""The names of seeds: numpy's and Lightning's, scikit-learn's, and `data.seed`, `split_seed` and the like."""

MISSING = "-"
"""The text for a hyperparameter that a run does not have."""


def is_seed(name: str) -> bool:
    """Return whether a hyperparameter is a seed, by the last word of its name."""
    return _SEED.fullmatch(name) is not None


def texts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return hyperparameters without nesting as texts that are equal where the values are."""
    return {
        name: f"{value:.12g}" if type(value) is float else value if type(value) is str else json.dumps(value)
        for name, value in values.items()
    }


def differing(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the names, in the order in which they were logged, whose values are not the same in all runs."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({config.get(name) for config in configs}) > 1]


class Figure(NamedTuple):
    """One number that runs are compared by.

    Attributes:
        metric: Name of the metric.
        what: "last", "min" or "max".
    """

    metric: str
    what: str

    def of(self, metrics: Mapping[str, Metric]) -> float | None:
        """Return a run's value of the column; None if the run has none."""
        if (metric := metrics.get(self.metric)) is None:
            return None
        if self.what == "last":
            value = None if metric.last is None else metric.last.value
            return float(value) if isinstance(value, (bool, int, float)) else None
        found = metric.minimum if self.what == "min" else metric.maximum
        return None if found is None else found.value

    def best(self, values: Iterable[float | None]) -> float | None:
        """Return the best of values of runs; None if the metric's name does not say which is."""
        finite = [one for one in values if one is not None and math.isfinite(one)]
        way = good(self.metric)
        return None if way is None or not finite else min(finite) if way == "min" else max(finite)


def figures(runs: Sequence[Mapping[str, Metric]], names: Iterable[str]) -> list[Figure]:
    """Return by what runs are compared: of each metric, the last value and the better extreme, else both extremes."""
    found = []
    for name in names:
        if any(name in metrics and metrics[name].count for metrics in runs):
            ends = [way] if (way := good(name)) else ["min", "max"]
            found += [Figure(name, what) for what in ("last", *ends)]
    return found


class Spread(NamedTuple):
    """Numbers of several runs in short.

    Attributes:
        runs: How many have a finite one.
        mean: Their mean.
        std: The standard deviation of a sample (n - 1), or None of less than two.
        low: The smallest.
        high: The largest.
    """

    runs: int
    mean: float
    std: float | None
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """Return the spread of the finite ones, or None if there is none."""
        found = [one for one in values if one is not None and math.isfinite(one)]
        if not found:
            return None
        mean = statistics.fmean(found)
        std = math.sqrt(sum((one - mean) ** 2 for one in found) / (len(found) - 1)) if len(found) > 1 else None
        return cls(len(found), mean, std, min(found), max(found))


class Group(NamedTuple):
    """A group of runs that differ in the seed alone.

    Attributes:
        config: What they have in common, of the names that differ between groups.
        seeds: The seeds of each, as one text.
        runs: Their places among all runs.
    """

    config: dict[str, str]
    seeds: list[str]
    runs: list[int]


def by_seed(configs: Sequence[Mapping[str, str]], ignored: Callable[[str], bool]) -> list[Group]:
    """Return groups of runs that are the same but for their seeds, in the order of their first runs.

    Args:
        configs: Flat hyperparameters of each run.
        ignored: Whether a name is left out, such as that of a folder with the seed in its name.
    """
    rest = [
        {name: one for name, one in config.items() if not is_seed(name) and not ignored(name)} for config in configs
    ]
    differ = differing(rest)
    groups: dict[tuple[str, ...], Group] = {}
    for number, config in enumerate(rest):
        its = {name: config.get(name, MISSING) for name in differ}
        group = groups.setdefault(tuple(its.values()), Group(its, [], []))
        group.runs.append(number)
        seeds = [one for name, one in configs[number].items() if is_seed(name)]
        group.seeds.append(", ".join(seeds) or MISSING)
    return list(groups.values())
