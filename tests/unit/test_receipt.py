"""Receipts: what is missing, differs, or is there twice in a backend is found, and nothing else is said to be."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track.delivery.receipt import compare
from accel_track.delivery.repair import repair
from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.writer import JournalWriter
from accel_track.media import Image
from accel_track.registry import LOGGER_TYPE_TO_CLASS, select
from accel_track.rules import Rules
from accel_track.run import Run
from tests.support.keeping import KeepingTracker, begin, deliver, lines, made, receipt, registered, rewrite
from tests.support.runs import only_run

CALLS: list[tuple[dict[str, Any], int | None]] = [
    ({"train": {"loss": 1 / (step + 1)}, "n": step}, step) for step in range(10)
]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with registered():
        yield


def test_a_run_that_is_there_is_whole() -> None:
    run = made(
        *CALLS, ({"note": "a text", "odd @ name": 2.5, "nan": float("nan")}, 3), config={"lr": 0.1, "a": {"b": [1, 2]}}
    )
    found = receipt(run)
    assert str(found) == "keeping: 23 of 23 values\n  2 of 2 hyperparameters"
    assert found.whole


def test_missing_values_are_named() -> None:
    run = made(*CALLS)
    rewrite([line for line in lines() if line["step"] != 9 and (line["name"], line["step"]) != ("n", 4)])
    found = receipt(run)
    assert not found.whole
    assert (found.values.sent, found.values.there, found.values.missing.count) == (20, 17, 3)
    assert sorted(found.values.missing.first) == [("n", 4), ("n", 9), ("train/loss", 9)]
    assert str(found) == "keeping: 17 of 20 values, 3 missing at the steps 9, 4 (train/loss, n)"


def test_another_value_is_told_from_a_missing_one() -> None:
    run = made(*CALLS)
    changed = lines()
    changed[4]["value"] += 1e-9
    rewrite(changed)
    assert str(receipt(run)) == "keeping: 19 of 20 values, 1 other than sent at step 2 (train/loss)"
    assert not receipt(run).whole


def test_what_is_there_twice_or_unknown_is_told_and_nothing_is_missing_for_it() -> None:
    run = made(*CALLS)
    rewrite([*lines(), lines()[0], {"name": "other", "step": 1, "value": 2.0, "time": 0.0}])
    found = receipt(run)
    assert found.whole
    assert str(found) == "keeping: 20 of 20 values, 2 more than sent at the steps 0, 1 (train/loss, other)"


def test_a_value_that_was_logged_twice_is_to_be_there_twice() -> None:
    run = made(({"loss": 0.5}, 1), ({"loss": 0.5}, 1), ({"loss": 0.25}, 1))
    rewrite(lines()[1:])
    assert receipt(run).values.missing.count == 1
    assert receipt(run).values.differing.count == receipt(run).values.extra.count == 0


def test_values_without_a_step_are_found_wherever_the_backend_put_them() -> None:
    run = made(({"loss": 0.5}, None), ({"loss": 0.25}, None), ({"loss": 0.5}, 7))
    changed = lines()
    for number, line in enumerate(changed[:2]):
        line["step"] = number + 100
    rewrite(changed)
    assert receipt(run).whole
    assert receipt(run).by_design == {"values without a step, for which it chooses one": 2}
    rewrite(changed[1:])
    assert str(receipt(run)).startswith("keeping: 2 of 3 values, 1 missing (loss)")


def test_pending_and_quarantined_records_are_not_missing() -> None:
    run = made(*CALLS)
    rewrite([line for line in lines() if line["step"] not in (3, 5)])
    run.quarantine("keeping").parent.mkdir(exist_ok=True)
    run.quarantine("keeping").write_text(json.dumps({"seq": 3}) + "\n")
    writer = JournalWriter(run.rank())
    writer.metrics({"late": 1}, 9, {})
    writer.close()
    found = receipt(run)
    assert (found.values.sent, found.values.missing.count, found.pending, found.quarantined) == (18, 2, 1, 1)
    assert set(found.values.missing.first) == {("train/loss", 5), ("n", 5)}
    assert not found.whole
    assert str(found).splitlines()[1:] == [
        "  pending: 1 records, which `accel-track sync` delivers",
        "  quarantined: 1 records, which `accel-track sync --quarantined` tries again",
    ]


def test_what_is_delivered_and_not_acknowledged_is_not_unknown() -> None:
    run = made(*CALLS)
    cursor = cursors.load(run.cursor("keeping"))
    cursor.seq -= 2
    cursors.save(run.cursor("keeping"), cursor)
    found = receipt(run)
    assert (found.pending, found.values.extra.count, found.values.sent) == (2, 0, 16)


def test_nothing_is_read_where_nothing_was_delivered() -> None:
    begin(config={"lr": 1}).finish()
    found = receipt(only_run(Path("runs")))
    assert (found.pending, found.error, found.whole) == (1, None, False)


def test_a_backend_that_cannot_be_read() -> None:
    run = made(*CALLS)
    Path("kept/values.jsonl").unlink()
    found = receipt(run)
    assert not found.whole
    assert found.error is not None
    assert "there is nothing in" in found.error
    LOGGER_TYPE_TO_CLASS.pop("keeping")
    assert "keeping" in (compare(run, "keeping").error or "")


def test_what_the_tracker_has_dropped_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepingTracker, "takes", lambda _, value: value != 3)
    with pytest.warns(UserWarning, match="dropped 'n'"):
        run = made(*CALLS)
    found = receipt(run)
    assert found.whole
    assert (found.values.sent, found.dropped.count) == (19, 1)
    assert "dropped when they were delivered: 1 values at step 3 (n)" in str(found)
    rewrite(lines()[2:])
    assert receipt(run).values.missing.count == 2  # of which one is named "n", beside the one that was dropped


def test_what_the_backend_does_not_take_is_listed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepingTracker, "takes_text", False)
    monkeypatch.setattr(KeepingTracker, "takes_nan", False)
    with pytest.warns(UserWarning, match="dropped"):
        run = made(*CALLS, ({"note": "a", "bad": float("nan"), "loss": 1.0}, 1))
    found = receipt(run)
    assert found.whole
    assert found.values.sent == 21
    assert found.by_design == {"texts that it does not take": 1, "NaN that it does not take": 1}
    assert not found.dropped.count


def test_32_bit_numbers_are_the_same_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepingTracker, "precision", 1e-6)
    run = made(*CALLS, ({"tiny": 1e-50, "huge": 1e300, "third": 1 / 3}, 1))
    changed = lines()
    with np.errstate(over="ignore"):
        for line in changed:
            line["value"] = float(np.float32(line["value"]))
    changed[-1]["value"] *= 1 + 5e-7  # rounded in another way
    rewrite(changed)
    found = receipt(run)
    assert found.whole
    assert found.by_design["numbers rounded to 32 bits"] == 9
    changed[-1]["value"] *= 1.00001
    rewrite(changed)
    assert receipt(run).values.differing.first == [("third", 1)]


def test_nan_and_infinities_as_texts_are_numbers() -> None:
    run = made(({"a": float("nan"), "b": float("inf"), "c": float("-inf"), "d": "NaN"}, 1))
    changed = lines()
    for line, text in zip(changed, ("NaN", "Infinity", "-inf", "nan"), strict=True):
        line["value"] = text
    rewrite(changed)
    assert receipt(run).whole
    changed[1]["value"] = "-Infinity"
    rewrite(changed)
    assert receipt(run).values.differing.count == 1


def test_a_backend_that_keeps_equal_values_of_a_moment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepingTracker, "keeps_equal", False)
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: 1.7e9)
        run = begin()
        for _ in range(2):
            run.log({"loss": 0.5, "nan": float("nan")}, 1)
        run.log({"loss": 0.25}, 1)
        run.log({"loss": 0.5}, 2)
        clock.setattr(time, "time", lambda: 1.8e9)
        run.log({"loss": 0.5}, 1)
        run.finish()
    directory, whole = deliver(), lines()
    rewrite([line for place, line in enumerate(whole) if place not in (2, 3)])
    found = receipt(directory)
    assert found.whole, str(found)
    assert (found.values.there, found.values.extra.count) == (5, 0)
    assert found.by_design == {"equal values of a step and a millisecond, which it keeps once": 2}
    rewrite(whole[4:])
    assert receipt(directory).values.missing.count == 2


@pytest.mark.parametrize(("which", "kept"), [("first", [0, 2]), ("last", [1, 2])])
def test_a_backend_that_keeps_one_value_of_a_step(which: str, kept: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepingTracker, "keeps_of_a_step", which)
    run = made(({"loss": 0.5}, 1), ({"loss": 0.25}, 1), ({"loss": 0.125}, 2))
    whole = lines()
    rewrite([whole[place] for place in kept])
    found = receipt(run)
    assert found.whole
    assert found.by_design == {f"values of a step of which it keeps the {which}": 1}
    rewrite([whole[0 if which == "last" else 1], whole[2]])
    assert receipt(run).values.missing.count + receipt(run).values.differing.count == 1


def test_what_the_run_went_back_over_may_be_there() -> None:
    run = begin()
    for step in range(5):
        run.log({"loss": float(step)}, step)
    run.finish()
    deliver()
    run = begin(resumed=deliver())
    run.rewind(3)
    for step in (3, 4, 5):
        run.log({"loss": 10.0 + step}, step)
    run.finish()
    found = receipt(deliver())
    assert found.whole
    assert found.values.sent == 6
    assert found.by_design == {"values that the run went back over, which are still there": 2}
    rewrite([line for line in lines() if line["value"] not in (3.0, 13.0)])
    found = receipt(deliver())
    assert found.values.missing.first == [("loss", 3)]


def test_the_first_value_of_a_step_stays_after_a_rewind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepingTracker, "keeps_of_a_step", "first")
    run = begin()
    run.log({"loss": 1.0}, 0)
    run.finish()
    run = begin(resumed=deliver())
    run.rewind(0)
    run.log({"loss": 2.0}, 0)
    run.finish()
    directory = deliver()
    rewrite(lines()[:1])
    found = receipt(directory)
    assert found.whole, str(found)
    assert (found.values.sent, found.by_design["values of a step of which it keeps the first"]) == (0, 1)
    rewrite([])
    assert receipt(directory).values.missing.count == 1


def test_each_rank_has_its_backend_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepingTracker, "main_process_only", False)
    monkeypatch.setattr(KeepingTracker, "grouped", classmethod(lambda _, __, rank: {"path": f"kept{rank}"}))
    run = begin()
    run.log({"loss": 0.5}, 0)
    run.finish()
    writer = JournalWriter(only_run(Path("runs")).rank(1))
    writer.metrics({"loss": 0.25}, 0, {})
    writer.metrics({"loss": 0.125}, 1, {})
    writer.close()
    directory = deliver()
    assert receipt(directory).values.sent == 3
    assert receipt(directory).whole
    rewrite(lines(Path("kept1"))[:1], Path("kept1"))
    assert receipt(directory).values.missing.first == [("loss", 1)]
    monkeypatch.setattr(KeepingTracker, "main_process_only", True)
    assert receipt(directory).by_design == {"other ranks, whose records it does not get": 1}


def test_records_for_another_tracker_are_not_looked_for() -> None:
    run = begin()
    run.log({"loss": 0.5}, 0)
    run.log({"other": 0.5}, 0, only="wandb")
    run.finish()
    assert receipt(deliver()).values.sent == 1


def test_hyperparameters() -> None:
    run = made(
        *CALLS,
        config={"lr": 0.1, "layers": [1, 2], "deep": {"on": True, "none": None}, "name": "x" * 300, "kind": "Adam W"},
    )
    changed = lines()
    stored = next(line["config"] for line in changed if "config" in line)
    stored.update(lr="0.1", layers="[1, 2]", name="x" * 250, deep={"on": "True", "none": "None"})
    rewrite(changed)
    found = receipt(run)
    assert found.whole, str(found)
    assert found.by_design == {"texts of hyperparameters that it has cut": 1}
    stored.update(lr="0.2", kind="adam w")
    del stored["deep"]["on"]
    rewrite(changed)
    found = receipt(run)
    assert found.settings.missing.first == [("deep/on", None)]
    assert found.settings.differing.first == [("lr", None), ("kind", None)]


def test_what_the_reader_could_not_read_is_said() -> None:
    run = made(*CALLS)
    rewrite([*lines(), {"torn": 1}])
    assert receipt(run).unread == {"a torn line": 1}
    assert "could not be read there: a torn line (1)" in str(receipt(run))


def test_damage_of_the_journal_is_said() -> None:
    run = made(*CALLS)
    (segment,) = run.rank().glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 255
    segment.write_bytes(data)
    assert receipt(run).uncompared["damaged bytes of the journal"]


def test_a_receipt_for_json_says_the_same() -> None:
    run = made(*CALLS)
    rewrite(lines()[1:])
    document = json.loads(json.dumps(receipt(run).document()))
    assert document["whole"] is False
    assert document["values"]["missing"] == {"count": 1, "first": [{"name": "train/loss", "step": 0}]}
    assert document["values"]["there"] == 19


def test_objects_without_a_portable_form_are_not_compared() -> None:
    run = begin()
    run.log({"loss": 1.0, "thing": object()}, 0)
    run.finish()
    directory = deliver()
    assert receipt(directory).whole
    assert receipt(directory).uncompared == {"objects of other kinds": 1}


def test_values_that_could_not_be_read_are_not_looked_for() -> None:
    run = begin()
    for step in range(2):
        run.log({"loss": 1.0, "bad": Image(None), f"bad/{step}": Image(None)}, step)
    run.finish()
    found = receipt(deliver())
    assert found.whole, str(found)
    assert (found.values.there, found.dropped.count) == (2, 0)


def test_a_kind_that_the_reader_does_not_give_is_not_compared() -> None:
    run = made(*CALLS, config={"lr": 0.1, "layers": 3})
    rewrite([*lines(), {"lacks": {"config": "it is online"}}])
    found = receipt(run)
    assert found.settings.sent == 0
    assert found.uncompared == {"hyperparameters, which cannot be read there: it is online": 2}


def test_a_run_that_goes_on_lacks_nothing() -> None:
    """Values that are on their way are neither missing nor unknown, whenever one looks."""
    run = Run(select("jsonl", "runs"), project="p", directory="runs", settings=Settings.of(delivery="thread"))
    for step in range(400):
        run.log({"loss": float(step)}, step)
        if step % 20 == 0:
            found = compare(only_run(Path("runs")), "jsonl")
            assert (found.values.missing.count, found.values.extra.count, found.error) == (0, 0, None), str(found)
    run.finish()
    found = compare(only_run(Path("runs")), "jsonl")
    assert found.whole
    assert found.values.there == 400


def test_a_dropped_hyperparameter_is_not_missing() -> None:
    run = made(*CALLS, config={"lr": 0.1})
    changed = lines()
    changed[0]["config"]["lr"] = 0.2
    rewrite(changed)
    cursor = cursors.load(run.cursor("keeping"))
    cursor.dropped = {"lr": 1, "n": 1}
    cursors.save(run.cursor("keeping"), cursor)
    found = receipt(run)
    assert (found.settings.sent, found.dropped.first) == (0, [("lr", None)])
    assert found.whole


def test_a_hyperparameter_that_was_dropped_excuses_no_value() -> None:
    run = made(({"lr": 0.5}, 1), config={"lr": 0.1})
    rewrite(lines()[:1])
    cursor = cursors.load(run.cursor("keeping"))
    cursor.dropped = {"lr": 1}
    cursors.save(run.cursor("keeping"), cursor)
    assert receipt(run).values.missing.first == [("lr", 1)]


def test_numbers_beyond_what_a_float_counts_exactly() -> None:
    run = made(({"big": 2**62 + 1, "huge": -(2**80), "flag": True}, 0))
    assert receipt(run).values.there == 3
    rewrite([{**line, "value": float(line["value"])} for line in lines()])
    assert receipt(run).values.there == 3


def test_records_of_checkpoints_and_the_environment_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("one.ckpt").write_text("weights")

    def record() -> RunDirectory:
        run = begin()
        run.log_checkpoint("one", "one.ckpt", 3, {"score": 1.0})
        run.finish()
        return deliver()

    with pytest.warns(UserWarning, match="it keeps no checkpoints"):
        directory = record()
    Path("kept/values.jsonl").touch()
    assert receipt(directory).by_design == {"checkpoints that it does not take": 1}
    monkeypatch.setattr(KeepingTracker, "log_checkpoint", lambda *_: None)
    assert receipt(directory).uncompared == {"checkpoints": 1}
    writer = JournalWriter(directory.rank())
    writer.config({"environment": {"python": "3"}}, environment=True)
    writer.close()
    assert receipt(deliver()).uncompared == {"checkpoints": 1, "the environment": 1}


@pytest.mark.filterwarnings("ignore:.*its rules")
def test_the_rules_of_a_tracker_say_what_is_to_be_there() -> None:
    run = begin()
    for step in range(30):
        run.log({"val": {"loss": step / 7}, "debug": 1.0, "other": step}, step)
    run.finish()
    directory = only_run(Path("runs"))
    rules = Rules.of({"every": 10, "drop": ["debug"], "map": {"val/*": "eval/*"}})
    Sync(directory, rules=rules).deliver(follow=False, timeout=10)
    found = receipt(directory)
    assert found.whole, str(found)
    assert found.values.sent == len(lines()) == 6
    assert found.by_design == {"values that its rules leave out": 84}
    whole = lines()
    rewrite([line for line in whole if line["step"] != 10])
    assert receipt(directory).values.missing.first == [("eval/loss", 10), ("other", 10)]
    assert repair(directory, "keeping").delivered == 1
    assert sorted(map(str, lines())) == sorted(map(str, whole))


def test_a_reader_may_give_the_names_of_the_user_or_of_the_backend() -> None:
    run = made(({"acc@1": 0.5}, 0), ({"acc@1": 0.25}, 1))
    changed = lines()
    assert changed[0]["name"] == "acc_at_1"
    changed[0]["name"] = "acc@1"
    rewrite(changed)
    assert str(receipt(run)) == "keeping: 2 of 2 values"
    rewrite(changed[1:])
    assert receipt(run).values.missing.first == [("acc@1", 0)]
