"""Rows of numbers that are imported together: the journal has exactly what it would have had row by row."""

import csv
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from accel_track.importers.filling import Filling
from accel_track.importers.importer import Importer
from accel_track.importers.registry import source_class
from accel_track.importers.rows import BatchedRun, Rows
from accel_track.journal.past import PastWriter
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics
from tests.support.runs import only_run

_CELLS = st.one_of(
    st.floats(width=64),
    st.integers(-(2**60), 2**60),
    st.sampled_from(["nan", "-inf", "1_000", "text", "", "1e5", " 7 ", "0x10", "９"]),  # noqa: RUF001 - a digit, too
)
_STEPS = st.one_of(st.integers(0, 2**33), st.sampled_from(["-1", "", "1.0", "x", "4294967295", "99999999999999999999"]))
_TIMES = st.one_of(st.floats(1e9, 2e9), st.sampled_from(["", "0", "-5", "1e12", "nan", "2026-01-02T03:04:05Z"]))


def journal(folder: Path) -> list[tuple[int, float, dict[str, Any], int | None]]:
    records = [one for one in JournalReader(folder) if isinstance(one, Metrics)]
    return [(one.seq, one.time, one.values, one.step) for one in records]


def alike(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # NaN, and 1 beside 1.0


def imported(run: BatchedRun, folder: Path, *, together: bool) -> list[tuple[int, float, dict[str, Any], int | None]]:
    filling = Filling(folder, 1.5e9, [])
    filling.fill(run.batches() if together else run.records(folder), lambda _: None, 10**9)
    filling.close()
    return journal(folder)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(_STEPS, _TIMES, _CELLS, _CELLS), max_size=30),
    left=st.sets(st.sampled_from(["step", "time"])),
)
def test_a_table_of_anything(rows: list[tuple[Any, ...]], left: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as name, monkeypatch.context() as patch:
        patch.setattr("accel_track.importers.csv_table._AT_ONCE", 4)
        folder = Path(name)
        names = ["step", "time", "a", "b"]
        places = [place for place, one in enumerate(names) if one not in left]
        with open(folder / "t.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[row[place] for place in places] for row in [names, *rows]])
        found = []
        for together in (True, False):
            if not together:
                patch.setattr("accel_track.importers.csv_table._rows", lambda *_: None)
            run = next(iter(source_class("csv")(str(folder / "t.csv")).runs()), None)
            if run is None:
                return
            assert isinstance(run, BatchedRun)
            found.append((imported(run, folder / str(together), together=together), dict(run.lost)))
        assert alike(*found)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(_CELLS, _STEPS, _CELLS, _CELLS), max_size=30))
def test_logs_of_anything(rows: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's CSV logs likewise, of which cells are empty in turns."""
    with tempfile.TemporaryDirectory() as name, monkeypatch.context() as patch:
        patch.setattr("accel_track.importers.csv_logs._AT_ONCE", 4)
        folder = Path(name)
        with open(folder / "metrics.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["epoch", "step", "a", "b"], *rows])
        found = []
        for together in (True, False):
            if not together:
                patch.setattr("accel_track.importers.csv_logs._numbers", lambda _: None)
            (run,) = source_class("csv_logs")(name).runs()
            assert isinstance(run, BatchedRun)
            found.append((imported(run, folder / str(together), together=together), dict(run.lost)))
        assert alike(*found)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_thousands_of_rows_over_several_segments(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its step, time and values, those that fit together and those that do not."""
    init = PastWriter.__init__

    def small(writer: PastWriter, folder: Path, moment: float) -> None:
        init(writer, folder, moment)
        writer._limit = 50_000

    monkeypatch.setattr(PastWriter, "__init__", small)
    numbers = np.random.default_rng(0).normal(size=(7000, 2))
    numbers[3000, 1] = math.nan
    numbers[5000, 0] = math.inf
    steps = np.arange(7000) * 3
    times = 1.6e9 + np.arange(7000) / 4
    times[4000:4010] = 1.2e9  # a clock that was wrong for a while
    table = pa.table({"step": steps, "time": times, "a": numbers[:, 0], "b": numbers[:, 1], "n": steps + 1})
    place = tmp_path / f"t.{kind}"
    if kind == "parquet":
        parquet.write_table(table, place)
    else:
        with open(place, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table.column_names)
            writer.writerows(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    source = source_class(kind)(str(place))
    (run,) = source.runs()
    found = Importer(tmp_path / "runs").take(source, run)
    assert (found.state, found.values, dict(found.lost)) == ("imported", 21_000, {})
    kept = only_run(tmp_path)
    assert len(list(kept.rank().glob("*.seg"))) > 3
    records = journal(kept.rank())
    assert [seq for seq, *_ in records] == list(range(7000))
    kinds = int if kind == "parquet" else float  # a text file does not tell
    for (_, moment, values, step), wanted in zip(records, zip(steps, times, numbers, strict=True), strict=True):
        assert step == wanted[0]
        assert moment == pytest.approx(wanted[1], abs=1e-4)
        assert alike(values, {"a": wanted[2][0].item(), "b": wanted[2][1].item(), "n": kinds(wanted[0] + 1)})


@pytest.mark.parametrize("kind", ["int8", "uint32", "uint64", "float32", "bool", "string", "timestamp[ms]"])
def test_columns_of_other_types(tmp_path: Path, kind: str) -> None:
    given = pa.array([0, 1, 2], pa.int64()).cast(kind) if kind != "bool" else pa.array([True, False, True])
    parquet.write_table(pa.table({"step": [0, 1, 2], "x": given}), tmp_path / "t.parquet")
    (run,) = source_class("parquet")(str(tmp_path / "t.parquet")).runs()
    assert isinstance(run, BatchedRun)
    together = any(isinstance(one, Rows) for one in run.batches())
    assert together == (kind in ("int8", "uint32", "float32"))
    found = imported(run, tmp_path / "a", together=True)
    assert [step for *_, step in found] == [0, 1, 2]
    wanted = [value.isoformat() if hasattr(value, "isoformat") else value for value in given.to_pylist()]
    assert alike([values["x"] for _, _, values, _ in found], wanted)


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filling = Filling(tmp_path, 1.5e9, [])

    def rows() -> Iterator[Rows]:
        for _ in range(3):
            yield Rows(("a",), [np.arange(10.0)], np.arange(10), np.full(10, 1.6e9))
            monkeypatch.setattr("accel_track.journal.segment.Segment.append", full)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        filling.fill(rows(), lambda _: None, 10)


def test_rows_are_counted(tmp_path: Path) -> None:
    filling, told = Filling(tmp_path, 1.5e9, []), []
    filling.fill(iter([Rows(("a", "b"), [np.arange(10.0), np.arange(10)], None, np.full(10, 1.6e9))]), told.append, 5)
    filling.close()
    assert (filling.values, told[-1]) == (20, 20)
    assert Counter(type(value) for _, _, values, _ in journal(tmp_path) for value in values.values()) == {
        float: 10,
        int: 10,
    }


def test_a_run_begins_when_its_first_row_says(tmp_path: Path) -> None:
    """Lightning's logs have the time of their file, which is that of the run's beginning, too."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_text("step,a\n0,0.5\n1,0.25\n")
    os.utime(tmp_path / "logs" / "metrics.csv", (1.6e9, 1.6e9))
    source = source_class("csv_logs")(str(tmp_path / "logs"))
    (run,) = source.runs()
    assert Importer(tmp_path / "runs").take(source, run).state == "imported"
    assert only_run(tmp_path).load().created == 1.6e9
