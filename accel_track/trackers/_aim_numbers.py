"""Write many numbers to a local Aim run at once."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

Number = tuple[str, int | float, int | None, float]
"""Name, value, step, and wall-clock time in seconds."""

# What Aim calls the types of numbers; a sequence that holds both is one of "number".
_TYPES: dict[type, str] = {int: "int", float: "float"}
_MIXED = "number"

_VERSION = 2
"""How Aim keeps sequences of numbers since its version 3.19."""


class Numbers:
    """Stores numbers of a run as `Run.track` does, but with the time of the call that logged them, and many at once.

    `Run.track` writes a number in eight steps, each of which first deletes what it replaces. Here all numbers of a
    batch are one step, and what Aim keeps of a whole sequence (the last, least and greatest value) is written once.

    Args:
        run: An `aim.Run`.
    """

    def __init__(self, run: Any) -> None:
        """Find Aim's own tracker in the run."""
        from aim.storage.context import Context

        encoding: Any = importlib.import_module("aim.storage.encoding")  # compiled, so mypy finds nothing in it
        self._encode, self._encode_path = encoding.encode, encoding.encode_path
        self._tracker = run._tracker  # noqa: SLF001 - no public way to it
        self._context = Context({}).idx

    @classmethod
    def of(cls, run: Any) -> Numbers | None:
        """Return one for a run; None where Aim writes to a server or from a thread of its own, or is another version.

        Where it is another version, it is found out here and not in the middle of a run.
        """
        try:
            numbers = cls(run)
            tracker = numbers._tracker
            own_thread = tracker._non_blocking  # noqa: SLF001
            as_known = callable(tracker._track) and tracker.sequence_infos is not None  # noqa: SLF001
        except (AttributeError, ImportError):
            return None
        return numbers if as_known and not own_thread and not run.repo.is_remote_repo else None

    def track(self, value: Any, name: str, step: int | None, moment: float, **kwargs: Any) -> None:
        """Do what `Run.track` does, which knows no other time than the present."""
        self._tracker._track(value, moment, name, step, **kwargs)  # noqa: SLF001

    def fits(self, name: str, value: Any) -> bool:
        """Whether `write` can add a value to the sequence of that name: one that holds numbers of its type already."""
        sequence = self._tracker.sequence_infos.get((self._context, name))
        if sequence is None or not sequence.initialized or sequence.version != _VERSION:
            return False
        return type(value) in _TYPES and sequence.dtype in (_TYPES[type(value)], _MIXED)

    def write(self, numbers: Sequence[Number]) -> None:
        """Store numbers that fit, all of them or, when it raises, none that Aim would read."""
        if not numbers:
            return
        known: dict[str, _Sequence] = {}
        common: dict[tuple[int, float], tuple[bytes, bytes, bytes]] = {}
        no_epoch = self._encode(None)
        container = self._tracker.series_run_trees[_VERSION].container
        batch = container.batch()
        for name, value, given, moment in numbers:
            sequence = known.get(name)
            if sequence is None:
                sequence = known[name] = _Sequence(self._tracker.sequence_infos[self._context, name])
            step = sequence.add(value, given)
            if (place := common.get((step, moment))) is None:
                key = self._encode_path((sequence.info.step_hash_fn(step),))
                place = common[step, moment] = (key, self._encode(moment), self._encode(step))
            key, time, at = place
            for view, item in zip(sequence.views, (self._encode(value), no_epoch, time, at), strict=True):
                view.set(key, item, store_batch=batch)
        container.commit(batch)
        for name, sequence in known.items():
            traces = self._tracker.meta_run_tree.subtree(("traces", self._context, name))
            for what, value in sequence.changes():
                traces[what] = value


class _Sequence:
    """What Aim keeps of a whole sequence, with the numbers of a batch added to it."""

    def __init__(self, info: Any) -> None:
        self.info = info
        self.views = [view.tree.container for view in (info.val_view, info.epoch_view, info.time_view, info.step_view)]
        self._count = info.count
        self._last: float | None = None
        self._least, self._greatest = info.min, info.max

    def add(self, value: float, step: int | None) -> int:
        """Count a value, and return its step."""
        step = self._count if step is None else step
        if step >= self._count:
            self._count, self._last = step + 1, value
        self._greatest = max(self._greatest, value)  # NaN is neither
        self._least = min(self._least, value)
        return step

    def changes(self) -> list[tuple[str, Any]]:
        """Tell Aim's own tracker, and return what its files do not have yet."""
        news = [("last", self._last), ("last_step", self._count - 1)] if self._count > self.info.count else []
        news += [("max", self._greatest)] if self._greatest > self.info.max else []
        news += [("min", self._least)] if self._least < self.info.min else []
        self.info.count, self.info.max, self.info.min = self._count, self._greatest, self._least
        return news
