"""The quarantine of refused records, and errors as one line."""

import json
from pathlib import Path

from accel_track.delivery.ledger import set_aside, shown
from accel_track.records import Config, Metrics


def test_a_line_for_each_record() -> None:
    path = Path("quarantine/t.jsonl")
    set_aside(path, Metrics(7, 1.5, {"loss": float("nan"), "thing": object}, 3), ValueError("no\nthank you"))
    set_aside(path, Config(8, 2.5, {"lr": 0.1}), KeyError("lr"))
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["seq"], first["time"], first["step"], first["error"]) == (7, 1.5, 3, "ValueError: no thank you")
    assert (second["step"], second["values"]) == (None, {"lr": 0.1})


def test_where_it_cannot_be_written_it_is_silent() -> None:
    Path("quarantine").write_text("a file")
    set_aside(Path("quarantine/t.jsonl"), Config(0, 0.0, {}), ValueError())


def test_a_long_error_is_cut_and_names_its_origin() -> None:
    refused, long = ConnectionRefusedError("refused"), RuntimeError("x" * 500)
    assert shown(long) == f"RuntimeError: {'x' * 160}…"
    long.__cause__ = refused
    assert shown(long) == f"RuntimeError: {'x' * 160}… (ConnectionRefusedError: refused)"
    refused.__context__ = long  # a circle
    assert shown(long).endswith("(ConnectionRefusedError: refused)")
    assert shown(ValueError()) == "ValueError"
