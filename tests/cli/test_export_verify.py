"""`accel-track export` and `accel-track verify`."""

import csv
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from accel_track.journal import frames
from accel_track.journal.writer import JournalWriter
from tests.support.damage import flip_in_first_record

ODD = {"nan": float("nan"), "inf": float("inf"), "minus": float("-inf"), "text": 'a "b"\n', "long": 2**70, "yes": True}


def test_csv(make: Any, invoke: Any) -> None:
    run = make(count=2, config={"lr": 1}, values=ODD)
    rows = list(csv.reader(io.StringIO(invoke("export", run.path, "--format", "csv").stdout)))
    assert rows[0] == ["rank", "seq", "time", "step", "name", "value"]
    assert [row[:2] + row[3:] for row in rows[1:3]] == [
        ["0", "1", "0", "train/loss", "1.0"],
        ["0", "2", "1", "train/loss", "0.5"],
    ]
    assert [row[4:] for row in rows[3:]] == [
        ["nan", "nan"],
        ["inf", "inf"],
        ["minus", "-inf"],
        ["text", 'a "b"\n'],
        ["long", str(2**70)],
        ["yes", "True"],
    ]
    assert float(rows[1][2]) > 1e9


def test_a_run_without_its_journal_is_damaged(make: Any, invoke: Any) -> None:
    run = make([], count=0)
    assert "undamaged" in invoke("verify", run.path).stdout
    shutil.rmtree(run.rank())
    assert "there is no journal: the folder rank-00000 is missing" in invoke("verify", run.path, code=1).stdout


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_values_without_a_row_are_counted(make: Any, invoke: Any, form: str) -> None:
    run = make(count=1, values={"list": [1, 2], "deep": {"none": None}, "text": "a"})
    arguments = ["export", run.path, "--format", form, "-o", f"run.{form}"]
    said = invoke(*arguments)
    assert "2 values are left out, as neither a number nor a text; --format jsonl has them" in said.stderr
    assert json.loads(invoke(*arguments, "--json").stdout)["values_left_out"] == 2


def test_json_lines_are_valid_json(make: Any, invoke: Any) -> None:
    run = make(count=1, config={"lr": 1}, values={**ODD, "raw": b"\xff", "deep": {"a": [1]}})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    lines = invoke("export", run.path, "--format", "jsonl").stdout.splitlines()
    config, first, last = (json.loads(line, parse_constant=refuse) for line in lines)
    assert (config["kind"], config["values"], config["seq"]) == ("config", {"lr": 1}, 0)
    assert "step" not in config
    assert (first["kind"], first["step"], first["values"]) == ("metrics", 0, {"train": {"loss": 1.0}})
    told = {"nan": "NaN", "inf": "Infinity", "minus": "-Infinity", "text": 'a "b"\n', "long": 2**70, "yes": True}
    assert last["values"] == {**told, "raw": {"bytes": "ff"}, "deep": {"a": [1]}}


def test_json_lines_have_what_a_call_had_besides(start: Any, invoke: Any) -> None:
    run = start()
    run.log({"a": 1}, None, {"lines": {"x": 1}})
    run.log({"object": object()}, 1)
    run.finish()
    (path,) = Path("runs/.accel_track/proj").iterdir()
    first, second = map(json.loads, invoke("export", path, "--format", "jsonl").stdout.splitlines())
    assert (first["kwargs"], first["step"]) == ({"lines": {"x": 1}}, None)
    assert second["values"] == {"object": {"without_form": "builtins.object"}}


def test_parquet(make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accel_track.cli.export._ROW_GROUP", 3)
    run = make(count=4, values={"text": "hello", "long": 2**2000, "minus": -(2**2000)})
    told = json.loads(invoke("export", run.path, "--format", "parquet", "--output", "out.parquet", "--json").stdout)
    assert told == {
        "output": "out.parquet",
        "format": "parquet",
        "records": 5,
        "damaged_bytes": 0,
        "values_left_out": 0,
    }
    assert parquet.ParquetFile("out.parquet").num_row_groups == 3
    columns = parquet.read_table("out.parquet").to_pydict()
    assert columns["name"] == ["train/loss"] * 4 + ["text", "long", "minus"]
    assert columns["value"] == [1.0, 0.5, 1 / 3, 0.25, None, math.inf, -math.inf]
    assert columns["text"] == [None] * 4 + ["hello", None, None]
    assert columns["step"] == [0, 1, 2, 3, 4, 4, 4]


def test_a_file_and_its_summary(make: Any, invoke: Any) -> None:
    run = make(count=2500)
    assert invoke("export", run.path, "--format", "csv", "--output", "out.csv").stdout == "out.csv: 2,500 records\n"
    assert len(Path("out.csv").read_text().splitlines()) == 2501
    assert "--output" in invoke("export", run.path, "--format", "csv", "--json", code=2).stderr
    assert "--output" in invoke("export", run.path, "--format", "parquet", code=2).stderr
    invoke("export", run.path, code=2)
    invoke("export", run.path, "--format", "xml", code=2)
    assert "No such file" in invoke("export", run.path, "--format", "csv", "--output", "no/out.csv", code=2).stderr


def test_parquet_without_pyarrow(make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = invoke("export", run.path, "--format", "parquet", "--output", "out", code=2)
    assert 'pip install "pyarrow"' in result.stderr


def test_all_ranks_are_exported(make: Any, invoke: Any) -> None:
    run = make(count=1)
    writer = JournalWriter(run.rank(3), 3)
    writer.metrics({"other": 2}, 0, {})
    writer.close()
    lines = invoke("export", run.path, "--format", "csv").stdout.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "3"]


@pytest.mark.parametrize("content", ["", "[]", '{"run_id": 1}', None])
def test_a_damaged_run_json_keeps_nothing_from_export(make: Any, invoke: Any, content: str | None) -> None:
    run = make()
    if content is None:
        (run.path / "run.json").unlink()
    else:
        (run.path / "run.json").write_text(content)
    assert len(invoke("export", run.path, "--format", "jsonl").stdout.splitlines()) == 5
    assert "run.json" in invoke("verify", run.path, code=1).stdout


def test_export_leaves_out_what_is_damaged_and_says_so(make: Any, invoke: Any) -> None:
    run = make()
    flip_in_first_record(run)
    result = invoke("export", run.path, "--format", "jsonl", code=1)
    assert len(result.stdout.splitlines()) == 4
    assert "damaged and left out" in result.stderr


def test_verify_of_a_whole_run(make: Any, invoke: Any) -> None:
    run = make(delivery="thread")
    assert "undamaged" in invoke("verify", run.path).stdout
    told = json.loads(invoke("verify", run.path, "--json").stdout)
    assert told["ok"]
    assert told["problems"] == []
    (rank,) = told["ranks"]
    assert (rank["segments"], rank["records"], rank["damages"], rank["gaps"]) == (1, 5, [], [])


def test_verify_finds_damage_and_the_record_that_it_took(make: Any, invoke: Any) -> None:
    run = make()
    place = flip_in_first_record(run)
    told = json.loads(invoke("verify", run.path, "--json", code=1).stdout)
    (rank,) = told["ranks"]
    assert rank["damages"][0]["offset"] == place
    assert rank["gaps"] == [[0, 0]]
    text = invoke("verify", run.path, code=1).stdout
    assert f"damaged bytes from byte {place}" in text
    assert "records 0 to 0 are missing" in text


def test_verify_takes_an_unfinished_record_for_no_damage(make: Any, invoke: Any) -> None:
    run = make()
    (segment,) = run.rank().glob("*.seg")
    segment.write_bytes(segment.read_bytes()[:-5])
    told = json.loads(invoke("verify", run.path, "--json").stdout)
    assert told["ranks"][0]["torn_bytes"] > 0
    assert told["ranks"][0]["records"] == 4


def test_verify_finds_missing_segments_and_repeated_numbers(make: Any, invoke: Any) -> None:
    run = make()
    (first,) = run.rank().glob("*.seg")
    writer = JournalWriter(run.rank())
    writer.metrics({"a": 1}, 0, {})
    writer.close()
    (run.rank() / "00000005.seg").write_bytes(first.read_bytes())
    assert "5 records have a number" in invoke("verify", run.path, code=1).stdout
    (run.rank() / "00000005.seg").unlink()
    first.unlink()
    assert "records 0 to 4 are missing" in invoke("verify", run.path, code=1).stdout


def test_verify_lists_no_more_than_a_screen(make: Any, invoke: Any) -> None:
    run = make(count=1)
    for seq in range(10, 100, 2):
        with (run.rank() / "00000000.seg").open("ab") as file:
            from accel_track.records import Metrics, encode

            file.write(frames.frame(encode(Metrics(seq, 0.0, {"a": 1}))[0]))
    assert "more; --json lists all" in invoke("verify", run.path, code=1).stdout
    assert len(json.loads(invoke("verify", run.path, "--json", code=1).stdout)["problems"]) == 45


@pytest.mark.parametrize("content", ["", "null", '{"seq": -1}', '{"seq": "a"}', '{"seq": 99}'])
def test_verify_reads_cursors(make: Any, invoke: Any, content: str) -> None:
    run = make(delivery="thread")
    run.cursor("lines").write_text(content)
    assert "lines.json" in invoke("verify", run.path, code=1).stdout


def test_verify_of_garbage(make: Any, invoke: Any) -> None:
    run = make()
    (run.rank() / "00000001.seg").write_bytes(b"garbage" * 100)
    assert "no header and no record" in invoke("verify", run.path, code=1).stdout
    (run.rank() / "00000002.seg").write_bytes(frames.header(0, 5, 0.0))
    assert "700 damaged bytes from byte 0" in invoke("verify", run.path, code=1).stdout


def test_a_later_version_is_told(make: Any, invoke: Any) -> None:
    run = make()
    (run.rank() / "00000001.seg").write_bytes(frames.HEADER.pack(frames.MAGIC, 9, 0, 0, 0, 0.0))
    assert "upgrade it" in invoke("verify", run.path, code=1).stdout
    assert "upgrade it" in invoke("export", run.path, "--format", "csv", code=2).stderr
