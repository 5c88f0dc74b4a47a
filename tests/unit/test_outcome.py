"""How a run ended, by the exception that ended it."""

import subprocess
import sys

import pytest

from accel_track.outcome import CRASHED, FINISHED, Outcome, current_outcome, outcome_at_exit, outcome_of


class SIGTERMException(SystemExit):
    """As Lightning's."""


class UnprintableError(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, FINISHED),
        (SystemExit(), FINISHED),
        (SystemExit(0), FINISHED),
        (SystemExit(2), Outcome("failed", "SystemExit: 2")),
        (SystemExit("no data"), Outcome("failed", "SystemExit: no data")),
        (SystemExit(143), Outcome("preempted", "SystemExit: 143")),
        (SIGTERMException(), Outcome("preempted", "SIGTERMException")),
        (KeyboardInterrupt(), Outcome("interrupted", "KeyboardInterrupt")),
        (ValueError("a\n  b"), Outcome("failed", "ValueError: a b")),
        (OSError("no https://me:secret@host/x"), Outcome("failed", "OSError: no https://***@host/x")),
        (UnprintableError(), Outcome("failed", "UnprintableError")),
    ],
)
def test_outcomes(error, outcome):
    assert outcome_of(error) == outcome


def test_long_reasons_are_cut():
    reason = outcome_of(ValueError("x" * 10_000)).reason
    assert reason is not None
    assert len(reason) == 500


def test_exit_codes():
    assert [Outcome(status).exit_code for status in ("finished", "failed", "interrupted", "preempted")] == [
        0,
        1,
        130,
        143,
    ]
    assert CRASHED.exit_code == 1


def test_the_exception_that_is_being_handled():
    assert current_outcome() == FINISHED
    try:
        int("x")
    except ValueError:
        assert current_outcome().status == "failed"
    assert current_outcome() == FINISHED


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("", "finished"),
        ("raise ValueError('x')", "failed"),
        ("raise KeyboardInterrupt", "interrupted"),
        ("exit(0)", "finished"),
    ],
)
def test_the_exception_that_ends_a_program(end, told):
    program = f"import atexit\nfrom accel_track.outcome import outcome_at_exit\natexit.register(lambda: print(outcome_at_exit()))\n{end}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert f"status='{told}'" in done.stdout


def test_an_earlier_error_of_a_notebook_is_none(monkeypatch):
    monkeypatch.setattr(sys, "last_value", ValueError("x"), raising=False)
    assert outcome_at_exit().status == "failed"
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert outcome_at_exit() == FINISHED
