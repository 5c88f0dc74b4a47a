"""Names of runs: which run a word means, and the shortest word that means a run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from accel_track.errors import JournalError
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo

LATEST = "latest"
SHORTEST = 6
"""Characters of a short id, at least: the random ones of an id."""

_AS_SHORT = 4
"""Characters of an end of an id that counts as much as a whole name."""

_NEWEST = re.compile(r"@(\d{1,9})")
_PATTERN = re.compile(r"[*?\[]")


class Named(NamedTuple):
    """A run with its names.

    Attributes:
        run: The run.
        id: Its id.
        project: Its project.
        name: Its name in the project, or None.
        created: When it began, in seconds since 1970-01-01 UTC; 0 if that cannot be read.
    """

    run: RunDirectory
    id: str
    project: str
    name: str | None
    created: float

    @classmethod
    def of(cls, run: RunDirectory) -> Named:
        """Return a run with the names that its `run.json` has; of a damaged one, with those of its folders."""
        try:
            info: RunInfo | None = run.load()
        except JournalError:
            info = None
        if info is None:
            return cls(run, run.path.name, run.path.absolute().parent.name, None, 0.0)
        return cls(run, run.path.name, info.project, info.name, info.created)


def meant(word: str, runs: Iterable[RunDirectory]) -> list[Named]:
    """Return the runs that a word means: one; several where it is ambiguous, newest first; none where it means none.

    The first of these that there is decides: the whole id; `latest`, `latest:PROJECT` and `@2`, the second newest run;
    a run's name, `PROJECT/NAME`, or the end of an id of 4 characters or more; any end of an id; any part of one. Behind
    `PROJECT/`, an id or a part of one may stand, too.

    Args:
        word: What a user has written.
        runs: The runs that it may be.
    """
    runs = list(runs)
    if whole := [run for run in runs if run.path.name == word]:
        return newest_first(map(Named.of, whole))
    named = newest_first(map(Named.of, runs))
    if (found := _by_age(word, named)) is not None:
        return found
    project, slash, rest = word.rpartition("/")
    among = [one for one in named if one.project == project] if slash else named
    if not rest:
        return []
    rules: list[Callable[[Named], bool]] = [
        lambda one: one.id == rest,
        lambda one: one.name == rest or (len(rest) >= _AS_SHORT and one.id.endswith(rest)),
        lambda one: one.id.endswith(rest),
        lambda one: rest in one.id,
    ]
    return next(filter(None, ([one for one in among if rule(one)] for rule in rules)), [])


def matching(pattern: str, runs: Iterable[RunDirectory]) -> list[Named]:
    """Return the runs whose id, name or `PROJECT/NAME` a pattern such as `sweep-*` fits, newest first."""
    found = newest_first(map(Named.of, runs))
    return [one for one in found if any(fnmatchcase(text, pattern) for text in _words(one))]


def is_pattern(word: str) -> bool:
    """Return whether a word stands for all that it fits."""
    return _PATTERN.search(word) is not None


def near_names(word: str, runs: Iterable[RunDirectory]) -> list[str]:
    """Return names that look like a word, the nearest first, three at most."""
    named = list(map(Named.of, runs))
    words = {text for one in named for text in (*_words(one), one.id[-SHORTEST:])}
    return difflib.get_close_matches(word, words, n=3)


def newest_first(named: Iterable[Named]) -> list[Named]:
    """Return runs in the order of their beginnings, the newest first."""
    return sorted(named, key=lambda one: (one.created, str(one.run.path)), reverse=True)


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return for each id its shortest end of at least six characters that no other one has; without it, the id."""
    found = {}
    backwards = sorted({one[::-1] for one in ids})
    for before, one, after in zip(["", *backwards], backwards, [*backwards[1:], ""], strict=False):
        length = max(SHORTEST, 1 + _common(one, before), 1 + _common(one, after))
        short = one[:length]
        if short.endswith("-"):  # would look like an option
            short = one[: length + 1]
        found[one[::-1]] = short[::-1]
    return found


def _common(one: str, other: str) -> int:
    """Return the length of the common beginning."""
    for length, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return length
    return min(len(one), len(other))


def _by_age(word: str, named: Sequence[Named]) -> list[Named] | None:
    """Return the run that a word names by its age, in a list; None if it does not name one so."""
    if (match := _NEWEST.fullmatch(word)) is not None:
        return list(named[int(match[1]) - 1 : int(match[1])]) if int(match[1]) else []
    start, colon, project = word.partition(":")
    if start != LATEST or (colon and not project):
        return None
    return [one for one in named if not colon or one.project == project][:1]


def _words(one: Named) -> list[str]:
    names = [one.id, *([] if one.name is None else [one.name])]
    return [*names, *(f"{one.project}/{name}" for name in names)]
