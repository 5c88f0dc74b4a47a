"""The rules of alerts: lines such as "loss > 10 for 50 steps", and the objects that they stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from accel_track.outcome import Status

_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "m": 60.0, "h": 3600.0, "hour": 3600.0}
_UNITS |= {"d": 86_400.0, "day": 86_400.0}
_NUMBER = r"[+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:e[+-]?\d{1,3})?"
_SPAN = rf"(\d{{1,15}}(?:\.\d{{1,15}})?)\s*({'|'.join(_UNITS)})s?"
_SILENCE = re.compile(rf"no\s+steps?\s+for\s+{_SPAN}", re.IGNORECASE | re.ASCII)
_NAN = re.compile(r"nan(?:\s+in\s+(\S.*))?", re.IGNORECASE)
_THRESHOLD = re.compile(
    rf"(\S.*?)\s*(>=|<=|==|!=|>|<)\s*({_NUMBER}|[+-]?inf)(?:\s+for\s+(?:(\d{{1,15}})\s*steps?|{_SPAN}))?",
    re.IGNORECASE | re.ASCII,
)

EXAMPLES = (
    *("nan", "nan in train/*", "loss > 10", "val/* < 0.1 for 50 steps", "loss > 10 for 5 min", "no step for 10 min"),
    *get_args(Status),
)
"""One rule of each form."""


@dataclass(frozen=True)
class Nan:
    """The rule "a metric is NaN".

    Attributes:
        text: The rule as the user wrote it.
        pattern: Pattern of the metrics' names.
    """

    text: str
    pattern: str = "*"

    level = "error"


@dataclass(frozen=True)
class Threshold:
    """The rule "a metric is beyond a number", for some time or at once.

    Attributes:
        text: The rule as the user wrote it.
        pattern: Pattern of the metrics' names.
        operator: The comparison of the metric with the number: ">", ">=", "<", "<=", "==" or "!=".
        number: The number.
        steps: Number of training steps over which the comparison must hold; 0 for one value.
        seconds: Time over which the comparison must hold, in seconds; 0 for one value.
    """

    text: str
    pattern: str
    operator: str
    number: float
    steps: int = 0
    seconds: float = 0.0

    level = "warning"


@dataclass(frozen=True)
class Silence:
    """The rule "no step is logged for some time".

    Attributes:
        text: The rule as the user wrote it.
        seconds: The time, in seconds.
    """

    text: str
    seconds: float

    level = "warning"


@dataclass(frozen=True)
class End:
    """The rule "the run ends with a status".

    Attributes:
        text: The rule as the user wrote it.
        status: The status: "finished", "failed", "interrupted" or "preempted".
    """

    text: str
    status: str

    @cached_property
    def level(self) -> str:
        """The level of the alert: "info" for "finished", "error" for "failed", else "warning"."""
        return {"finished": "info", "failed": "error"}.get(self.status, "warning")


AlertRule = Nan | Threshold | Silence | End


def alert_rule(text: str) -> AlertRule:
    """Return the rule for a text. Upper and lower case differ in names of metrics only.

    The forms are

    * `nan` and `nan in NAMES`: a metric is NaN;
    * `NAMES OPERATOR NUMBER`: a metric is beyond a number, at once;
    * `NAMES OPERATOR NUMBER for N steps` and `… for N UNIT`: a metric is beyond a number over that time;
    * `no step for N UNIT`: no step is logged over that time;
    * `finished`, `failed`, `interrupted` and `preempted`: the run ends with that status.

    `NAMES` is a metric's name, with the names of nested values joined with "/", in which `*` stands for any characters
    and `?` for one. `OPERATOR` is `>`, `>=`, `<`, `<=`, `==` or `!=`. `UNIT` is `s`, `min`, `h` or `d`.

    Args:
        text: The rule.

    Raises:
        TypeError: `text` is not a text.
        ValueError: `text` is not a rule; the message has a rule of each form.
    """
    if not isinstance(text, str):
        message = f"a rule is a text; got {text!r}"
        raise TypeError(message)
    text = " ".join(text.split())
    if text.lower() in get_args(Status):
        return End(text.lower(), text.lower())
    if (match := _SILENCE.fullmatch(text)) is not None and (seconds := _seconds(match[1], match[2])) > 0:
        return Silence(text, seconds)
    if (match := _NAN.fullmatch(text)) is not None:
        return Nan(text, match[1] or "*")
    if (match := _THRESHOLD.fullmatch(text)) is not None:
        name, operator, number, steps, span, unit = match.groups()
        seconds = 0.0 if span is None else _seconds(span, unit)
        return Threshold(text, name, operator, float(number), int(steps or 0), seconds)
    message = f"{text!r} is no rule; rules are such as {str(EXAMPLES)[1:-1]}"
    raise ValueError(message)


def alert_rules(given: Any) -> tuple[AlertRule, ...]:
    """Return the rules for several texts, without duplicates.

    Args:
        given: Texts or rules; or a text with rules between commas, or with a JSON list of rules.

    Raises:
        TypeError: `given` is something else.
        ValueError: A text is not a rule.
    """
    if isinstance(given, str):
        given = (
            json.loads(given) if given.lstrip().startswith("[") else [one for one in given.split(",") if one.strip()]
        )
    if not isinstance(given, Iterable):
        message = f"rules are a list of texts; got {given!r}"
        raise TypeError(message)
    rules = (one if isinstance(one, AlertRule) else alert_rule(one) for one in given)
    return tuple({one.text: one for one in rules}.values())


def _seconds(number: str, unit: str) -> float:
    return float(number) * _UNITS[unit.lower()]
