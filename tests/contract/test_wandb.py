"""Weights & Biases offline, read back from the transaction log that `wandb sync` would upload."""

import functools
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wandb
from PIL import Image
from typer.testing import CliRunner

from accel_track.accelerator.facade import Accelerator
from accel_track.cli import app
from accel_track.errors import AccelTrackWarning, EndedError, NotStartedError
from accel_track.journal.directory import find_runs
from accel_track.records import Metrics
from accel_track.trackers.wandb.axis import STEP
from accel_track.trackers.wandb.fast import Rows
from accel_track.trackers.wandb.tracker import WandBTracker
from tests.support.readers.wandb import WandBContract, decoded, records, rows
from tests.support.waiting import until


class TestWandB(WandBContract):
    def test_rows_are_read_as_they_were_logged(self, tmp_path: Path) -> None:
        """With the user's own names, also those that wandb keeps for itself, and without a step where there was none."""
        tracker = self.make(tmp_path)
        tracker.start()
        calls: list[tuple[dict[str, float], int | None]] = [({"_step": 1.0, "": 2.0}, None), ({"a": 3.0}, 4)]
        for values, step in [*calls, ({"a": 5.0}, None)]:
            tracker.log(dict(values), step=step)
        tracker.finish()
        (scratch := tmp_path / "scratch").mkdir()
        found = [(row.values, row.step) for row in tracker.read().records(scratch) if isinstance(row, Metrics)]
        assert found == [*calls, ({"a": 5.0}, None)]

    def test_steps_in_any_order(self, tmp_path: Path) -> None:
        """Every value arrives with its step when evaluation goes back to lower steps, and when a step comes twice."""
        steps = [1, 3, 0, 1, 3, 3, 5, 7, 2, 3, 7]
        _, stored = self.written(tmp_path, *[({"m": float(i)}, step) for i, step in enumerate(steps)])
        assert stored.metrics["m"] == [(step, float(i)) for i, step in enumerate(steps)]

    def test_the_step_is_the_axis_of_all_charts(self, tmp_path: Path) -> None:
        """The file defines the step's field as x-axis, once; rows without a step have none."""
        _, stored = self.written(tmp_path, ({"a": 1.0}, None), ({"a": 2.0}, 4), ({"a": 3.0}, None), ({"a": 4.0}, 5))
        (path,) = tmp_path.rglob("*.wandb")
        metrics = [record.metric for record in records(path) if record.HasField("metric")]
        assert [(one.name, one.glob_name, one.step_metric) for one in metrics if one.name or one.glob_name] == [
            (STEP, "", ""),
            ("", "*", STEP),
        ] + [("a", "", STEP)] * (len(metrics) - 2)
        assert stored.metrics["a"] == [(None, 1.0), (4, 2.0), (None, 3.0), (5, 4.0)]

    def test_values_without_a_step_get_none(self, tmp_path: Path) -> None:
        """In a batch or alone; names that begin so are charted over wandb's rows, unless the program says otherwise."""
        tracker = self.make(tmp_path)
        tracker.start()
        native = tracker.tracker
        native.define_metric("val/*", step_metric="epoch")
        tracker.log_batch([Metrics(0, 1.7e9, {"late": 1.0}, None), Metrics(1, 1.7e9, {"loss": 1.0}, 7)])
        batch = [Metrics(i, 1.7e9 + i, {"loss": 2.0, "late": 2.0, "val/acc": 0.5, "a*b": 1.0}, None) for i in range(3)]
        tracker.log_batch(batch)
        tracker.log({"loss": 3.0, "late": 3.0})
        native.log({"mine": 1.0})
        tracker.finish()
        stored = self.read(tmp_path)
        assert [step for step, _ in stored.metrics["loss"]] == [7, None, None, None, None]
        assert [step for step, _ in stored.metrics["late"]] == [None] * 5
        assert stored.metrics["mine"] == [(7, 1.0)]  # as raw wandb places it
        (path,) = tmp_path.rglob("*.wandb")
        metrics = [record.metric for record in records(path) if record.HasField("metric")]
        axes = {one.name or one.glob_name: one.step_metric for one in metrics}
        assert {"late": "", "*": STEP, "val/*": "epoch"}.items() <= axes.items()
        assert axes.get("val/acc", "epoch") == "epoch"
        assert axes.get("loss", STEP) == STEP

    def test_names_that_wandb_keeps_for_itself(self, tmp_path: Path) -> None:
        """They are stored under names of their own, apart from each other and from the names they get."""
        names = ["", "_step", "_runtime", "user_step", "_timestamp", STEP]
        _, stored = self.written(tmp_path, ({name: float(i + 10) for i, name in enumerate(names)}, 0))
        assert sorted(value for ((_, value),) in stored.metrics.values()) == [10, 11, 12, 13, 14, 15]
        assert stored.metrics["user_step"] == [(0, 13)]

    def test_sdk_objects_pass_through(self, tmp_path: Path) -> None:
        """Arrays, `wandb` objects and lists reach wandb in the row of the numbers beside them."""
        values = {"n": 1.0, "h": wandb.Histogram([1, 2, 2]), "a": np.zeros(100), "l": [1, 2]}
        values["i"] = wandb.Image(np.zeros((4, 3)))
        with pytest.warns(AccelTrackWarning, match="'a' is an array of 100 numbers, and is stored as a histogram"):
            tracker, _ = self.written(tmp_path, (values, 0))
        (row,) = rows(tmp_path)
        assert not tracker.dropped
        assert (row["n"], row["l"], row["h|_type"], row["a|_type"]) == (1.0, [1, 2], "histogram", "histogram")
        assert row["i|_type"] == "image-file"

    def test_one_bad_value_loses_no_other(self, tmp_path: Path) -> None:
        """What wandb cannot convert is dropped; SDK objects beside it are stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(UserWarning, match="'(bad|none|empty|huge)'"):
            tracker.log(
                {"bad": object(), "none": None, "empty": {}, "huge": 10**400, "n": 1.0, "h": wandb.Histogram([1, 2])},
                step=3,
            )
        tracker.finish()
        assert tracker.dropped == {"bad": 1, "none": 1, "empty": 1, "huge": 1}
        first, second = rows(tmp_path)
        assert (first["n"], first[STEP]) == (1.0, 3)
        assert (second["h|_type"], second[STEP]) == ("histogram", 3)

    @pytest.mark.parametrize("delivery", ["thread", "process", "none"])
    @pytest.mark.filterwarnings("ignore::accel_track.errors.AccelTrackWarning")
    def test_what_is_delivered_is_what_was_logged(self, tmp_path: Path, delivery: str) -> None:
        """Tensors and arrays that change after each call, live, in another process and from the journal; tables live."""
        accelerator = Accelerator(log_with="wandb", project_dir=tmp_path, cpu=True, delivery=delivery)
        accelerator.init_trackers("digits", init_kwargs={"wandb": self.init_kwargs(tmp_path)})
        weights, counts, few = torch.zeros(200), np.zeros(100), [0, np.zeros(2)]
        table = wandb.Table(columns=["a"])
        unreadable = torch.empty((), device="meta")
        for step in range(4):
            weights.fill_(step)
            table.add_data(step)
            accelerator.log({"w": weights, "n": {"c": counts}, "few": few, "t": table, "m": unreadable}, step=step)
            counts += 100
            few[0], few[1] = few[0] + 1, few[1] + 1
        accelerator.end_training()
        (run,) = find_runs(tmp_path)
        if delivery == "none":
            assert CliRunner().invoke(app, ["sync", str(run.path)]).exit_code == 0
        found = sorted(rows(tmp_path), key=lambda row: row[STEP])
        assert [row[STEP] for row in found if "w|_type" in row] == [0, 1, 2, 3]
        for step, row in enumerate(found[-4:] if delivery == "thread" else found):
            for name, value in (("w", step), ("n/c", 100 * step)):
                bins = row[f"{name}|bins"]
                assert row[f"{name}|_type"] == "histogram"
                assert (bins[0], bins[-1]) == (value - 0.5, value + 0.5)
            if delivery == "thread":
                assert row["t|nrows"] == step + 1
        cursor = json.loads(next(run.path.rglob("cursors/wandb.json")).read_text())
        assert cursor["dropped"]["m"] == 4

    def test_native_images_in_lists(self, tmp_path: Path) -> None:
        """`wandb.Image` objects, alone or beside arrays, are stored as they are."""
        tracker = self.make(tmp_path)
        tracker.start()
        one = wandb.Image(np.zeros((4, 3)))
        tracker.log_images({"mixed": [one, np.zeros((3, 6, 5))], "one": wandb.Image(np.zeros((2, 2)))})
        tracker.log_images({"thin": np.zeros((1, 7))})
        tracker.finish()
        sizes = {name: [one.what.shape[:2] for one in seen] for name, seen in self.read(tmp_path).media.items()}
        assert sizes == {"mixed": [(4, 3), (6, 5)], "one": [(2, 2)], "thin": [(1, 7)]}

    def test_pixels_are_what_was_given(self, tmp_path: Path) -> None:
        """Neither the order of channels nor the range of values changes."""
        pixels = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_images({"a": pixels})
        tracker.finish()
        self.read(tmp_path)
        (path,) = tmp_path.rglob("*.png")
        assert np.asarray(Image.open(path)).tolist() == pixels.tolist()

    def test_two_trackers_are_two_runs(self, tmp_path: Path) -> None:
        """Two trackers at a time write to runs of their own."""
        one, other = self.make(tmp_path / "one"), self.make(tmp_path / "other")
        one.start()
        other.start()
        one.log({"m": 1.0}, step=1)
        other.log({"m": 2.0}, step=1)
        one.finish()
        other.log({"m": 3.0}, step=2)
        other.finish()
        assert self.read(tmp_path / "one").metrics["m"] == [(1, 1.0)]
        assert self.read(tmp_path / "other").metrics["m"] == [(1, 2.0), (2, 3.0)]

    def test_the_global_run(self, tmp_path: Path) -> None:
        """The first tracker's run is what `wandb.run` and its functions refer to; the next one's once that is over."""
        model = torch.nn.Linear(2, 1)
        one, other = self.make(tmp_path / "one"), self.make(tmp_path / "other")
        one.start()
        other.start()
        assert wandb.run is one.tracker
        wandb.config.update({"mine": 1})
        wandb.define_metric("val/*", step_metric="epoch")
        one.tracker.watch(model, log_freq=1)
        model(torch.ones(1, 2)).sum().backward()
        wandb.log({"direct": 1.0})
        wandb.summary["best"] = 2.0
        one.finish()
        assert wandb.run is other.tracker
        model(torch.ones(1, 2)).sum().backward()  # its hooks are gone
        wandb.log({"direct": 3.0})
        other.finish()
        assert wandb.run is None
        with pytest.raises(wandb.Error, match="init"):
            wandb.log({"direct": 1.0})
        stored = self.read(tmp_path / "one")
        (row,) = rows(tmp_path / "one")
        assert (row["direct"], row["gradients/weight|_type"]) == (1.0, "histogram")
        assert stored.config["mine"] == 1
        assert [row["direct"] for row in rows(tmp_path / "other")] == [3.0]

    def test_a_global_run_of_the_program_stays(self, tmp_path: Path) -> None:
        """A tracker beside it has its own run."""
        mine = wandb.init(project="mine", dir=str(tmp_path))
        tracker = self.make(tmp_path / "ours")
        tracker.start()
        try:
            assert wandb.run is mine
            tracker.finish()
            assert wandb.run is mine
        finally:
            mine.finish()
        assert wandb.run is None

    def test_the_id_of_a_run_that_the_program_has_open(self, tmp_path: Path) -> None:
        """The error says to end that run; then the tracker goes on with its id."""
        own = wandb.init(project="own", mode="offline", dir=tmp_path)
        tracker = WandBTracker("own", id=own.id, mode="offline", dir=str(tmp_path))
        with pytest.raises(RuntimeError, match=rf"the run {own.id} open; end it by `wandb.finish\(\)`"):
            tracker.start()
        wandb.finish()
        tracker.start()
        assert tracker.identity()["id"] == own.id
        tracker.finish()

    @pytest.mark.parametrize("end", [wandb.finish, wandb.teardown])
    def test_a_run_that_the_program_finishes(self, tmp_path: Path, end: Callable[[], None]) -> None:
        """It takes nothing afterwards, and nothing counts as stored or dropped."""
        quiet = wandb.Settings(console="off")  # it goes on reading stderr after `teardown`, and each line fails
        tracker, file = WandBTracker("contract", dir=str(tmp_path), settings=quiet), tmp_path / "file.txt"
        file.write_text("x")
        tracker.start()
        tracker.log({"m": 1.0}, step=0)
        end()
        for call in (
            lambda: tracker.log_batch([Metrics(0, 1.7e9, {"m": 2.0}, 1)]),
            lambda: tracker.log_images({"picture": np.zeros((2, 2, 3), np.uint8)}, step=1),
            lambda: tracker.log_artifact(file),
            lambda: tracker.log_checkpoint("one", str(file), 1, {}),
            lambda: tracker.store_init_configuration({"lr": 0.1}),
            lambda: tracker.alert("title"),
        ):
            with pytest.raises(EndedError, match="the program has finished it"):
                call()
        tracker.finish()
        assert not tracker.dropped
        assert self.read(tmp_path).metrics["m"] == [(0, 1.0)]

    def test_what_is_logged_after_the_program_has_finished_the_run(self, tmp_path: Path) -> None:
        """The end of the training does not wait for the run, and `accel-track sync` delivers what the run did not take."""
        accelerator = Accelerator(log_with="wandb", project_dir=tmp_path)
        accelerator.init_trackers("p", init_kwargs={"wandb": {"mode": "offline"}})
        accelerator.log({"m": 1.0}, step=0)
        accelerator.get_tracker("wandb", unwrap=True).finish()
        with pytest.warns(AccelTrackWarning, match="delivery has stopped .*the program has finished it"):
            accelerator.log({"m": 2.0}, step=1)
            accelerator.log_images({"picture": np.zeros((2, 2, 3), np.uint8)}, step=1)
            begun = time.monotonic()
            accelerator.end_training()
        assert time.monotonic() - begun < 30  # it would be retried for a minute
        (run,) = find_runs(tmp_path)
        result = CliRunner().invoke(app, ["sync", str(run.path)])
        assert result.exit_code == 0, result.output
        stored = self.read(tmp_path)
        assert stored.metrics["m"] == [(0, 1.0), (1, 2.0)]
        assert list(stored.media) == ["picture"]

    def test_files_that_somebody_deletes(self, tmp_path: Path) -> None:
        """What wandb writes to a deleted folder is lost, so `accel-track sync` delivers all of it, in another folder."""
        accelerator = Accelerator(log_with="wandb", project_dir=tmp_path)
        accelerator.init_trackers("p", init_kwargs={"wandb": {"mode": "offline"}})
        accelerator.log({"m": 1.0}, step=0)
        accelerator.get_tracker("wandb").flush()
        shutil.rmtree(tmp_path / "wandb")
        with pytest.warns(AccelTrackWarning, match="EndedError: wandb: .*deleted or moved the run's files"):
            accelerator.log({"m": 2.0}, step=1)
            accelerator.log_images({"picture": np.zeros((2, 2, 3), np.uint8)}, step=1)  # makes the folder again
            accelerator.end_training()
        (run,) = find_runs(tmp_path)
        result = CliRunner().invoke(app, ["sync", str(run.path)])
        assert result.exit_code == 0, result.output
        assert self.read(tmp_path).metrics["m"] == [(0, 1.0), (1, 2.0)]

    def test_files_that_somebody_deletes_before_the_first_flush(self, tmp_path: Path) -> None:
        """The end of the run is early enough to miss the file, which wandb makes in a thread."""
        tracker = self.make(tmp_path)
        tracker.start()
        folder = Path(tracker.tracker.dir).parent
        until(lambda: any(folder.glob("*.wandb")))
        for file in folder.glob("*.wandb"):
            file.unlink()
        tracker.log({"m": 1.0}, step=0)
        tracker.flush()
        with pytest.raises(EndedError, match="deleted or moved the run's files"):
            tracker.finish()

    def test_configuration_without_any_log(self, tmp_path: Path) -> None:
        """The offline run's file has the hyperparameters, changed ones with the last value."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"lr": 0.1, "inner": {"a": 1}})
        tracker.store_init_configuration({"lr": 0.2, "nan": math.nan, "list": [math.nan, 1.0]})
        tracker.finish()
        config = self.read(tmp_path).config
        assert (config["lr"], config["inner"]) == (0.2, {"a": 1})
        assert (config["nan"], config["list"]) == ("NaN", ["NaN", 1.0])  # wandb's files would have null

    def test_whole_life_in_a_worker_thread(self, tmp_path: Path, in_worker: Callable[..., Any]) -> None:
        """Start, log and finish work off the main thread."""
        stored = in_worker(lambda: self.written(tmp_path, ({"m": 1.0}, 7))[1])
        assert stored.metrics["m"] == [(7, 1.0)]

    def test_starting_again_makes_a_new_run(self, tmp_path: Path) -> None:
        """A finished tracker takes no values until it is started again, and defines the axis again then."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"m": 1.0}, step=1)
        tracker.finish()
        with pytest.raises(NotStartedError, match="wandb"):
            tracker.log({"m": 1.0}, step=1)
        tracker.start()
        tracker.log({"m": 1.0}, step=1)
        tracker.finish()
        for path in tmp_path.rglob("*.wandb"):
            assert any(record.metric.glob_name == "*" for record in records(path))
        assert self.read(tmp_path).runs == 2

    def test_init_kwargs_reach_the_sdk(self, tmp_path: Path) -> None:
        """The constructor's keyword arguments go to `wandb.init` and win over what is derived."""
        kwargs = {"project": "other", "tags": ["a"], "notes": "n", "dir": str(tmp_path / "mine")}
        tracker = WandBTracker.for_run("digits", "run", tmp_path / "given", kwargs)
        tracker.start()
        run = tracker.tracker
        assert (run.project, run.name, run.notes, run.tags) == ("other", "run", "n", ("a",))
        tracker.finish()
        assert list((tmp_path / "mine").rglob("*.wandb"))
        assert not (tmp_path / "given").exists()

    def test_the_environment_wins_over_the_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`WANDB_DIR` is left to wandb."""
        assert WandBTracker.for_run("p", None, "given", {}).init_kwargs == {"dir": "given"}
        monkeypatch.setenv("WANDB_DIR", "elsewhere")
        assert WandBTracker.for_run("p", None, "given", {}).init_kwargs == {}

    @pytest.mark.parametrize("known", [True, False])
    def test_a_batch_is_what_run_log_makes_of_its_rows(
        self, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rows that go to wandb's service together are those that `Run.log` writes, numbered on; so is a rich row's."""
        values = {"f": 1 / 3, "nan": math.nan, "inf": math.inf, "low": -math.inf, "e": 1e22, "tiny": 5e-324, "z": -0.0}
        values |= {"int": 2**70, "text": 'ü "\n\ud83d\ude00', "m/0": 1.5}
        batch = [Metrics(i, 1.7e9 + i, dict(values, f=i / 3), i) for i in range(30)]
        batch[10] = Metrics(10, 1.7e9 + 10, {**values, "array": wandb.Histogram([1, 2])}, 10)
        batch[20] = Metrics(20, 1.7e9 + 20, {"f": 0.5}, None, {"wandb": {"commit": True}})
        for place, deliver in (("together", lambda all_: [all_]), ("alone", lambda all_: [[one] for one in all_])):
            tracker = self.make(tmp_path / place)
            (tmp_path / place).mkdir()
            if place == "together" and not known:
                monkeypatch.setattr("wandb.sdk.interface.interface_sock.InterfaceSock", int)
                with pytest.warns(AccelTrackWarning, match="rows go to a InterfaceSock as 'json'"):
                    tracker.start()
            else:
                tracker.start()
            if place == "alone":
                tracker.fast(Rows).close()
            native, calls = tracker.tracker, []
            monkeypatch.setattr(type(native), "log", spied(type(native).log, calls))
            for part in deliver(batch):
                tracker.log_batch(part)
            assert len(calls) == (2 if known and place == "together" else 30)
            monkeypatch.undo()
            assert native.step == 30
            tracker.finish()
        together, alone = (rows(tmp_path / place) for place in ("together", "alone"))
        assert len(together) == 30
        for row in (*together, *alone):
            row.pop("_runtime")
        assert [json.dumps(row, sort_keys=True) for row in together] == [
            json.dumps(row, sort_keys=True) for row in alone
        ]

    def test_an_object_that_cannot_be_converted_in_a_row_that_comes_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The row's other values are stored once, though the connection is lost between two of its calls."""
        tracker = self.make(tmp_path)
        tracker.start()
        run = tracker.tracker
        stored: list[set[str]] = []
        log = type(run).log

        def failing(self: Any, row: dict[str, Any], **kwargs: Any) -> None:
            names = row.keys() & {"loss", "bad", "good"}
            if "bad" in names:
                message = "no way to convert it"
                raise ValueError(message)
            if names == {"good"} and len(stored) == 1:
                stored.append({"lost"})
                raise ConnectionError
            stored.append(names)
            log(self, row, **kwargs)

        monkeypatch.setattr(type(run), "log", failing)
        record = Metrics(0, 1.7e9, {"loss": 0.5, "bad": wandb.Html("b"), "good": wandb.Html("g")}, 0)
        with pytest.warns(AccelTrackWarning, match="dropped 'bad': no way to convert it"):
            with pytest.raises(ConnectionError):
                tracker.log_batch([record])
            tracker.log_batch([record])
        monkeypatch.undo()
        tracker.finish()
        assert stored == [{"loss"}, {"lost"}, {"good"}]
        assert tracker.dropped == {"bad": 1}
        assert [row["loss"] for row in rows(tmp_path) if "loss" in row] == [0.5]


def spied(method: Callable[..., None], calls: list[Any]) -> Callable[..., None]:
    """Return a method that notes each call."""

    @functools.wraps(method)
    def called(self: Any, *args: Any, **kwargs: Any) -> None:
        calls.append(args)
        method(self, *args, **kwargs)

    return called


KEY = "k" * 40


class TestNotConfigured:
    @pytest.fixture(autouse=True)
    def _nothing_set(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for variable in [name for name in os.environ if name.startswith("WANDB_") or name == "NETRC"]:
            monkeypatch.delenv(variable)
        monkeypatch.setenv("HOME", str(tmp_path))
        # What earlier tests made wandb load is none of this test's environment.
        monkeypatch.delitem(sys.modules, "wandb.sdk.wandb_setup", raising=False)

    def test_nothing_is_set(self) -> None:
        missing = WandBTracker.not_configured({})
        assert missing is not None
        assert "WANDB_API_KEY" in missing
        assert "WANDB_MODE=offline" in missing

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("WANDB_API_KEY", KEY),
            ("WANDB_IDENTITY_TOKEN_FILE", "token"),
            ("WANDB_MODE", "offline"),
            ("WANDB_MODE", "disabled"),
            ("SM_TRAINING_ENV", "{}"),
        ],
    )
    def test_variables(self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
        monkeypatch.setenv(variable, value)
        assert WandBTracker.not_configured({}) is None

    def test_an_argument_wins_over_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WANDB_MODE", "offline")
        assert WandBTracker.not_configured({"mode": "online"}) is not None

    @pytest.mark.parametrize(
        "kwargs",
        [
            {"mode": "offline"},
            {"settings": {"mode": "offline"}},
            {"settings": {"api_key": KEY}},
            {"settings": wandb.Settings(mode="disabled")},
            {"settings": wandb.Settings(api_key=KEY)},
        ],
    )
    def test_arguments(self, kwargs: dict[str, Any]) -> None:
        assert WandBTracker.not_configured(kwargs) is None

    def test_settings_without_credentials(self) -> None:
        assert WandBTracker.not_configured({"settings": wandb.Settings(project="p")}) is not None

    @pytest.mark.parametrize("host", ["api.wandb.ai", "api.forge.coreweave.com"])
    @pytest.mark.parametrize("name", [".netrc", "_netrc"])
    def test_netrc(self, tmp_path: Path, host: str, name: str) -> None:
        (tmp_path / name).write_text(f"machine {host}\n  login user\n  password {KEY}\n")
        assert WandBTracker.not_configured({}) is None

    def test_netrc_of_another_server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "keys"
        path.write_text(f"machine wandb.example.org\n  login user\n  password {KEY}\n")
        monkeypatch.setenv("NETRC", str(path))
        assert WandBTracker.not_configured({}) is not None
        monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
        assert WandBTracker.not_configured({}) is None

    @pytest.mark.parametrize("line", ["mode = offline", f"api_key = {KEY}"])
    @pytest.mark.parametrize("place", [".config/wandb/settings", "cwd/wandb/settings", "own/settings"])
    def test_settings_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, line: str) -> None:
        if place == "own/settings":
            monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "own"))
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(f"[default]\n{line}\n")
        assert WandBTracker.not_configured({}) is None

    @pytest.mark.parametrize("content", ["no section", "[other]\nmode = offline", "[default]\nmode = online"])
    def test_files_that_hold_nothing_of_use(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "cwd" / "wandb").mkdir()
        (tmp_path / "cwd" / "wandb" / "settings").write_text(content)
        (tmp_path / ".netrc").write_text("machine")
        assert WandBTracker.not_configured({}) is not None


def test_a_login_in_this_process_is_seen(on_terminal: Callable[[str], str]) -> None:
    """`wandb.login(key=…)` counts, also where it can write no netrc."""
    code = (
        "import wandb; from accel_track.trackers.wandb.tracker import WandBTracker as T\n"
        "assert T.not_configured({}) is not None\n"
        f"wandb.setup(wandb.Settings(api_key={KEY!r}, silent=True, mode='online'))\n"
        "print('NOW', T.not_configured({}))\n"
        "wandb.teardown()\n"
    )
    assert "NOW None" in on_terminal(code)


def test_nothing_is_asked_on_a_terminal(on_terminal: Callable[[str], str]) -> None:
    """Without credentials `start` raises at once what to set, where wandb itself would wait for a key to be typed."""
    code = (
        "from accel_track.trackers.wandb.tracker import WandBTracker\n"
        "from accel_track.errors import NotConfiguredError\n"
        "try:\n    WandBTracker('p').start()\n"
        "except NotConfiguredError as error:\n    print('RAISED', error)\n"
    )
    shown = on_terminal(code)
    assert "RAISED wandb: no credentials" in shown
    assert "WANDB_API_KEY" in shown
    assert "WANDB_MODE=offline" in shown


def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    """A wrong argument raises wandb's own error, and the tracker is not started."""
    tracker = WandBTracker("p", dir=str(tmp_path), nonsense=1)
    with pytest.raises(TypeError, match="nonsense"):
        tracker.start()
    assert not tracker.started


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (wandb.errors.CommError("Timed out while retrying: dial tcp 127.0.0.1:9: connect: connection refused"), True),
        (wandb.errors.CommError("Run initialization has timed out after 90.0 sec."), True),
        (wandb.errors.CommError("returned error 429: slow down"), True),
        (wandb.errors.CommError("returned error 403: permission denied"), False),
        (wandb.errors.AuthenticationError("no such key"), False),
        (wandb.errors.UsageError("no such argument"), False),
        (ConnectionResetError("gone"), True),
    ],
)
def test_what_may_pass(error: Exception, passes: bool) -> None:
    """Connections and overloaded servers may, keys and arguments may not."""
    assert WandBTracker("p").is_transient(error) is passes


KILLED = """
import sys
import psutil
from accel_track import init

def service(): return [one for one in psutil.Process().children(recursive=True) if "wandb" in one.name()]

run = init("p", "wandb", run_name="r", project_dir=sys.argv[1], finish_timeout=2.0)
for step in range(20):
    run.log({"loss": float(step)}, step)
run.flush()
for one in service():
    one.kill()
for step in range(20, 40):
    run.log({"loss": float(step)}, step)
run.finish()
"""


@pytest.mark.long
def test_what_wandbs_own_process_had_when_it_was_killed_is_not_delivered(tmp_path: Path) -> None:
    pytest.importorskip("psutil")

    def told(*command: str) -> str:
        alone = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
        command = (sys.executable, *command)
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=alone).stderr

    assert "wandb: 0 delivered, 40 pending (Connection" in told("-c", KILLED, str(tmp_path))
    (run,) = find_runs(tmp_path)
    told("-m", "accel_track", "sync", str(run.path))
    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    assert len(files) == 2
    assert not any(record.HasField("exit") for record in decoded(files[0]))
    assert [row["loss"] for row in rows(files[1].parent)] == list(range(40))
