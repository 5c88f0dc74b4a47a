"""The evaluation of rules: from the records of a run to the alerts that they raise."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from accel_track.alerts.limits import Limit
from accel_track.alerts.rules import AlertRule, End, Nan, Silence, Threshold
from accel_track.outcome import Outcome
from accel_track.records import Alert, Metrics
from accel_track.rules import pattern_of
from accel_track.values.plain import leaves

MOST = 10
"""The number of alerts that one rule raises in an hour, at most."""

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_SHOWN = 3
_NUMBERS = (int, float)  # bool too


class _Since(NamedTuple):
    """The moment when a metric went beyond a number: the record's step, its place among those of the name, its time."""

    step: int | None
    times: int
    time: float


class _Raising:
    """The alerts of one rule: one until its cause has passed, and so many in an hour."""

    def __init__(self, rule: AlertRule, clock: Callable[[], float]) -> None:
        self.rule = rule
        self._limit = Limit(MOST, clock=clock)

    def raised(self, place: object, text: str) -> Alert | None:
        """Return the alert, or None if there were too many."""
        if not self._limit.passes():
            return None
        held = self._limit.release()
        text = f"{text} ({held} more since the last one)" if held else text
        return Alert(self.rule.text, text, self.rule.level, self.rule.text, f"{self.rule.text} @{place}")

    def left(self, place: object) -> Alert | None:
        """Return an alert about those beyond the limit, at the end of an hour, or None."""
        if not (held := self._limit.release()):
            return None
        text = f"{held} more since the last one; at most {MOST} an hour are told one by one"
        return Alert(self.rule.text, text, self.rule.level, self.rule.text, f"{self.rule.text} @{place} left")


class _OnMetrics(_Raising):
    """A rule on metrics. One that several metrics break is one alert, and armed again once none breaks it."""

    def __init__(self, rule: Nan | Threshold, clock: Callable[[], float]) -> None:
        super().__init__(rule, clock)
        self._rule = rule
        self._matches = pattern_of(rule.pattern).fullmatch
        self._since: dict[str, _Since] = {}
        self._firing: set[str] = set()
        self._compare = None if isinstance(rule, Nan) else _COMPARE[rule.operator]

    def is_on(self, name: str) -> bool:
        return self._matches(name) is not None

    def rewound(self) -> None:
        self._since.clear()
        self._firing.clear()

    def breaks(self, name: str, value: float, record: Metrics) -> bool:
        """Return whether a value breaks the rule and the metric did not before."""
        rule, compare = self._rule, self._compare
        if compare is None or isinstance(rule, Nan):
            broken = math.isnan(value)
        elif broken := not math.isnan(value) and compare(value, rule.number):
            broken = self._long_enough(name, record, rule)
        else:
            self._since.pop(name, None)
        if not broken:
            self._firing.discard(name)
            return False
        new = name not in self._firing
        self._firing.add(name)
        return new

    def _long_enough(self, name: str, record: Metrics, rule: Threshold) -> bool:
        since = self._since.get(name)
        if since is None:
            since = _Since(record.step, 0, record.time)
        since = self._since[name] = since._replace(times=since.times + 1)
        steps = since.times if record.step is None or since.step is None else record.step - since.step + 1
        return steps >= rule.steps and record.time - since.time >= rule.seconds

    def alert(self, names: Sequence[tuple[str, float]], record: Metrics) -> Alert | None:
        """Return the alert that these metrics raise, where no other one breaks the rule already."""
        if len(self._firing) > len(names):
            return None
        at = "" if record.step is None else f" at step {record.step}"
        text = ", ".join(f"{name} = {value:.6g}" for name, value in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more metrics" if len(names) > _SHOWN else ""
        return self.raised(record.seq, f"{text}{more}{at}")


class _OnSilence(_Raising):
    """A rule on how long no step comes."""

    def __init__(self, rule: Silence, clock: Callable[[], float]) -> None:
        super().__init__(rule, clock)
        self.seconds = rule.seconds
        self.fired = False


class Evaluation:
    """The rules of a run, given its records in their order.

    Args:
        rules: The rules.
        clock: Returns monotonic seconds.
    """

    def __init__(self, rules: Iterable[AlertRule], clock: Callable[[], float] = time.monotonic) -> None:
        """Begin before the first record; silence counts from here."""
        rules = list(rules)
        self._metrics = [_OnMetrics(one, clock) for one in rules if isinstance(one, (Nan, Threshold))]
        self._silence = [_OnSilence(one, clock) for one in rules if isinstance(one, Silence)]
        self._ends = [one for one in rules if isinstance(one, End)]
        self._clock = clock
        self._moved, self._last = clock(), -1
        self._by_name: dict[str, list[_OnMetrics]] = {}

    @property
    def looks_at_values(self) -> bool:
        """Whether the values of records matter."""
        return bool(self._metrics or self._silence)

    def rewound(self) -> None:
        """Forget the counts, since the run goes on from an earlier step."""
        for one in self._metrics:
            one.rewound()

    def logged(self, record: Metrics) -> list[Alert]:
        """Return the alerts that a call of `log` raises."""
        broken: dict[_OnMetrics, list[tuple[str, float]]] = {}
        steps = False
        for name, value in leaves(record.values):
            steps = steps or not name.startswith("system/")  # which a thread logs, also while the training hangs
            if not isinstance(value, _NUMBERS):
                continue
            if (found := self._by_name.get(name)) is None:
                found = self._by_name[name] = [one for one in self._metrics if one.is_on(name)]
            for one in found:
                number = _float(value)
                if one.breaks(name, number, record):
                    broken.setdefault(one, []).append((name, number))
        if steps:
            self._moved, self._last = self._clock(), record.seq
            for silence in self._silence:
                silence.fired = False
        return [alert for one, names in broken.items() if (alert := one.alert(names, record)) is not None]

    def due(self) -> bool:
        """Return whether a rule on silence is broken now that was not before."""
        quiet = self._clock() - self._moved
        return any(quiet >= one.seconds and not one.fired for one in self._silence)

    def silent(self) -> list[Alert]:
        """Return the alerts that the silence raises."""
        quiet, found = self._clock() - self._moved, []
        for one in self._silence:
            if quiet >= one.seconds and not one.fired:
                one.fired = True
                last = "no step was logged yet" if self._last < 0 else f"the last record is number {self._last}"
                found.append(one.raised(self._last, f"nothing was logged for {quiet:.4g} s; {last}"))
        return [one for one in found if one is not None]

    def ended(self, outcome: Outcome, place: object) -> list[Alert]:
        """Return the alerts that the end of the run raises.

        Args:
            outcome: How the run has ended.
            place: What tells this end from those of other processes that logged to the run.
        """
        left = [one.left(place) for one in (*self._metrics, *self._silence)]
        ends = [
            Alert(f"the run {_ENDED[one.status]}", outcome.reason or "", one.level, one.text, f"{one.text} @{place}")
            for one in self._ends
            if one.status == outcome.status
        ]
        return [*(one for one in left if one is not None), *ends]


_ENDED = {
    "finished": "has finished",
    "failed": "has failed",
    "interrupted": "was interrupted",
    "preempted": "was preempted",
}


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond what a float holds
        return math.inf if value > 0 else -math.inf
