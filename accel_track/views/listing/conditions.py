"""Conditions on runs, such as `val/acc > 0.9 and lr <= 1e-3`: their grammar, and whether a run meets them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from accel_track.views.listing.columns import Column, named
from accel_track.views.listing.runs import Listed
from accel_track.views.listing.values import Scalar

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_TOKENS = re.compile(r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<sign>==|!=|<=|>=|<|>|=)|(?P<word>[^\s"'=!<>]+|!))""")
_WORDS: dict[str, Scalar] = {"true": True, "false": False}
_LONGEST = 2000


class Comparison(NamedTuple):
    """One comparison.

    Attributes:
        column: What is compared.
        compare: Does it.
        value: With what.
        text: The same as it was written, for texts.
    """

    column: Column
    compare: Callable[[Any, Any], bool]
    value: Scalar
    text: str

    def holds(self, one: Listed, now: float) -> bool:
        """Return whether it holds for a run; not where the run has no such value, or a text in place of a number."""
        left, right = self.column.get(one, now), self.value
        if left is None:
            return False
        if isinstance(left, str):
            return self.compare(left, self.text)
        if isinstance(right, str):
            return self.compare is operator.ne
        if isinstance(left, float) and isinstance(right, float) and math.isnan(right) and math.isnan(left):
            return self.compare in (operator.eq, operator.le, operator.ge)
        return self.compare(left, right)


def conditions(text: str) -> list[Comparison]:
    """Return the comparisons of an expression, all of which must hold.

    An expression is `NAME SIGN VALUE`, again after `and`, any number of times. A name is as in
    `columns.named`; signs are ==, !=, <, <=, > and >=. A value is a number, also `nan` and `inf`,
    `true`, `false` or a text. Names and texts with spaces or signs stand between quotes.

    Args:
        text: The expression, 2000 characters at most.

    Raises:
        ValueError: It is none; the message says where it ends to be one.
    """
    tokens = _tokens(text)
    found: list[Comparison] = []
    while True:
        three, tokens = tokens[:3], tokens[3:]
        if len(three) < 3 or three[1].text not in _OPERATORS or three[1].kind != "sign":  # noqa: PLR2004 - name, sign, value
            raise _wrong(text, three)
        name, sign, value = three
        if "sign" in (name.kind, value.kind):
            raise _wrong(text, three)
        found.append(Comparison(named(name.text), _OPERATORS[sign.text], _value(value), value.text))
        if not tokens:
            return found
        if tokens[0].text.lower() != "and" or tokens[0].kind != "word":
            raise _wrong(text, tokens[:1])
        tokens = tokens[1:]


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(text: str) -> list[_Token]:
    """Return quoted texts, signs and words."""
    if len(text) > _LONGEST:
        message = f"it has {len(text)} characters, and {_LONGEST} are possible"
        raise ValueError(message)
    found, at = [], 0
    while text[at:].strip():
        match = _TOKENS.match(text, at)
        if match is None or match.lastgroup is None:
            message = f"a quote is not closed: {text[at:].strip()[:40]}"
            raise ValueError(message)
        token = match[match.lastgroup]
        if match.lastgroup == "word" and token.count("(") != token.count(")"):
            message = f"there are no parentheses around conditions: {token[:40]}"
            raise ValueError(message)
        found.append(_Token(match.lastgroup, token[1:-1] if match.lastgroup == "quoted" else token))
        at = match.end()
    return found


def _value(token: _Token) -> Scalar:
    if token.kind == "quoted":
        return token.text
    if token.text.lower() in _WORDS:
        return _WORDS[token.text.lower()]
    try:
        return float(token.text)
    except ValueError:
        return token.text


def _wrong(text: str, rest: list[_Token]) -> ValueError:
    """Return the error for an expression that goes on as none does."""
    if any(token == ("sign", "=") for token in rest):
        return ValueError("write == for equal")
    where = f"at {' '.join(token.text for token in rest)[:40]!r}" if rest else "at its end" if text.strip() else "empty"
    return ValueError(f"{where}: write NAME SIGN VALUE, such as 'val/acc > 0.9 and status == finished'")
