"""Aim's fast path: many numbers for a local run at once, and values with the time of the call that logged them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from accel_track.trackers.aim.values import trackable
from accel_track.trackers.fast import FastPath, UnfitError

Number = tuple[str, int | float, int | None, float]
"""Name, value, step, and wall-clock time in seconds."""

# What Aim calls the types of numbers; a sequence that holds both is one of "number".
_TYPES: dict[type, str] = {int: "int", float: "float"}
_MIXED = "number"
_VERSION = 2  # of how Aim keeps sequences of numbers, since its release 3.19


class NumbersPath(FastPath):
    """The numbers of a run, stored as by `Run.track`, but with the time of their call, and many at once.

    `Run.track` writes a number in eight steps, each of which first deletes what it replaces. Here all numbers of a
    batch are one step, and what Aim keeps of a whole sequence (the last, least and greatest value) is written once.
    """

    distribution = "aim"
    tested = "==3.29.*"
    parts = ("aim.storage.encoding:encode", "aim.storage.encoding:encode_path", "aim.storage.context:Context")
    attributes = (
        "_tracker._track",
        "_tracker._non_blocking",
        "_tracker.sequence_infos",
        "_tracker.series_run_trees",
        "_tracker.meta_run_tree",
    )

    def __init__(self, native: Any) -> None:
        """Keep Aim's own tracker, and look at how it keeps numbers."""
        super().__init__(native)
        from aim.storage.context import Context

        encoding: Any = importlib.import_module("aim.storage.encoding")  # compiled, so mypy finds nothing in it
        tracker = native._tracker  # noqa: SLF001 - no public way to it
        self._encode, self._encode_path = encoding.encode, encoding.encode_path
        self._track, self._infos, self._meta = tracker._track, tracker.sequence_infos, tracker.meta_run_tree  # noqa: SLF001
        if _VERSION not in tracker.series_run_trees:
            message = f"it keeps sequences in the versions {sorted(tracker.series_run_trees)}"
            raise UnfitError(message)
        self._container = tracker.series_run_trees[_VERSION].container
        self._context = Context({}).idx

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Return whether Aim writes to a disk, and not from a thread of its own."""
        return not native.repo.is_remote_repo and not native._tracker._non_blocking  # noqa: SLF001

    def track(self, moment: float, **arguments: Any) -> bool:
        """Do the work of `Run.track`, which knows no other time than the present."""
        self._track(track_time=moment, **arguments)
        return True

    def others(self, values: Mapping[str, Any]) -> list[str]:
        """Return the names of the values that `store` cannot add to a sequence that holds numbers of their type."""
        return [name for name, value in values.items() if not self._fits(name, value)]

    def _fits(self, name: str, value: Any) -> bool:
        sequence = self._infos.get((self._context, name))
        if sequence is None or not sequence.initialized or sequence.version != _VERSION:
            return False
        kind = type(value)
        fits = kind is float or (kind is int and trackable(value) is value)
        return fits and sequence.dtype in (_TYPES[kind], _MIXED)

    def prepare(self, numbers: Sequence[Number]) -> Any:
        """Return a batch of what numbers that fit become in Aim's files."""
        known: dict[str, _Sequence] = {}
        common: dict[tuple[int, float], tuple[bytes, bytes, bytes]] = {}
        no_epoch = self._encode(None)
        writes = self._container.batch()
        for name, value, given, moment in numbers:
            sequence = known.get(name)
            if sequence is None:
                sequence = known[name] = _Sequence(self._infos[self._context, name])
            step = sequence.add(value, given)
            if (place := common.get((step, moment))) is None:
                key = self._encode_path((sequence.info.step_hash_fn(step),))
                place = common[step, moment] = (key, self._encode(moment), self._encode(step))
            key, time, at = place
            for view, item in zip(sequence.views, (self._encode(value), no_epoch, time, at), strict=True):
                view.set(key, item, store_batch=writes)
        traces = [(self._meta.subtree(("traces", self._context, name)), sequence) for name, sequence in known.items()]
        return self._container.commit, writes, traces

    def store(self, ready: Any) -> None:
        """Store the calls, all of them or, if it raises, none that Aim would read."""
        commit, writes, sequences = ready
        commit(writes)
        for traces, sequence in sequences:
            for what, value in sequence.changes():
                traces[what] = value


class _Sequence:
    """The facts that Aim keeps of a whole sequence, with the numbers of a batch added to it."""

    def __init__(self, info: Any) -> None:
        self.info = info
        self.views = [view.tree.container for view in (info.val_view, info.epoch_view, info.time_view, info.step_view)]
        self._count: Any = info.count
        self._last: float | None = None
        self._least, self._greatest = info.min, info.max

    def add(self, value: float, step: int | None) -> int:
        """Count a value, and return its step."""
        step = int(self._count) if step is None else step
        if step >= self._count:
            self._count, self._last = step + 1, value
        self._greatest = max(self._greatest, value)  # NaN is neither
        self._least = min(self._least, value)
        return step

    def changes(self) -> list[tuple[str, Any]]:
        """Tell Aim's own tracker, and return the changes that its files do not have yet."""
        news = [("last", self._last), ("last_step", self._count - 1)] if self._count > self.info.count else []
        news += [("max", self._greatest)] if self._greatest > self.info.max else []
        news += [("min", self._least)] if self._least < self.info.min else []
        self.info.count, self.info.max, self.info.min = self._count, self._greatest, self._least
        return news
