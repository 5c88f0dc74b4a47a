"""Aim in a local repository, read back with Aim's own reader."""

import json
import logging
import math
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import aim
import numpy as np
import pytest
from aim.storage.context import Context

from accel_track.errors import AccelTrackWarning, EndedError, HalfStoredError, NotStartedError
from accel_track.outcome import FINISHED, Outcome
from accel_track.records import Metrics
from accel_track.trackers.aim.fast import NumbersPath
from accel_track.trackers.aim.files import ArtifactsPath
from accel_track.trackers.aim.tracker import AimTracker
from tests.support.private_parts import hide, lost_at, private_parts
from tests.support.readers.aim import NONE, AimContract, prepare, runs


class TestAim(AimContract):
    def test_a_run_that_the_program_closes(self, tmp_path: Path) -> None:
        """It takes nothing afterwards, and nothing counts as stored or dropped; a good end is none of a failure."""
        tracker, file = self.make(tmp_path), tmp_path / "file.txt"
        file.write_text("x")
        tracker.start()
        tracker.log({"m": 1.0}, step=0)
        tracker.tracker.close()
        for call in (
            lambda: tracker.log_batch([Metrics(0, 1.7e9, {"m": 2.0}, 1)]),
            lambda: tracker.log({"text": "a"}, step=1),
            lambda: tracker.log_images({"picture": np.zeros((2, 2, 3), np.uint8)}, step=1),
            lambda: tracker.log_artifact(file),
            lambda: tracker.log_checkpoint("one", str(file), 1, {}),
            lambda: tracker.describe_checkpoint("one", 1, {}),
            lambda: tracker.store_init_configuration({"lr": 0.1}),
            lambda: tracker.store_environment({"environment": {"a": 1}}),
        ):
            with pytest.raises(EndedError, match="the program has closed it"):
                call()
        tracker.finish()
        assert not tracker.dropped
        assert self.read(tmp_path).metrics == {"m": [(0, 1.0)]}

    @pytest.mark.parametrize("whole", [False, True])
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of Aim's own threads
    def test_files_that_somebody_deletes(self, tmp_path: Path, whole: bool) -> None:
        """Aim writes on to deleted files, so nothing logged since then counts as stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"loss": 0.5}, step=1)
        tracker.flush()
        if whole:
            shutil.rmtree(tmp_path / ".aim")
        else:
            aim.Repo.from_path(str(tmp_path)).delete_run(tracker.tracker.hash)
        tracker.log({"loss": 0.25}, step=2)
        with pytest.raises(EndedError, match="deleted or moved the run's files"):
            tracker.flush()
        with pytest.raises(EndedError, match="deleted or moved"):
            tracker.finish()

    @pytest.mark.long
    def test_a_new_repository(self, tmp_path: Path) -> None:
        """The repository is created when missing, and its files are released by `finish`."""
        tracker = AimTracker("first", tmp_path / "new", system_tracking_interval=None)
        tracker.start()
        tracker.log({"loss": 0.5}, step=3)
        tracker.finish()
        assert self.read(tmp_path / "new").metrics["loss"] == [(3, 0.5)]
        (place,) = (tmp_path / "new" / ".aim" / "meta" / "chunks").iterdir()
        code = "import aim, sys; aim.Run(sys.argv[1], repo=sys.argv[2], system_tracking_interval=None).name"
        command = [sys.executable, "-c", code, place.name, str(tmp_path / "new")]
        subprocess.run(command, check=True, timeout=60, capture_output=True)

    def test_whole_life_in_a_thread(self, tmp_path: Path, in_worker: Callable[[Callable[[], None]], None]) -> None:
        """Start, configuration, log, images and finish off the main thread store everything."""

        def live() -> None:
            tracker = self.make(tmp_path)
            tracker.start()
            tracker.store_init_configuration({"lr": 0.1})
            tracker.log({"loss": 0.5, "answer": "yes"}, step=3)
            tracker.log_images({"image": np.zeros((4, 5))}, step=3)
            tracker.flush()
            tracker.finish()

        in_worker(live)
        stored = self.read(tmp_path)
        assert stored.metrics["loss"] == [(3, 0.5)]
        assert stored.config == {"lr": 0.1}
        assert stored.texts["answer"] == ["yes"]
        assert [one.what.shape for one in stored.media["image"]] == [(4, 5, 1)]

    def test_two_at_once_in_one_repository(self, tmp_path: Path) -> None:
        """Two trackers are two runs."""
        one, two = self.make(tmp_path), self.make(tmp_path)
        one.start()
        two.start()
        for index, tracker in enumerate((one, two)):
            tracker.log({"loss": float(index)}, step=0)
        two.finish()
        one.log({"loss": 2.0}, step=1)
        one.finish()
        with runs(tmp_path) as found:
            values = [run.get_metric("loss", NONE).dataframe()["value"].tolist() for run in found]
        assert sorted(values) == [[0.0, 2.0], [1.0]]

    def test_resume(self, tmp_path: Path) -> None:
        """With `run_hash` the same run goes on, and its hyperparameters are added to."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"lr": 0.1, "model": {"size": 3}})
        tracker.log({"loss": 0.5}, step=0)
        name = tracker.tracker.hash
        tracker.finish()
        tracker = self.make(tmp_path, run_hash=name)
        tracker.start()
        tracker.store_init_configuration({"model": {"depth": 4}})
        tracker.log({"loss": 0.25}, step=1)
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics["loss"] == [(0, 0.5), (1, 0.25)]
        assert stored.config == {"lr": 0.1, "model": {"depth": 4}}

    def test_a_repeated_delivery_changes_nothing(self, tmp_path: Path) -> None:
        """A value of a step that Aim has is replaced by itself, in the same process and in a continued run."""
        records = [Metrics(i, 1.6e9 + i, {"loss": i / 4, "text": f"t{i}"}, i) for i in range(20)]
        identity: dict[str, Any] = {}
        for part in (records[:12], records[8:]):
            tracker = self.make(tmp_path, **identity)
            tracker.start()
            tracker.log_batch(part)
            tracker.log_batch(part[2:5])
            identity = tracker.identity()
            tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics["loss"] == [(i, i / 4) for i in range(20)]
        assert stored.texts["text"] == [f"t{i}" for i in range(20)]

    def test_batches_are_stored_as_aim_stores_single_values(self, tmp_path: Path) -> None:
        """Every key and value in Aim's files is the same, whatever the order, the types and the steps."""
        calls: list[tuple[dict[str, Any], int | None]] = [({"a": i / 7, "b/c": i, "d": -i / 3}, i) for i in range(50)]
        calls += [({"a": 5.0}, 7), ({"a": 1, "d": math.nan}, 60), ({"new": 1.5, "flag": True}, None)]
        calls += [({"a": 2.0, "new": i}, None) for i in range(5)] + [({"a": -9.0, "flag": False}, 1000)] * 2
        found = []
        for name in ("single", "batch"):
            prepare(tmp_path / name)
            tracker = AimTracker("run", tmp_path / name, system_tracking_interval=None)
            tracker.start()
            assert tracker.fast(NumbersPath).fast is not None
            if name == "batch":
                records = [Metrics(i, 1.6e9 + i, values, step) for i, (values, step) in enumerate(calls)]
                for begin in range(0, len(records), 20):
                    tracker.log_batch(records[begin : begin + 20])
            else:
                for i, (values, step) in enumerate(calls):
                    for key, value in values.items():
                        tracker.tracker._tracker._track(value, 1.6e9 + i, key, step)
            run = tracker.tracker
            trees = (run.meta_run_tree.subtree("traces"), run.series_run_trees[2])
            found.append([list(tree.container.items()) for tree in trees])
            del run, trees
            tracker.finish()
        assert found[0] == found[1]
        assert all(found[0])

    def test_a_refused_call_among_many(self, tmp_path: Path) -> None:
        """Only that one is quarantined; nothing is doubled, also without steps, and the order is kept."""
        tracker = self.make(tmp_path)
        tracker.start()
        records = [Metrics(i, 1.6e9 + i, {"x": i / 4, "text": f"t{i}"}, None) for i in range(100)]
        records[40] = Metrics(40, 1.6e9 + 40, {"bad": 1.0}, None, {"aim": {"unknown": 1}})
        refused = []

        def send(part: list[Metrics]) -> None:
            try:
                tracker.log_batch(part)
            except TypeError:
                if len(part) == 1:
                    refused.append(part[0])
                    return
                send(part[: len(part) // 2])
                send(part[len(part) // 2 :])

        send(records)
        tracker.finish()
        assert refused == [records[40]]
        stored = self.read(tmp_path)
        assert stored.metrics == {"x": list(enumerate(i / 4 for i in range(100) if i != 40))}
        assert stored.texts["text"] == [f"t{i}" for i in range(100) if i != 40]

    def test_a_lost_connection_at_any_value_of_a_batch(self, tmp_path: Path) -> None:
        """The batch is given again through Aim's public call, and each of its values is stored once."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.fast(NumbersPath).close()
        records: list[Metrics] = []
        for place in range(0, 50, 7):  # each of the five calls of two records
            numbers = range(len(records), len(records) + 20)
            batch = [Metrics(i, 0.0, {"m": i / 4, "n": i, **({"text": f"t{i}"} if i % 2 else {})}, i) for i in numbers]
            records += batch
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tracker.tracker, "track", lost_at(place, tracker.tracker.track))
                with pytest.raises(ConnectionError, match="lost"):
                    tracker.log_batch(batch)
                tracker.log_batch(batch)
        assert not tracker.dropped
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics["m"] == [(i, i / 4) for i in range(len(records))]
        assert stored.metrics["n"] == [(i, i) for i in range(len(records))]
        assert stored.texts["text"] == [f"t{i}" for i in range(1, len(records), 2)]

    def test_a_lost_connection_in_a_batch_without_steps(self, tmp_path: Path) -> None:
        """Aim would count another step for a value that came again, so what it has is left out."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.fast(NumbersPath).close()
        for place in range(20):
            numbers = range(20 * place, 20 * place + 20)
            batch = [Metrics(i, 1.6e9 + i, {"x": i / 4, "y": i, "text": f"t{i}"}, None) for i in numbers]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tracker.tracker, "track", lost_at(place, tracker.tracker.track))
                with pytest.raises(ConnectionError, match="lost"):
                    tracker.log_batch(batch)
                tracker.log_batch(batch)
        assert not tracker.dropped
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics["x"] == [(i, i / 4) for i in range(400)]
        assert stored.metrics["y"] == [(i, i) for i in range(400)]
        assert stored.texts["text"] == [f"t{i}" for i in range(400)]

    def test_a_first_value_of_a_name_in_a_call_that_fails(self, tmp_path: Path) -> None:
        """It is not stored again as one of many numbers, of which the name has a sequence now."""
        tracker = self.make(tmp_path)
        tracker.start()
        fast = tracker.fast(NumbersPath).fast
        assert fast is not None
        for place in range(5):  # the first call's three values, and the texts of two more
            numbers = range(3)
            batch = [
                Metrics(i, 1.6e9, {f"x{place}": i / 4, f"t{place}": f"t{i}", f"y{place}": i}, None) for i in numbers
            ]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(fast, "_track", lost_at(place, fast._track))
                with pytest.raises(ConnectionError, match="lost"):
                    tracker.log_batch(batch)
            tracker.log_batch(batch)
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics == {
            **{f"x{place}": [(i, i / 4) for i in range(3)] for place in range(5)},
            **{f"y{place}": [(i, i) for i in range(3)] for place in range(5)},
        }
        assert stored.texts == {f"t{place}": ["t0", "t1", "t2"] for place in range(5)}

    @pytest.mark.parametrize("when", ["before", "during"])
    def test_a_private_part_that_is_gone(self, when: str, tmp_path: Path) -> None:
        """With one warning, whichever part it is, what is stored is what `Run.track` stores."""
        prepare(tmp_path)
        probe = aim.Run(repo=str(tmp_path), system_tracking_interval=None, capture_terminal_logs=False)
        records = [Metrics(i, 1.6e9 + i, {"x": i / 4, "n": i, "text": f"t{i}"}, i) for i in range(6)]
        for number, part in enumerate(private_parts(NumbersPath)):
            tracker = AimTracker(f"run {number}", tmp_path, system_tracking_interval=None)
            with warnings.catch_warnings(record=True) as caught, pytest.MonkeyPatch.context() as patch:
                warnings.simplefilter("always", AccelTrackWarning)
                if when == "before":
                    hide(part, probe, patch)
                tracker.start()
                tracker.log_batch(records[:3])
                if when == "during":
                    hide(part, tracker.tracker, patch)
                tracker.log_batch(records)
                patch.undo()
                tracker.finish()
            shown = [str(one.message) for one in caught if one.category is AccelTrackWarning]
            assert len(shown) <= 1, shown
            assert when == "during" or "goes on with its public calls" in shown[0], part
        probe.close()
        with runs(tmp_path) as found:
            ours = [run for run in found if run.name.startswith("run ")]
            assert len(ours) == len(private_parts(NumbersPath))
            for run in ours:
                stored = {metric.name: metric.values.sparse_list() for metric in run.metrics()}
                assert sorted(stored["x"][1]) == [i / 4 for i in range(6)], run.name
                assert sorted(stored["n"][1]) == list(range(6)), run.name

    def test_a_surprise_where_steps_are_counted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Values without steps would be doubled by another call, so delivery is to stop; with steps they go on."""
        for step in (None, 7):
            place = tmp_path / str(step)
            prepare(place)
            tracker = AimTracker("run", place, system_tracking_interval=None)
            tracker.start()
            tracker.log({"x": 1.0}, step=0)

            def fail(*_: object) -> None:
                raise TypeError("another signature")

            fast = tracker.fast(NumbersPath).fast
            assert fast is not None
            monkeypatch.setattr(fast, "store", fail)
            stops = pytest.raises(HalfStoredError) if step is None else nullcontext()
            with pytest.warns(AccelTrackWarning, match="another signature"), stops:
                tracker.log({"x": 2.0}, step=step)
            tracker.log({"x": 3.0}, step=9)
            tracker.finish()
            with runs(place) as (run,):
                (metric,) = (one for one in run.metrics() if one.name == "x")
                assert sorted(metric.values.sparse_list()[1]) == ([1.0, 3.0] if step is None else [1.0, 2.0, 3.0])

    def test_a_list_of_artifacts_that_is_not_as_known(self, tmp_path: Path) -> None:
        """A checkpoint cannot be struck off it, so it stays, file and all."""
        tracker = self.make(tmp_path)
        tracker.start()
        file = tmp_path / "one.ckpt"
        file.write_text("x")
        tracker.log_checkpoint("one", str(file), 1, {})
        tracker.fast(ArtifactsPath).close()
        tracker.delete_checkpoint("one")
        assert list(tracker.tracker["checkpoints"]) == ["one"]
        assert len(list((tmp_path / "aim_artifacts").rglob("one.ckpt"))) == 1
        tracker.finish()

    def test_a_very_long_integer(self, tmp_path: Path) -> None:
        """It is text in the hyperparameters, and keeps nothing else from being stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"seed": 2**100, "huge": 10**5000, "lr": 0.5})
        assert tracker.tracker["hparams"] == {"seed": str(2**100), "huge": hex(10**5000), "lr": 0.5}
        tracker.finish()

    def test_logging_after_finish(self, tmp_path: Path) -> None:
        """A finished tracker says so, although Aim would still write."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.finish()
        with pytest.raises(NotStartedError, match="aim"):
            tracker.log({"loss": 0.5}, step=0)

    def test_a_start_that_fails_leaves_nothing_open(self, tmp_path: Path) -> None:
        """An unknown run, or a name that Aim refuses, is an error, and the run is closed."""
        tracker = self.make(tmp_path, run_hash="unknown")
        with pytest.raises(aim.sdk.errors.MissingRunError):
            tracker.start()
        assert not tracker.started
        tracker = AimTracker({}, tmp_path, system_tracking_interval=None)  # type: ignore[arg-type] - on purpose
        with pytest.raises(Exception, match="dict"):
            tracker.start()
        assert not tracker.started
        with runs(tmp_path) as found:
            assert [run.end_time is None for run in found] == [False]

    def test_steps_without_a_number(self, tmp_path: Path) -> None:
        """Values without a step are counted on, each name by itself."""
        calls: list[tuple[dict[str, Any], int | None]] = [({"a": 1.0, "b": 1.0}, 4), ({"a": 2.0}, None)]
        _, stored = self.written(tmp_path, *calls, ({"a": 3.0, "b": 3.0}, None))
        assert stored.metrics["a"] == [(4, 1.0), (5, 2.0), (6, 3.0)]
        assert stored.metrics["b"] == [(4, 1.0), (5, 3.0)]

    def test_what_the_encoding_cannot_hold(self, tmp_path: Path) -> None:
        """Large integers and empty names are stored in another form and harm nothing else."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"seed": 2**70, "": 1, "in": {"": [2**64]}, "small": -(2**63)})
        tracker.log({"count": 2**70, "": 3.0, "_": 4.0, "last": 5.0}, step=0)
        with pytest.warns(AccelTrackWarning, match="'huge'"):
            tracker.log({"huge": 2**2000, "last": 6.0}, step=1)
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics.pop("count") == [(0, 2.0**70)]
        assert stored.metrics.pop("_") == [(0, 4.0)]
        assert stored.metrics.pop("last") == [(0, 5.0), (1, 6.0)]
        assert list(stored.metrics.values()) == [[(0, 3.0)]]
        assert (stored.config["seed"], stored.config["small"]) == (str(2**70), -(2**63))
        assert [str(2**64)] in stored.config["in"].values()
        assert tracker.dropped == {"huge": 1}

    def test_a_text_under_a_name_of_numbers(self, tmp_path: Path) -> None:
        """What Aim refuses beside earlier values of the name is counted."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"x": 1.0}, step=0)
        with pytest.warns(AccelTrackWarning, match="Incompatible"):
            tracker.log({"x": "text", "y": 2.0}, step=1)
        tracker.finish()
        stored = self.read(tmp_path)
        assert (stored.metrics["x"], stored.metrics["y"]) == ([(0, 1.0)], [(1, 2.0)])
        assert tracker.dropped == {"x": 1}

    def test_aims_own_objects(self, tmp_path: Path) -> None:
        """Aim's objects and lists of them are tracked; a list of numbers is counted as dropped."""
        tracker = self.make(tmp_path)
        tracker.start()
        picture = aim.Image(np.zeros((4, 5), np.uint8))
        tracker.log({"spread": aim.Distribution([1.0, 2.0, 3.0]), "pictures": [picture, picture]}, step=2)
        with pytest.warns(AccelTrackWarning, match="'numbers'"), pytest.warns(AccelTrackWarning, match="'empty'"):
            tracker.log({"numbers": [1, 2], "empty": []}, step=2)
        tracker.finish()
        assert [one.what.shape for one in self.read(tmp_path).media["pictures"]] == [(4, 5, 1)] * 2
        with runs(tmp_path) as (run,):
            assert run.get_distribution_sequence("spread", NONE) is not None
        assert tracker.dropped == {"numbers": 1, "empty": 1}

    def test_image_arguments(self, tmp_path: Path) -> None:
        """`kwargs["aim_image"]` reaches `aim.Image`, `kwargs["track"]` and others `Run.track`, a tuple is a caption."""
        tracker = self.make(tmp_path)
        tracker.start()
        pixels = np.full((8, 6), 40, np.uint8)
        context = {"subset": "val"}
        tracker.log_images(
            {"image": (pixels, "a digit"), "several": [pixels] * 3},
            step=1,
            kwargs={"aim_image": {"format": "jpeg", "quality": 50}, "track": {"context": context}},
        )
        tracker.log_images({"image": [pixels, pixels]}, step=2, context=context, epoch=7)
        tracker.finish()
        with runs(tmp_path) as (run,):
            sequence = run.get_image_sequence("image", Context(context))
            (first,), second = sequence.values.values_list()
            assert (first.caption, first.format) == ("a digit", "jpeg")
            assert [one.format for one in second] == ["png", "png"]
            np.testing.assert_array_equal(np.asarray(second[0].to_pil_image()), pixels)
            assert len(run.get_image_sequence("several", Context(context)).values.values_list()[0]) == 3
            assert sequence.epochs.values_list()[-1] == 7

    def test_log_arguments(self, tmp_path: Path) -> None:
        """Further arguments of `log` reach `Run.track`."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"loss": 0.5}, step=2, context={"subset": "val"}, epoch=4)
        tracker.finish()
        with runs(tmp_path) as (run,):
            metric = run.get_metric("loss", Context({"subset": "val"}))
            table = metric.dataframe()
        assert table[["step", "value", "epoch"]].to_numpy().tolist() == [[2, 0.5, 4]]

    def test_arguments_win(self, tmp_path: Path) -> None:
        """The user's arguments win over what a front door derives."""
        prepare(tmp_path / "mine")
        mine = {"experiment": "other", "repo": str(tmp_path / "mine"), "system_tracking_interval": None}
        tracker = AimTracker.for_run("digits", "first", tmp_path, mine)
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path / "mine")
        assert (stored.project, stored.run_name) == ("other", "first")

    def test_no_name_lets_aim_choose(self, tmp_path: Path) -> None:
        """Without a run name Aim's own default stays."""
        tracker = AimTracker.for_run("digits", None, tmp_path, self.init_kwargs(tmp_path))
        tracker.start()
        chosen = f"Run: {tracker.tracker.hash}"
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        assert self.read(tmp_path).run_name == chosen

    @pytest.mark.first(1)
    @pytest.mark.parametrize("capture", [False, True])
    def test_the_terminal(self, tmp_path: Path, capture: bool) -> None:
        """The terminal is captured on request only; the default leaves `sys.stdout` alone."""
        code = f"""
            import sys
            from accel_track.tracking import AimTracker
            before = sys.stdout.write
            capture = {{"capture_terminal_logs": True}} if {capture} else {{}}
            tracker = AimTracker("contract", {str(tmp_path)!r}, system_tracking_interval=None, **capture)
            tracker.start()
            assert (sys.stdout.write != before) is {capture}
            print("seen")
            tracker.finish()
        """
        prepare(tmp_path)
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60, capture_output=True)
        with runs(tmp_path) as (run,):
            logs = run.get_terminal_logs()
            assert (logs is not None) is capture
            assert not capture or "seen" in [line.data for line in logs.values.values_list()]

    @pytest.mark.long
    def test_beside_comet(self, tmp_path: Path) -> None:
        """`print` works after a run with Comet, which wraps `sys.stdout` too, whoever starts first."""
        code = f"""
            from accel_track.tracking import AimTracker, CometMLTracker
            for first in range(2):
                trackers = [AimTracker("both", {str(tmp_path)!r}), CometMLTracker("both", online=False)]
                trackers[first].start()
                trackers[1 - first].start()
                trackers[first].finish()
                trackers[1 - first].finish()
                print("still here")
        """
        prepare(tmp_path)
        command = [sys.executable, "-c", textwrap.dedent(code)]
        result = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
        assert result.stdout.split("\n") == ["still here", "still here", ""]

    def test_system_metrics(self, tmp_path: Path) -> None:
        """Aim's system metrics are on unless turned off."""
        prepare(tmp_path)
        tracker = AimTracker("contract", tmp_path)
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        names = self.read(tmp_path).metrics
        assert names.pop("loss") == [(0, 0.5)]
        assert names
        assert all(name.startswith("__system__") for name in names)

    @pytest.mark.parametrize(
        ("outcome", "level"),
        [
            (FINISHED, None),
            (Outcome("failed", "ValueError: no"), logging.ERROR),
            (Outcome("interrupted"), logging.WARNING),
            (Outcome("preempted", "SystemExit: 143"), logging.WARNING),
        ],
    )
    def test_how_a_run_ended(self, tmp_path: Path, outcome: Outcome, level: int | None) -> None:
        """The run has ended; a good end is reported, another one is a message of the run."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.outcome = outcome
        tracker.finish()
        with runs(tmp_path) as (run,):
            assert run.end_time is not None
            records = run.get_log_records()
            messages = [] if records is None else [(one.level, one.message) for one in records.values.values_list()]
        text = f"{outcome.status}: {outcome.reason}" if outcome.reason else outcome.status
        assert messages == ([] if level is None else [(level, text)])
        assert len(list((tmp_path / ".aim" / "check_ins").glob("*-finished-*"))) == (level is None)

    @pytest.mark.long
    @pytest.mark.first(1)
    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_after_a_kill_another_process_continues(self, tmp_path: Path, elsewhere: bool) -> None:
        """The run of a killed process goes on, also from another computer, and is one run with everything."""
        code = """if True:
            import json, os, signal, sys
            from accel_track.outcome import Outcome
            from accel_track.trackers.aim.tracker import AimTracker
            first, kwargs = int(sys.argv[2]), json.loads(sys.argv[3])
            tracker = AimTracker.for_run("killed", "one", sys.argv[1], {"system_tracking_interval": None, **kwargs})
            tracker.start()
            assert tracker.tracker.active
            tracker.store_init_configuration({"lr": 0.5, f"part{first}": first})
            for step in range(first, first + 5):
                tracker.log({"loss": step / 4}, step=step)
            tracker.flush()
            print(json.dumps(tracker.identity()), flush=True)
            if not first:
                os.kill(os.getpid(), signal.SIGKILL)
            tracker.outcome = Outcome("failed", "OSError: disk") if first == 5 else tracker.outcome
            tracker.finish()
        """
        prepare(tmp_path)
        identity = "{}"
        for first in (0, 5, 10):
            command = [sys.executable, "-c", code, str(tmp_path), str(first), identity]
            done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
            assert done.returncode == (0 if first else -signal.SIGKILL), done.stderr
            identity = done.stdout.splitlines()[0]
            locks = list((tmp_path / ".aim" / "locks").glob("*.softlock"))
            assert len(locks) == (not first)
            for lock in locks if elsewhere else []:
                lock.write_text("1-1-0")  # another computer's number, and a process that is there on this one
        stored = self.read(tmp_path)
        assert (stored.project, stored.run_name) == ("killed", "one")
        assert stored.metrics["loss"] == [(step, step / 4) for step in range(15)]
        assert stored.config == {"lr": 0.5, "part0": 0, "part5": 5, "part10": 10}
        with runs(tmp_path) as (run,):
            assert run.hash == json.loads(identity)["run_hash"]
            assert run.end_time is not None

    def test_rewind(self, tmp_path: Path) -> None:
        """A new value replaces that of its step; old ones stay where there is none."""
        tracker = self.make(tmp_path)
        tracker.start()
        for step in range(6):
            tracker.log({"loss": step / 4, "text": f"old {step}"}, step=step)
        identity = tracker.identity()
        tracker.finish()
        tracker = self.make(tmp_path, **identity)
        tracker.start()
        tracker.rewind(2)
        for step in (2, 3, 4):
            tracker.log({"loss": 10 + step, "text": f"new {step}"}, step=step)
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics["loss"] == [(0, 0.0), (1, 0.25), (2, 12.0), (3, 13.0), (4, 14.0), (5, 1.25)]
        assert stored.texts["text"] == ["old 0", "old 1", "new 2", "new 3", "new 4", "old 5"]

    def test_checkpoints(self, tmp_path: Path) -> None:
        """A file and a folder are stored before the call returns, replaced under their name, and deleted."""
        tracker = self.make(tmp_path)
        tracker.start()
        for text, parts in (("old", ("a", "in/b", "in/c")), ("new", (".meta", "in/b"))):
            file, folder = tmp_path / f"{text}.ckpt", tmp_path / text
            file.write_text(text)
            for part in parts:
                (folder / part).parent.mkdir(parents=True, exist_ok=True)
                (folder / part).write_text(text + part)
            tracker.log_checkpoint("epoch=3", str(file), 400, {"score": 0.5, "best": text == "new", "seed": 2**70})
            tracker.log_checkpoint("epoch=3-last", str(folder), None, {})
            file.unlink()
            shutil.rmtree(folder)
        assert tracker.tracker["checkpoints"]["epoch=3"] == {
            "step": 400,
            "score": 0.5,
            "best": True,
            "seed": str(2**70),
        }
        for name in ("epoch=3", "never stored"):
            tracker.describe_checkpoint(name, 400, {"best": False})
        assert tracker.tracker["checkpoints"] == {
            "epoch=3": {"step": 400, "best": False},
            "epoch=3-last": {"step": None},
        }
        place = tmp_path / "aim_artifacts" / tracker.tracker.hash / "checkpoints"
        assert [one.read_text() for one in (place / "epoch=3").iterdir()] == ["new"]
        for _ in range(2):
            tracker.delete_checkpoint("epoch=3")
        tracker.finish()
        assert [one.name for one in place.iterdir()] == ["epoch=3-last"]
        with runs(tmp_path) as (run,):
            assert run["checkpoints"] == {"epoch=3-last": {"step": None}}
            found = {name: Path(one.download(str(tmp_path / "got"))).read_text() for name, one in run.artifacts.items()}
        assert found == {
            "checkpoints/epoch=3-last/.meta": "new.meta",
            "checkpoints/epoch=3-last/in/b": "newin/b",
        }

    def test_where_checkpoints_go(self, tmp_path: Path) -> None:
        """A place that the run has is used; one that Aim would cut is not."""
        file = tmp_path / "last.ckpt"
        file.write_text("weights")
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.tracker.set_artifacts_uri(f"file://{tmp_path}/mine")
        tracker.log_checkpoint("last", str(file), 1, {})
        assert (tmp_path / "mine" / tracker.tracker.hash / "checkpoints" / "last" / "last.ckpt").exists()
        tracker.tracker.set_artifacts_uri("s3://bucket")
        tracker.delete_checkpoint("last")
        assert "last" in tracker.tracker["checkpoints"]
        tracker.finish()
        tracker = self.make(tmp_path / "run#1")
        tracker.start()
        with pytest.warns(AccelTrackWarning, match="'checkpoint'.*'#'"):
            tracker.log_checkpoint("last", str(file), 1, {})
        tracker.finish()
        assert tracker.dropped == {"checkpoint": 1}

    def test_a_second_run_of_one_tracker(self, tmp_path: Path) -> None:
        """Started again, a tracker makes a run of its own."""
        tracker = self.make(tmp_path)
        for number in range(2):
            tracker.start()
            tracker.store_init_configuration({f"part{number}": number})
            tracker.log({"loss": number}, step=0)
            tracker.finish()
        with runs(tmp_path) as found:
            assert sorted(str(run.get("hparams")) for run in found) == ["{'part0': 0}", "{'part1': 1}"]
