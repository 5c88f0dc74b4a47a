"""The goals, and whether they are met."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks._case import Result

Results = dict[str, dict[str, Result]]
Place = tuple[str, str, str]
"""Script, case and column."""


@dataclass(frozen=True)
class Goal:
    """A limit for a value, or for the ratio of two values of the same run.

    Attributes:
        key: Names it in `reasons.yaml`.
        what: What is compared with what, as the page names its rows and columns.
        value: The value, or the ratio's upper part.
        per: The ratio's lower part, or None.
        least: The limit, where it must not be less.
        most: The limit, where it must not be more.
        unit: Of the limit and of what is measured.
    """

    key: str
    what: str
    value: Place
    per: Place | None = None
    least: float | None = None
    most: float | None = None
    unit: str = "x"

    @property
    def limit(self) -> str:
        """Return the limit as a text."""
        return f"≥ {self.least:,g} {self.unit}" if self.least is not None else f"≤ {self.most:,g} {self.unit}"

    def measured(self, results: Results) -> float | None:
        """Return what was measured, or None where a value is missing or its payload is wrong."""
        found = self.found(results)
        if len(found) != 1 + (self.per is not None) or (self.per is not None and found[1] <= 0):
            return None
        scale = 100 if self.unit == "%" else 1
        return found[0] * scale / (1 if self.per is None else found[1])

    def found(self, results: Results) -> list[float]:
        """Return the value and what it is compared with, so far as they were measured."""
        values = [_value(results, place) for place in (self.value, self.per) if place is not None]
        return [value for value in values if value is not None]

    def spread(self, results: Results) -> tuple[float, float] | None:
        """Return the least and the most that a round has, or None where the values have not as many rounds."""
        rounds = [_rounds(results, place) for place in (self.value, self.per) if place is not None]
        if len({len(found) for found in rounds}) != 1 or len(rounds[0]) < 2:  # noqa: PLR2004
            return None
        scale = 100 if self.unit == "%" else 1
        found = [scale * values[0] / (values[1] if self.per else 1) for values in zip(*rounds, strict=True)]
        return min(found), max(found)

    def met(self, measured: float) -> bool:
        """Whether a measured value keeps the limit."""
        return measured >= self.least if self.least is not None else measured <= (self.most or 0.0)


def _value(results: Results, place: Place) -> float | None:
    script, case, column = place
    result = results.get(script, {}).get(case)
    return None if result is None else result.value(column)


def _rounds(results: Results, place: Place) -> list[float]:
    script, case, column = place
    result = results.get(script, {}).get(case)
    return [] if result is None else [values[column] for values in result.rounds if column in values]


def _cheaper(key: str, ours: str, peer: str, column: str, least: float) -> Goal:
    value, per = ("call_cost", peer, column), ("call_cost", ours, column)
    return Goal(f"call-{key}-{column}", f"{column}: {peer} / {ours}", value, per, least)


def _ours(column: str, shown: str, most: float) -> Goal:
    value = ("call_cost", "logger tensorboard", column)
    return Goal(f"call-{column}", f"{shown}: logger tensorboard", value, most=most, unit="µs")


def _rate(key: str, backend: str, peer: str, least: float) -> Goal:
    value, per = ("throughput", f"facade {backend}", "rate"), ("throughput", f"{peer} {backend}", "rate")
    return Goal(f"rate-{key}", f"facade {backend} / {peer} {backend}", value, per, least)


def _tax(key: str, case: str) -> Goal:
    per = ("step_tax", "PL tensorboard", "extra")
    return Goal(key, f"{case} / PL tensorboard", ("step_tax", case, "extra"), per, most=5, unit="%")


def _medium(column: str, shown: str, backend: str, least: float) -> Goal:
    value, per = ("media", f"raw {backend}", column), ("media", f"facade {backend}", column)
    return Goal(f"media-{column}-{backend}", f"{shown}: raw {backend} / facade {backend}", value, per, least)


def _nine(key: str, mode: str, column: str) -> Goal:
    value, per = (("call_cost", f"logger {which}{mode}", column) for which in ("nine trackers", "tensorboard"))
    return Goal(f"nine-{key}-{column}", f"{column}: {value[1]} / {per[1]}", value, per, most=1.1)


def _growth(key: str, case: str, shown: str, column: str = "growth", most: float = 1.25, unit: str = "x") -> Goal:
    return Goal(f"growth-{key}", shown, ("journal", f"growth: {case}", column), most=most, unit=unit)


QUEUE = "PL tensorboard max_queue=1000"
"""A longer queue than the default lets single calls return earlier; the work is the same."""

_FITS = "logger tensorboard"

GOALS = (
    _cheaper("logger-tensorboard", "logger tensorboard", "PL tensorboard", "hot", 100),
    _cheaper("logger-tensorboard", "logger tensorboard", "PL tensorboard", "cold", 30),
    _cheaper("logger-tensorboard", "logger tensorboard", "PL tensorboard", "busy", 30),
    _ours("hot", "hot", 2),
    _ours("busy", "busy", 5),
    _ours("busy_most", "busy, slowest of 10,000", 200),
    _ours("background", "background", 5),
    *[
        _cheaper("queue-tensorboard", "logger tensorboard", QUEUE, column, least)
        for column, least in (("hot", 100), ("cold", 30))
    ],
    _cheaper("facade-tensorboard", "facade tensorboard", "HF tensorboard", "hot", 60),
    _cheaper("facade-tensorboard", "facade tensorboard", "HF tensorboard", "cold", 20),
    _cheaper("logger-wandb", "logger wandb", "PL wandb", "hot", 40),
    _cheaper("logger-comet", "logger comet", "PL comet", "hot", 40),
    _cheaper("logger-mlflow", "logger mlflow", "PL mlflow", "hot", 2000),
    *[_nine("thread", "", column) for column in ("hot", "cold")],
    *[_nine("process", " (process)", column) for column in ("hot", "cold")],
    _rate("tensorboard-PL", "tensorboard", "PL", 25),
    _rate("tensorboard-raw", "tensorboard", "raw", 25),
    _rate("mlflow", "mlflow", "PL", 5),
    _rate("mlflow-http", "mlflow-http", "PL", 8),
    *[
        _rate(backend, backend, "raw", 0.9)
        for backend in ("wandb", "comet_ml", "aim", "clearml", "dvclive", "swanlab", "trackio")
    ],
    _tax("tax-tensorboard", "logger tensorboard"),
    _tax("tax-nine-process", "logger nine trackers (process)"),
    Goal(
        "fit-tensorboard",
        "logger tensorboard / no-op logger",
        ("lightning_fit", "logger tensorboard", "extra"),
        ("lightning_fit", "no-op logger", "extra"),
        most=1.5,
    ),
    Goal("journal-bytes", "a record", ("journal", "records of 10 scalars", "bytes"), most=100, unit="bytes"),
    Goal("journal-read", "reading", ("journal", "records of 10 scalars", "read"), least=500_000, unit="records/s"),
    _growth("records", "records", "a call at the end / at the beginning of 10 million records"),
    _growth("memory", "records", "growth of memory over 10 million records", "memory", 16, "MiB"),
    _growth("names", "names", "a call with 10,000 names in turns / with 20", most=1.1),
    _growth("other-names", "other names", "a call with other names each time, of 10,000 / with 20", most=1.1),
    _growth("wide", "metrics per call", "a metric of a call with 1,000 / with 10"),
    Goal("start-import", "import accel_track", ("startup", "import accel_track", "ms"), most=50, unit="ms"),
    Goal("start-construct", "AccelTrackLogger(...)", ("startup", "AccelTrackLogger(...)", "ms"), most=5, unit="ms"),
    Goal("fits-memory", "memory of a fit", ("many_fits", _FITS, "kB"), most=20, unit="kB"),
    Goal("fits-descriptors", "descriptors after 1,000 fits", ("many_fits", _FITS, "files"), most=8, unit="more"),
    *[
        _medium(column, shown, backend, 10)
        for column, shown, backends in (
            ("image", "image", ("tensorboard", "wandb", "mlflow")),
            ("images", "16 images", ("tensorboard", "wandb", "mlflow")),
            ("table", "table", ("wandb", "mlflow")),
            ("histogram", "histogram", ("tensorboard", "wandb")),
        )
        for backend in backends
    ],
    Goal("media-bytes", "image on the disk / its PNG", ("media", "facade tensorboard", "bytes"), most=1),
    Goal("fits-threads", "threads after 1,000 fits", ("many_fits", _FITS, "threads"), most=2, unit="more"),
)
