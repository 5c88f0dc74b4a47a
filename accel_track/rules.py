"""Rules: the part of a run's values that a tracker gets, and their names; pure functions on records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from accel_track.errors import warn
from accel_track.records import AnyRecord, Artifact, Metrics

_WILD = re.compile(r"([*?])")


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The rules of one tracker: which values it gets, how often, and under which names.

    In a pattern, `*` stands for any characters and `?` for one character. The names of nested values are joined with
    "/", and upper and lower case differ. Hyperparameters, checkpoints and alerts are always delivered; `only` and
    `drop` hold for artifacts, too.

    Attributes:
        map: New names by patterns, such as `{"val_*": "eval/*"}`: each wildcard of the new name stands for the text of
            the pattern's wildcard at the same place. The first pattern that matches counts.
        only: Patterns of the names that are delivered. Default: all names.
        drop: Patterns of the names that are not delivered; `drop` outranks `only`.
        every: Length of a span of steps, 1 or more, from which one value of each name is delivered, the first: with 10,
            one value of the steps 0 to 9, one of 10 to 19, …. Of values without a step, every tenth is delivered then.
    """

    map: dict[str, str] = {}
    only: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    every: int = 1

    @classmethod
    def of(cls, given: Rules | Mapping[str, Any]) -> Rules:
        """Return rules from a dictionary, checked.

        Args:
            given: Rules, or a dictionary of their attributes; a single pattern may stand for a list of one pattern.

        Raises:
            TypeError: `given` is neither, or an attribute has the wrong type.
            ValueError: An attribute is unknown, `every` is less than 1, a pattern is empty, or a new name has more
                wildcards than its pattern.
        """
        if isinstance(given, Rules):
            rules = given
        else:
            if not isinstance(given, Mapping):
                message = f"rules are a dictionary such as {{'every': 10}}; got {given!r}."
                raise TypeError(message)
            if unknown := [name for name in given if name not in cls.__struct_fields__]:
                message = f"there is no rule {unknown[0]!r}; there are {', '.join(cls.__struct_fields__)}."
                raise ValueError(message)
            listed = {name: [value] if isinstance(value, str) else value for name, value in given.items()}
            try:
                rules = msgspec.convert(listed, cls)
            except msgspec.ValidationError as error:
                message = f"{error}; rules are such as {{'every': 10, 'drop': ['debug/*'], 'map': {{'a_*': 'a/*'}}}}."
                raise TypeError(message) from None
        if (problem := rules.problem()) is not None:
            message = f"{problem}."
            raise ValueError(message)
        return rules

    def problem(self) -> str | None:
        """Return what is wrong with the rules; None if they are right."""
        if self.every < 1:
            return f"`every` must be 1 or more; got {self.every}"
        if not all([*self.only, *self.drop, *self.map, *self.map.values()]):
            return "a pattern or a new name is empty"
        for pattern, name in self.map.items():
            if len(_WILD.findall(name)) > len(_WILD.findall(pattern)):
                return f"the new name {name!r} has more wildcards than {pattern!r}"
        return None

    def __bool__(self) -> bool:
        """Return whether the rules change anything."""
        return self != Rules()

    def __str__(self) -> str:
        """Name the rules, such as "every 10 steps, without debug/*"."""
        parts = [f"every {self.every} steps"] if self.every > 1 else []
        parts += [f"only {', '.join(self.only)}"] if self.only else []
        parts += [f"without {', '.join(self.drop)}"] if self.drop else []
        parts += [f"{pattern} as {name}" for pattern, name in self.map.items()]
        return ", ".join(parts) or "none"


class Reshaper:
    """A tracker's rules, applied to the records of one journal, given in their order.

    Args:
        rules: The rules.
        who: Name of the tracker, for warnings.
    """

    def __init__(self, rules: Rules, who: str) -> None:
        """Begin before the first record."""
        self.rules, self._who = rules, who
        self._only, self._drop = any_of(rules.only), any_of(rules.drop)
        self._map = [(pattern_of(pattern), _WILD.split(name)) for pattern, name in rules.map.items()]
        self._names: dict[str, str | None] = {}
        self._spans: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._told: set[str] = set()

    def __call__(self, record: AnyRecord) -> AnyRecord | None:
        """Return the part of a record that the tracker gets; None if it gets nothing of the record."""
        if type(record) is Artifact:
            return record if self._goes(record.name or re.split(r"[\\/]", record.path)[-1]) else None
        if type(record) is not Metrics or record.alert is not None or not (record.values or record.unread):
            return record
        values: dict[str, Any] = {}
        for name, value in _leaves(record.values):
            if (new := self._new_name(name)) is not None and self._due(name, record.step):
                values[self._free(new, values)] = value
        unread = {new: why for name, why in record.unread.items() if (new := self._new_name(name)) is not None}
        if not values and not unread:
            return None
        return msgspec.structs.replace(record, values=values, unread=unread)

    def _goes(self, name: str) -> bool:
        return (self._only is None or self._only.fullmatch(name) is not None) and (
            self._drop is None or self._drop.fullmatch(name) is None
        )

    def _new_name(self, name: str) -> str | None:
        """Return the name under which a value is delivered; None if the value is not delivered."""
        if name not in self._names:
            self._names[name] = self._mapped(name) if self._goes(name) else None
        return self._names[name]

    def _mapped(self, name: str) -> str:
        for pattern, parts in self._map:
            if (match := pattern.fullmatch(name)) is not None:
                found = iter(match.groups())
                return "".join(next(found) if _WILD.fullmatch(part) else part for part in parts)
        return name

    def _due(self, name: str, step: int | None) -> bool:
        if self.rules.every == 1:
            return True
        if step is None:
            count = self._counts[name] = self._counts.get(name, -1) + 1
            return count % self.rules.every == 0
        span = step // self.rules.every
        due = self._spans.get(name) != span
        self._spans[name] = span
        return due

    def _free(self, name: str, taken: Mapping[str, Any]) -> str:
        """Return a name, with a number behind it if another value of the call has the name already."""
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        if free != name and name not in self._told:
            self._told.add(name)
            warn(f"{self._who}: its rules call two values of a call {name!r}; the second is called {free!r}.")
        return free


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if type(value) is dict and value:
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _expression(pattern: str) -> str:
    return "".join({"*": "(.*)", "?": "(.)"}.get(part) or re.escape(part) for part in _WILD.split(pattern))


def pattern_of(pattern: str) -> re.Pattern[str]:
    """Return the regular expression for a pattern, in which `*` stands for any characters and `?` for one."""
    return re.compile(_expression(pattern), re.DOTALL)


def any_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """Return the regular expression for any of the patterns; None if there are no patterns."""
    return re.compile("|".join(map(_expression, patterns)), re.DOTALL) if patterns else None
