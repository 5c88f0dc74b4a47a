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
        what: What is compared with what.
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
        return f">= {self.least:,g} {self.unit}" if self.least is not None else f"<= {self.most:,g} {self.unit}"

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


def _cheaper(key: str, what: str, ours: str, peer: str, column: str, least: float) -> Goal:
    value, per = ("call_cost", peer, column), ("call_cost", ours, column)
    return Goal(f"call-{key}-{column}", f"{what}, {column}: times cheaper than {peer}", value, per, least)


def _ours(column: str, what: str, most: float) -> Goal:
    return Goal(f"call-{column}", what, ("call_cost", "logger tensorboard", column), most=most, unit="µs")


def _rate(key: str, backend: str, peer: str, least: float) -> Goal:
    value, per = ("throughput", f"facade {backend}", "rate"), ("throughput", f"{peer} {backend}", "rate")
    return Goal(f"rate-{key}", f"calls/s end to end, {backend}: times {peer}", value, per, least)


def _tax(key: str, case: str) -> Goal:
    per = ("step_tax", "PL tensorboard", "extra")
    return Goal(key, f"step tax, {case}: of PL tensorboard's", ("step_tax", case, "extra"), per, most=5, unit="%")


def _medium(column: str, what: str, backend: str, least: float) -> Goal:
    value, per = ("media", f"raw {backend}", column), ("media", f"facade {backend}", column)
    return Goal(f"media-{column}-{backend}", f"{what}: times cheaper than the SDK's, {backend}", value, per, least)


def _nine(key: str, mode: str, column: str) -> Goal:
    value, per = (("call_cost", f"logger {which}{mode}", column) for which in ("nine trackers", "tensorboard"))
    what = f"call, nine trackers{mode}, {column}: times one tracker"
    return Goal(f"nine-{key}-{column}", what, value, per, most=1.1)


def _growth(key: str, case: str, what: str, column: str = "growth", most: float = 1.25, unit: str = "x") -> Goal:
    return Goal(f"growth-{key}", what, ("journal", f"growth: {case}", column), most=most, unit=unit)


QUEUE = "PL tensorboard max_queue=1000"
"""A longer queue than the default lets single calls return earlier; the work is the same."""

_FITS = "logger tensorboard"

GOALS = (
    _cheaper("logger-tensorboard", "call, Logger, TensorBoard", "logger tensorboard", "PL tensorboard", "hot", 100),
    _cheaper("logger-tensorboard", "call, Logger, TensorBoard", "logger tensorboard", "PL tensorboard", "cold", 30),
    _cheaper("logger-tensorboard", "call, Logger, TensorBoard", "logger tensorboard", "PL tensorboard", "busy", 30),
    _ours("hot", "call, Logger, TensorBoard, hot", 2),
    _ours("busy", "call, Logger, TensorBoard, busy", 5),
    _ours("busy_most", "call, Logger, TensorBoard, busy: the slowest of 10,000", 200),
    _ours("background", "CPU time of TensorBoard's worker, a record", 5),
    *[
        _cheaper("queue-tensorboard", "call, Logger, TensorBoard", "logger tensorboard", QUEUE, column, least)
        for column, least in (("hot", 100), ("cold", 30))
    ],
    _cheaper("facade-tensorboard", "call, facade, TensorBoard", "facade tensorboard", "HF tensorboard", "hot", 60),
    _cheaper("facade-tensorboard", "call, facade, TensorBoard", "facade tensorboard", "HF tensorboard", "cold", 20),
    _cheaper("logger-wandb", "call, Logger, wandb", "logger wandb", "PL wandb", "hot", 40),
    _cheaper("logger-comet", "call, Logger, Comet", "logger comet", "PL comet", "hot", 40),
    _cheaper("logger-mlflow", "call, Logger, MLflow on SQLite", "logger mlflow", "PL mlflow", "hot", 2000),
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
        "overhead of a Lightning fit, TensorBoard: times a no-op logger's",
        ("lightning_fit", "logger tensorboard", "extra"),
        ("lightning_fit", "no-op logger", "extra"),
        most=1.5,
    ),
    Goal(
        "journal-bytes",
        "journal, a record of 10 scalars",
        ("journal", "records of 10 scalars", "bytes"),
        most=100,
        unit="bytes",
    ),
    Goal(
        "journal-read", "journal, reader", ("journal", "records of 10 scalars", "read"), least=500_000, unit="records/s"
    ),
    _growth("records", "records", "cost per call, 10 million records: end to beginning"),
    _growth("memory", "records", "memory, 10 million records: growth", "memory", 16, "MiB"),
    _growth("names", "names", "cost per call, 10,000 names: to 20 names", most=1.1),
    _growth("other-names", "other names", "cost per call, always others of 10,000 names: to 20 names", most=1.1),
    _growth("wide", "metrics per call", "cost per metric, 1,000 per call: to 10 per call"),
    Goal("start-import", "import accel_track", ("startup", "import accel_track", "ms"), most=50, unit="ms"),
    Goal("start-construct", "AccelTrackLogger(...)", ("startup", "AccelTrackLogger(...)", "ms"), most=5, unit="ms"),
    Goal("fits-memory", "1,000 fits, memory of each", ("many_fits", _FITS, "kB"), most=20, unit="kB"),
    Goal("fits-descriptors", "1,000 fits, descriptors more", ("many_fits", _FITS, "files"), most=8, unit=""),
    *[
        _medium(column, what, backend, 10)
        for column, what, backends in (
            ("image", "call, image of 512 x 512", ("tensorboard", "wandb", "mlflow")),
            ("images", "call, 16 images of 64 x 64", ("tensorboard", "wandb", "mlflow")),
            ("table", "call, table of 1,000 x 10", ("wandb", "mlflow")),
            ("histogram", "call, histogram of a million", ("tensorboard", "wandb")),
        )
        for backend in backends
    ],
    Goal("media-bytes", "image on the disk, of its PNG", ("media", "facade tensorboard", "bytes"), most=1),
    Goal("fits-threads", "1,000 fits, threads more", ("many_fits", _FITS, "threads"), most=2, unit=""),
)
