"""Sources of tables: CSV, JSON lines and Parquet; which column is what, and what is wrong with rows."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.registry import source_at, source_class
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.jsonl import JsonlTracker

Form = Callable[[Path, list[dict[str, Any]]], Path]


def _csv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    path = folder / "table.csv"
    lines = [",".join(names), *(",".join("" if row.get(n) is None else str(row[n]) for n in names) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def _jsonl(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "table.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path


@pytest.fixture(params=[_csv, _jsonl, _parquet], ids=["csv", "jsonl", "parquet"])
def form(request: pytest.FixtureRequest) -> Form:
    """Return a function that writes rows to a file."""
    made: Form = request.param
    return made


def _runs(path: Path, **options: str) -> dict[str, BackendRun]:
    return {run.id: run for run in source_at(str(path), options).runs()}


def _points(run: BackendRun) -> list[tuple[int | None, float, dict[str, Any]]]:
    records = list(run.records(Path()))
    assert all(isinstance(one, Metrics) for one in records)
    return [(one.step, one.time, one.values) for one in records if isinstance(one, Metrics)]


class TestWideTables:
    def test_a_row_is_a_call(self, tmp_path: Path, form: Form) -> None:
        rows = [
            {"step": 0, "time": 1.7e9, "loss": 0.5, "acc": 0.25, "note": "first"},
            {"step": 1, "time": 1.7e9 + 1.5, "loss": 0.25, "acc": None, "note": None},
            {"step": 5, "time": 1.7e9 + 2, "loss": None, "acc": None, "note": None},
            {"step": 9, "time": 1.7e9 + 3, "loss": 1e-30, "acc": 1.0, "note": None},
        ]
        (run,) = _runs(form(tmp_path, rows)).values()
        assert (run.name, run.project, run.created, run.outcome) == ("table", None, 1.7e9, None)
        assert _points(run) == [
            (0, 1.7e9, {"loss": 0.5, "acc": 0.25, "note": "first"}),
            (1, 1.7e9 + 1.5, {"loss": 0.25}),
            (9, 1.7e9 + 3, {"loss": 1e-30, "acc": 1.0}),
        ]
        assert not run.lost

    def test_numbers_that_are_not_finite(self, tmp_path: Path, form: Form) -> None:
        rows = [{"step": n, "loss": value} for n, value in enumerate([math.nan, math.inf, -math.inf])]
        (run,) = _runs(form(tmp_path, rows)).values()
        assert [repr(values["loss"]) for _, _, values in _points(run)] == ["nan", "inf", "-inf"]

    def test_long_integers_and_texts_that_look_like_numbers(self, tmp_path: Path, form: Form) -> None:
        rows = [{"step": 0, "seed": 2**62 + 1, "tag": "1_000"}, {"step": 1, "seed": -(2**61) - 1, "tag": "x"}]
        (run,) = _runs(form(tmp_path, rows)).values()
        assert [values for _, _, values in _points(run)] == [
            {"seed": 2**62 + 1, "tag": "1_000"},
            {"seed": -(2**61) - 1, "tag": "x"},
        ]

    def test_columns_of_other_names(self, tmp_path: Path, form: Form) -> None:
        rows = [{"it": 3, "when": "2026-01-31T12:00:00Z", "loss": 0.5, "step": 7}]
        (run,) = _runs(form(tmp_path, rows), step="it", time="when").values()
        assert _points(run) == [(3, 1769860800.0, {"loss": 0.5, "step": 7})]

    @pytest.mark.parametrize("text", ["2026-01-31T13:00:00+01:00", "2026-01-31 12:00:00", "1769860800"])
    def test_times_as_texts(self, tmp_path: Path, text: str) -> None:
        (run,) = _runs(_csv(tmp_path, [{"step": 0, "time": text, "loss": 1}])).values()
        assert run.created == 1769860800.0

    def test_runs_told_apart_also_where_their_rows_mix(self, tmp_path: Path, form: Form) -> None:
        rows = [
            {"step": n, "run": f"r{n % 3}", "title": f"run {n % 3}", "time": 1.7e9 + n, "loss": n / 2}
            for n in range(20)
        ]
        runs = _runs(form(tmp_path, rows), name="title")
        assert [(run.id, run.name, run.total, run.created) for run in runs.values()] == [
            ("r0", "run 0", 7, 1.7e9),
            ("r1", "run 1", 7, 1.7e9 + 1),
            ("r2", "run 2", 6, 1.7e9 + 2),
        ]
        for number, run in enumerate(runs.values()):
            assert _points(run) == [(n, 1.7e9 + n, {"loss": n / 2}) for n in range(number, 20, 3)]

    def test_steps_and_times_that_are_none(self, tmp_path: Path, form: Form) -> None:
        steps = ["7", "2.0", "-1", "1.5", "x", None]
        rows = [{"step": step, "time": "soon", "loss": n + 0.5} for n, step in enumerate(steps)]
        (run,) = _runs(form(tmp_path, rows)).values()
        assert [(step, values["loss"]) for step, _, values in _points(run)] == [
            (7, 0.5),
            (2, 1.5),
            (None, 2.5),
            (None, 3.5),
            (None, 4.5),
            (None, 5.5),
        ]
        assert run.created is None
        assert list(run.lost.values()) == [3, 6] or list(run.lost.values()) == [6, 3]


class TestLongTables:
    def test_rows_of_one_step_are_a_call(self, tmp_path: Path, form: Form) -> None:
        rows = [
            {"step": 0, "metric": "loss", "value": 0.5},
            {"step": 0, "metric": "acc", "value": 0.25},
            {"step": 0, "metric": "loss", "value": 0.75},
            {"step": 1, "metric": "loss", "value": 0.125},
            {"step": 1, "metric": "acc", "value": None},
        ]
        (run,) = _runs(form(tmp_path, rows), metric="metric").values()
        assert [(step, values) for step, _, values in _points(run)] == [
            (0, {"loss": 0.5, "acc": 0.25}),
            (0, {"loss": 0.75}),
            (1, {"loss": 0.125}),
        ]
        assert run.lost == {"rows without a name or a value": 1}

    def test_our_own_export(self, tmp_path: Path) -> None:
        path = tmp_path / "run.csv"
        path.write_text("rank,seq,time,step,name,value\n0,0,1700000000.5,0,loss,0.5\n0,0,1700000000.5,0,acc,nan\n")
        (run,) = _runs(path, metric="name").values()
        assert repr(_points(run)) == "[(0, 1700000000.5, {'loss': 0.5, 'acc': nan})]"
        assert list(run.lost) == ["columns beside those of single values: rank, seq"]


class TestOptions:
    def test_a_column_that_is_not_there(self, tmp_path: Path, form: Form) -> None:
        with pytest.raises(NotReadableError, match=r"no column 'epoch' for `step`; it has step, loss\."):
            _runs(form(tmp_path, [{"step": 0, "loss": 1}]), step="epoch")

    def test_an_unknown_option(self, tmp_path: Path, form: Form) -> None:
        with pytest.raises(ValueError, match="unknown option 'steps'"):
            _runs(form(tmp_path, [{"step": 0, "loss": 1}]), steps="epoch")

    def test_a_value_without_a_name(self, tmp_path: Path, form: Form) -> None:
        with pytest.raises(NotReadableError, match="give both"):
            _runs(form(tmp_path, [{"step": 0, "loss": 1}]), value="loss")


class TestCsv:
    @pytest.mark.parametrize("mark", [",", ";", "\t"])
    def test_quotes_marks_and_ends_of_lines(self, tmp_path: Path, mark: str) -> None:
        text = (
            f'\ufeffstep{mark}loss{mark}"no{mark}te"\r\n0{mark}0.5{mark}"two\r\nlines ""x"""\r\n1{mark}0.25{mark}\r\n'
        )
        (tmp_path / "t.csv").write_bytes(text.encode())
        (run,) = _runs(tmp_path / "t.csv").values()
        assert [values for _, _, values in _points(run)] == [
            {"loss": 0.5, f"no{mark}te": 'two\r\nlines "x"'},
            {"loss": 0.25},
        ]

    def test_a_name_that_comes_again(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("step,loss,loss\n0,1,2\n")
        (run,) = _runs(tmp_path / "t.csv").values()
        assert _points(run)[0][2] == {"loss": 1.0, "loss-2": 2.0}

    def test_torn_and_odd_rows(self, tmp_path: Path) -> None:
        good = b"".join(b"%d,%d.5,x\n" % (n, n) for n in range(3))
        bad = b"3,3.5\n4,4.5,x,y\n\n5,caf\xe9,x\n6," + b"z" * 200_000 + b",x\n7,7.5,x\n"
        (tmp_path / "t.csv").write_bytes(b"step,loss,note\n" + good + bad)
        (run,) = _runs(tmp_path / "t.csv").values()
        found = [(step, values["loss"]) for step, _, values in _points(run)]
        assert found == [(0, 0.5), (1, 1.5), (2, 2.5), (3, 3.5), (4, 4.5), (5, "caf\ufffd"), (7, 7.5)]
        assert run.lost == {
            "rows with more or fewer cells than there are names": 2,
            "lines that are not in UTF-8, in which characters are replaced": 1,
            "rows that are no CSV": 1,
        }

    def test_a_line_without_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("accel_track.importers.lines.LONGEST", 300_000)
        for run_column in ("", "run,"):
            lead = "a," if run_column else ""
            with (tmp_path / "t.csv").open("w") as file:
                file.write(f"step,{run_column}loss\n0,{lead}0.5\n1,{lead}" + "9" * 2_000_000 + f"\n2,{lead}1.5\n")
            (run,) = _runs(tmp_path / "t.csv").values()
            assert [step for step, _, _ in _points(run)] == [0, 2]
            assert run.lost.total() == 1

    @pytest.mark.long
    def test_many_rows_over_blocks(self, tmp_path: Path) -> None:
        rows = [{"step": n, "a_b": n / 3, "c": f"x_{n}" if n % 1000 == 7 else n} for n in range(50_000)]
        (run,) = _runs(_csv(tmp_path, rows)).values()
        assert [(step, values) for step, _, values in _points(run)] == [
            (row["step"], {"a_b": row["a_b"], "c": row["c"]}) for row in rows
        ]

    @pytest.mark.parametrize("content", [b"", b"\n", b"\x00\x01\x02,\x00", b"just a text\nof lines\n", b"{}\n"])
    def test_no_table(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "t.csv").write_bytes(content)
        assert not source_class("csv").recognises(str(tmp_path / "t.csv"))
        assert not source_class("csv").recognises(str(tmp_path))

    def test_a_table_without_rows_has_no_runs(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("step,loss\n")
        assert _runs(tmp_path / "t.csv") == {}


class TestJsonLines:
    def test_nested_values_torn_lines_and_nan(self, tmp_path: Path) -> None:
        lines = ['{"step": 0, "val": {"loss": 0.5}, "n": 7}', '{"step": 1, "loss": NaN}', "[1]", "", '{"step": 2, "lo']
        (tmp_path / "t.jsonl").write_text("\n".join(lines))
        source = source_at(str(tmp_path / "t.jsonl"), {}, "jsonl")
        (run,) = source.runs()
        assert repr(_points(run)) == "[(0, 0.0, {'val': {'loss': 0.5}, 'n': 7}), (1, 0.0, {'loss': nan})]"
        assert run.lost == {"lines that are no JSON objects": 2}

    def test_hostile_lines(self, tmp_path: Path) -> None:
        (tmp_path / "t.jsonl").write_text('{"step": 0, "loss": 1}\n' + "[" * 100_000 + "\n" + '{"a":' * 100_000 + "\n")
        (run,) = source_at(str(tmp_path / "t.jsonl"), {}, "jsonl").runs()
        assert len(_points(run)) == 1
        assert run.lost.total() == 2

    def test_files_of_our_own_tracker(self, tmp_path: Path) -> None:
        tracker = JsonlTracker("pictures/first", tmp_path / "logs")
        tracker.start()
        tracker.store_init_configuration({"lr": 0.5, "net": {"depth": 3}})
        tracker.log({"loss": float("nan"), "step": 7, "val": {"acc": 0.5}}, step=3)
        tracker.log({"image": media.Image(np.zeros((2, 2, 3), np.uint8), "black")}, step=4)
        (tmp_path / "a.txt").write_text("one")
        tracker.log_artifact(tmp_path / "a.txt", "an-artifact")
        tracker.finish()
        for place in (tmp_path / "logs", tmp_path / "logs" / "pictures" / "first" / "metrics.jsonl"):
            (run,) = source_at(str(place), {}).runs()
            assert (run.id, run.project, run.name) == ("pictures/first/metrics.jsonl", "pictures", "first")
            assert run.config == {"lr": 0.5, "net": {"depth": 3}}
            first, second, artifact = run.records(tmp_path)
            assert isinstance(first, Metrics)
            assert isinstance(second, Metrics)
            assert isinstance(artifact, Artifact)
            assert repr((first.step, first.values)) == "(3, {'loss': nan, 'step': 7, 'val/acc': 0.5})"
            assert second.values["image"].caption == "black"
            assert Path(artifact.path).read_text() == "one"
        (table,) = source_at(str(place), {"step": "step"}).runs()
        assert table.name == "metrics"


class TestParquet:
    def test_a_torn_file(self, tmp_path: Path) -> None:
        path = _parquet(tmp_path, [{"step": n, "loss": n / 2} for n in range(100)])
        path.write_bytes(path.read_bytes()[:-50])
        with pytest.raises(NotReadableError, match="parquet"):
            list(source_at(str(path), {}, "parquet").runs())

    def test_damage_in_the_middle_costs_its_rows(self, tmp_path: Path) -> None:
        path = _parquet(tmp_path, [{"step": n, "loss": n / 2} for n in range(100)])
        data = bytearray(path.read_bytes())
        data[400:420] = b"\xff" * 20
        path.write_bytes(bytes(data))
        (run,) = source_at(str(path), {}, "parquet").runs()
        assert len(_points(run)) < 100
        assert run.lost

    def test_dates_decimals_and_lists(self, tmp_path: Path) -> None:
        from datetime import date, datetime, timezone
        from decimal import Decimal

        when = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
        rows = [{"step": 0, "time": when, "price": Decimal("0.5"), "day": date(2026, 1, 31), "many": [1.0, 2.0]}]
        (run,) = _runs(_parquet(tmp_path, rows)).values()
        assert _points(run) == [(0, 1769860800.0, {"price": 0.5, "day": "2026-01-31", "many": [1.0, 2.0]})]
