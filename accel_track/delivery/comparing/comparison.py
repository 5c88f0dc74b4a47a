"""The comparison of one rank's journal with its backend run, into a receipt."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accel_track.delivery.comparing.content import ContentComparison
from accel_track.delivery.comparing.found import Found, FoundMedium
from accel_track.delivery.comparing.lacking import Lacking
from accel_track.delivery.comparing.likeness import Look
from accel_track.delivery.comparing.points import NO_STEP, Points, State, Verdict, compared, rounded
from accel_track.delivery.comparing.sent import Sent, Setting
from accel_track.delivery.ledger import refused, shown
from accel_track.journal import cursor as cursors
from accel_track.trackers.base import GeneralTracker
from accel_track.values.plain import is_number

if TYPE_CHECKING:
    from accel_track.delivery.receipt import Receipt
    from accel_track.delivery.sync import Sync
    from accel_track.journal.cursor import Cursor
    from accel_track.trackers.backend_run import BackendRun

_WRITING, _LOOK = 5.0, 0.05
"""Seconds that a backend may take to write down that a run has ended, and between two looks."""

_SHORTEST_CUT = 200
"""Characters that are left, at least, of a text that a backend has cut to its limit."""


def compare_rank(receipt: Receipt, sync: Sync, rank: int) -> None:
    """Compare the backend's content of one rank with the journal, and add the result to a receipt.

    Args:
        receipt: The receipt.
        sync: The run, and how to make the tracker.
        rank: Whose records.

    Raises:
        JournalError: A cursor or a segment is damaged.
        OSError: The run directory cannot be read.
    """
    run, name = sync.run, receipt.name
    # In this order: what is delivered and logged meanwhile is in the journal at last, as pending.
    cursor, aside = cursors.load(run.cursor(name, rank)), refused(run.quarantine(name, rank))
    with tempfile.TemporaryDirectory(prefix="accel_track-") as folder:
        scratch = [Path(folder, one) for one in ("sent", "found")]
        for one in scratch:
            one.mkdir()
        try:
            tracker = sync.build(name, rank)
            found = Found(_read(tracker, cursor), scratch[1]) if cursor.seq else None
        except Exception as error:  # noqa: BLE001 - a constructor, or an SDK's reader
            receipt.error = shown(error).removeprefix("NotReadableError: ").removeprefix(f"{name}: ")
            return
        sent = Sent(run.rank(rank), name, tracker, cursor, aside, scratch[0])
        receipt.pending += sent.pending
        receipt.quarantined += sent.aside
        if sent.damaged:
            receipt.uncompared["damaged bytes of the journal"] += sent.damaged
        if found is not None:
            found.known_as(sent)
            _Comparison(receipt, tracker, sent, found, receipt.lacking.setdefault(rank, Lacking())).run()


def _read(tracker: GeneralTracker, cursor: Cursor) -> BackendRun:
    """Return the backend run; where it was told that it has ended, once it knows that.

    wandb's service writes for a moment after the end of a run.
    """
    deadline = time.monotonic() + _WRITING
    while True:
        run = tracker.read()
        ends = tracker.keeps_status and cursor.status and run.outcome is None
        if not ends or time.monotonic() > deadline:
            return run
        time.sleep(_LOOK)


class _Comparison(ContentComparison):
    """One rank's comparison."""

    def run(self) -> None:
        """Compare values, media, artifacts and hyperparameters."""
        texts = self._values()
        self.compare_media(texts)
        self.compare_artifacts()
        self._settings()
        receipt, sent = self.receipt, self.sent
        receipt.by_design.update({f"{what} that it does not take": count for what, count in (+sent.refused).items()})
        receipt.by_design["values that its rules leave out"] += sent.left_out
        receipt.by_design["equal values of a step and a millisecond, which it keeps once"] += sent.again
        receipt.uncompared.update(+sent.uncompared)
        receipt.unread.update(self.found.lost)

    def _values(self) -> list[FoundMedium]:
        """Compare numbers and texts; return texts that are nobody's, which may be a medium's."""
        sent, design, over = self.sent, self.receipt.by_design, list[FoundMedium]()
        for mine, theirs in ((sent.numbers, self.found.numbers), (sent.texts, self.found.texts)):
            for name in dict.fromkeys((*mine, *theirs)):
                numbers = mine is sent.numbers
                none = Points("d" if numbers else "q")
                own, other = mine.get(name, none), theirs.get(name, none)
                precision = self.tracker.precision if numbers else 0.0
                verdict = compared(own, other, precision, first=self.tracker.keeps_of_a_step == "first")
                self._judge(name, own, verdict)
                design["values that the run went back over, which are still there"] += verdict.undone
                if precision:
                    design["numbers rounded to 32 bits"] += rounded(own)
                places = np.flatnonzero(verdict.extra)
                steps = np.array(other.steps)[places].tolist()
                if not numbers:
                    marks = np.array(other.values)[places].tolist()
                    over += [_text(name, step, mark) for step, mark in zip(steps, marks, strict=True)]
                elif name in sent.of_histograms:
                    design["numbers that stand for histograms"] += len(steps)
                elif name not in sent.free:
                    self.receipt.values.extra.add(name, steps)
        return over

    def _judge(self, name: str, own: Points, verdict: Verdict) -> None:
        """Count the values of one name."""
        user, tally, design = self.sent.names.get(name, name), self.receipt.values, self.receipt.by_design
        steps, seqs, states = (np.array(one) for one in (own.steps, own.seqs, own.states))
        tally.sent += int(np.sum(states == State.DUE)) - verdict.replaced
        keeps = self.tracker.keeps_of_a_step
        design[f"values of a step of which it keeps the {keeps}"] += (
            int(np.sum(states == State.UNKEPT)) + verdict.replaced
        )
        design["values without a step, for which it chooses one"] += int(
            np.sum((states == State.DUE) & (steps == NO_STEP) & ~verdict.missing)
        )
        missing = np.flatnonzero(verdict.missing)
        dropped = self.sent.excused(user, len(missing))
        tally.sent -= dropped
        self.receipt.dropped.add(user, steps[missing[:dropped]].tolist())
        tally.missing.add(user, steps[missing[dropped:]].tolist())
        tally.differing.add(user, steps[verdict.differing].tolist())
        if keeps == "first":  # without a step, it would be given one that another value may have
            missing = missing[steps[missing] != NO_STEP]
        if dropped < len(missing):  # which of them the tracker has dropped is not known
            self.lacking.add_values(name, seqs[missing])
        if keeps != "first":
            self.lacking.add_values(name, seqs[verdict.differing])

    def _settings(self) -> None:
        tally, found = self.receipt.settings, self.found.settings
        for name, setting in self.sent.settings.items():
            if self.lacks("config"):
                continue
            tally.sent += 1
            there = [found[one] for one in (name, self.sent.stored_name(name)) if one in found]
            if there and self._is_setting(setting, there[0]):
                continue
            if self.sent.setting_dropped(name):
                tally.sent -= 1
                self.receipt.dropped.add(name, [None])
                continue
            (tally.differing if there else tally.missing).add(name, [None])
            self.lacking.settings.setdefault(setting.seq, set()).add(name)

    def _is_setting(self, sent: Setting, found: Any) -> bool:
        if _same_setting(sent.value, found, self.tracker.precision):
            return True
        is_cut = isinstance(found, str) and len(found) >= _SHORTEST_CUT and str(sent.value).startswith(found)
        self.receipt.by_design["texts of hyperparameters that it has cut"] += is_cut
        return is_cut


def _text(name: str, step: int, mark: int) -> FoundMedium:
    look = Look(frozenset([int(mark).to_bytes(8, "little", signed=True)]))
    return FoundMedium(name, None if step == NO_STEP else step, look, is_text=True)


def _same_setting(sent: Any, found: Any, precision: float) -> bool:
    """Compare hyperparameters: numbers as numbers, the rest as text, which is all that many backends store."""
    if (number := _number(sent)) is not None and (other := _number(found)) is not None:
        return math.isclose(number, other, rel_tol=precision) or (math.isnan(number) and math.isnan(other))
    if isinstance(sent, str) and not sent.startswith("["):
        return str(found).strip('"') == sent.strip('"')
    texts = [str(value).replace("'", '"').replace(" ", "").lower() for value in (sent, found)]
    return texts[0] == texts[1] or (sent is None and texts[1] in ("", "null"))


def _number(value: Any) -> float | None:
    try:
        return float(value) if is_number(value) or isinstance(value, str) else None
    except ValueError:
        return None
