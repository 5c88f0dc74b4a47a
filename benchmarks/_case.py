"""What is measured: a case, what a process finds for it, and what a case says that cannot be measured here."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("call_cost", "step_tax", "throughput", "lightning_fit", "journal", "startup", "many_fits", "media")
BACKENDS = ("tensorboard", "wandb", "comet_ml", "mlflow", "aim", "clearml", "dvclive", "swanlab", "trackio")


class Gap(Exception):  # noqa: N818 - no error: a peer that is not installed, a feature that is not there
    """Says why a case cannot be measured here."""


@dataclass(frozen=True)
class Case:
    """One row of a table, measured in processes of its own.

    Attributes:
        script: The module that measures it.
        name: What the row is called, unique in its script.
        system: "logger" or "facade" (ours), "PL", "HF", "raw", or what else the script knows.
        backend: A name of `BACKENDS`, "mlflow-http", "csv", "nine" for all of `BACKENDS`, or several
            joined with "+".
        delivery: How ours delivers.
        against: The case that the row's ratio is to.
        quick: Whether it is part of the short form.
        once: Whether one round is enough.
    """

    script: str
    name: str
    system: str = ""
    backend: str = ""
    delivery: str = "thread"
    against: str = ""
    quick: bool = False
    once: bool = False


@dataclass
class Measured:
    """What one process has found.

    Attributes:
        values: Measured values by the column's name.
        expected: How many values were logged.
        counted: How many of them the backend's reader found, each once.
        doubled: How many it found more than once.
    """

    values: dict[str, float]
    expected: int = 0
    counted: int = 0
    doubled: int = 0

    @property
    def problem(self) -> str | None:
        """Return what is wrong with the payload, or None."""
        if self.counted != self.expected:
            return f"payload: {self.counted} of {self.expected} values were stored"
        return f"payload: {self.doubled} values were stored twice" if self.doubled else None


@dataclass
class Result:
    """What all rounds have found for one case.

    Attributes:
        rounds: One dictionary of values for each round.
        expected: As in `Measured`, of the last round.
        counted: As in `Measured`, of the last round.
        error: Why there is nothing to compare, or None.
        skipped: Why it was not measured, or None.
    """

    rounds: list[dict[str, float]] = field(default_factory=list)
    expected: int = 0
    counted: int = 0
    error: str | None = None
    skipped: str | None = None

    def add(self, measured: Measured) -> None:
        """Take a round's findings."""
        self.rounds.append(measured.values)
        self.expected, self.counted = measured.expected, measured.counted
        self.error = self.error or measured.problem

    def value(self, column: str) -> float | None:
        """Return the median over the rounds, or None where the case has no comparable value."""
        found = sorted(values[column] for values in self.rounds if column in values)
        if self.error is not None or not found:
            return None
        middle = len(found) // 2
        return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2

    def as_json(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return asdict(self)


def script(name: str) -> ModuleType:
    """Return a script's module, which has `TITLE`, `COLUMNS`, `MAIN`, `CASES` and `run`."""
    return importlib.import_module(f"benchmarks.{name}")


def cases(name: str) -> list[Case]:
    """Return a script's cases."""
    found: list[Case] = script(name).CASES
    return found
