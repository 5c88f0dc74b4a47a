"""DVCLive, read back from the tables, JSON and YAML that it writes."""

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvclive import Live

from accel_track.errors import AccelTrackWarning, NotStartedError
from accel_track.records import Metrics
from accel_track.trackers.dvclive.fast import LivePath, TablesPath
from accel_track.trackers.dvclive.tracker import DVCLiveTracker
from tests.support import warm
from tests.support.private_parts import hide, private_parts
from tests.support.readers.dvclive import QUIET, DVCLiveContract, tables


class TestDVCLive(DVCLiveContract):
    @pytest.mark.parametrize("names", [("m", "m/0", "m/0/x"), ("m/0/x", "m/0", "m")])
    def test_a_name_below_another(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        """A metric and metrics below its name are kept apart, in any order, also by a resumed run."""
        tracker, stored = self.written(tmp_path, ({name: i for i, name in enumerate(names)}, 0))
        assert stored.metrics[names[0]] == [(0, 0.0)]
        again = self.make(tmp_path)
        again.init_kwargs["resume"] = True
        again.start()
        for i, name in reversed(list(enumerate(names))):
            again.log({name: i}, step=1)
        again.finish()
        series = self.read(tmp_path).metrics
        assert sorted(series.values()) == [[(0, float(i)), (1, float(i))] for i in range(3)]
        assert not tracker.dropped

    def test_a_metric_named_like_a_column(self, tmp_path: Path) -> None:
        """A metric called "step" does not replace the steps, neither in its table nor in `metrics.json`."""
        _, stored = self.written(tmp_path, ({"step": 0.5, "trainer/step": 7, "loss": 1}, 3))
        assert sorted(stored.metrics.values()) == [[(3, 0.5)], [(3, 1.0)], [(3, 7.0)]]
        (file,) = tmp_path.rglob("metrics.json")
        assert json.loads(file.read_text())["step"] == 3

    def test_steps_are_counted_when_none_is_given(self, tmp_path: Path) -> None:
        """Calls without a step count from the last one."""
        _, stored = self.written(tmp_path, *[({"loss": i}, step) for i, step in enumerate((None, None, 7, None, None))])
        assert [step for step, _ in stored.metrics["loss"]] == [0, 1, 7, 7, 8]

    def test_not_finite_values_are_texts(self, tmp_path: Path) -> None:
        """`metrics.json` stays strict JSON."""
        self.written(tmp_path, ({"nan": math.nan, "inf": -math.inf}, 0))
        (file,) = tmp_path.rglob("metrics.json")
        strict = json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in metrics.json"))
        assert strict == {"nan": "nan", "inf": "-inf", "step": 0}

    def test_odd_texts(self, tmp_path: Path) -> None:
        """Tabs, quotes and line ends survive the tables."""
        text = 'a\tb\n"c" ü'
        _, stored = self.written(tmp_path, ({"answer": text}, 0))
        assert stored.texts["answer"] == [text]

    def test_hyperparameters_no_yaml_knows(self, tmp_path: Path) -> None:
        """An object among the hyperparameters neither raises nor breaks the next call."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"model": object(), "kind": float})
        tracker.store_init_configuration({"lr": 0.1})
        tracker.log({"loss": 1.0}, step=0)
        tracker.finish()
        assert self.read(tmp_path).config == {"model": "builtins.object", "kind": "builtins.float", "lr": 0.1}

    def test_files_during_the_run(self, tmp_path: Path) -> None:
        """`metrics.json` is up to date after each call, and `flush` brings the report."""
        tracker = self.make(tmp_path)
        tracker.init_kwargs["report"] = "html"
        tracker.start()
        tracker.log({"loss": 1.0}, step=4)
        (file,) = tmp_path.rglob("metrics.json")
        assert json.loads(file.read_text()) == {"loss": 1.0, "step": 4}
        assert not list(tmp_path.rglob("report.html"))
        tracker.flush()
        assert len(list(tmp_path.rglob("report.html"))) == 1
        tracker.finish()

    def test_given_live(self, tmp_path: Path) -> None:
        """A `Live` of the user is used and ended; within `with`, it goes on until the block ends."""
        with Live(str(tmp_path / "given"), dvcyaml=None, **QUIET) as live:
            tracker = DVCLiveTracker(live=live)
            tracker.start()
            assert tracker.tracker is live
            tracker.log({"loss": 1.0}, step=0)
            tracker.finish()
            live.log_metric("own", 2.0)
        assert json.loads((tmp_path / "given" / "metrics.json").read_text()) == {"loss": 1.0, "own": 2.0, "step": 0}
        with pytest.raises(NotStartedError):
            tracker.log({"loss": 1.0}, step=1)

    def test_runs_do_not_delete_each_other(self, tmp_path: Path) -> None:
        """Each unnamed run has a folder of its own; `resume` goes on with the last one."""
        for value, kwargs in ((1, {}), (2, {}), (3, {"resume": True})):
            tracker = DVCLiveTracker.for_run("digits", None, tmp_path, {**QUIET, **kwargs})
            tracker.start()
            tracker.log({"loss": value})
            tracker.log({"loss": -value})
            tracker.finish()
        project = tmp_path / "digits"
        assert tables(project / "dvclive") == {"loss": [(0, "1"), (1, "-1")]}
        assert tables(project / "dvclive_1") == {"loss": [(0, "2"), (1, "-2"), (2, "3"), (3, "-3")]}
        assert sorted(path.name for path in project.iterdir()) == ["dvc.yaml", "dvclive", "dvclive_1"]

    def test_runs_of_one_name(self, tmp_path: Path) -> None:
        """Each has a folder and a `dvc.yaml` of its own; `resume` goes on with the last one."""
        for value, kwargs in ((1, {}), (2, {}), (3, {"resume": True})):
            tracker = DVCLiveTracker.for_run("digits", "baseline", tmp_path, {**QUIET, **kwargs})
            tracker.start()
            tracker.log({"loss": value})
            tracker.finish()
        assert tables(tmp_path / "digits" / "baseline" / "dvclive") == {"loss": [(0, "1")]}
        assert tables(tmp_path / "digits" / "baseline_1" / "dvclive") == {"loss": [(0, "2"), (1, "3")]}
        assert len(list(tmp_path.rglob("dvc.yaml"))) == 2

    @pytest.mark.parametrize("when", ["before", "during"])
    def test_a_private_part_that_is_gone(self, when: str, tmp_path: Path) -> None:
        """With one warning, whichever part it is, the tables are what `Live.log_metric` writes."""
        probe = Live(str(tmp_path / "probe"), dvcyaml=False, **QUIET)
        records = [Metrics(i, 1.6e9 + i, {"x": i / 4, "val/y": f"t{i}", "n": float("nan")}, i) for i in range(6)]
        for path in DVCLiveTracker.fast_paths:
            for part in private_parts(path):
                tracker = DVCLiveTracker("run", dir=str(tmp_path / part / "dvclive"), dvcyaml=False, **QUIET)
                with warnings.catch_warnings(record=True) as caught, pytest.MonkeyPatch.context() as patch:
                    warnings.simplefilter("always", AccelTrackWarning)
                    if when == "before":
                        hide(part, probe, patch)
                    tracker.start()
                    tracker.log_batch(records[:2])
                    if when == "during":
                        hide(part, tracker.tracker, patch)
                    tracker.log_batch(records[2:])
                    assert tracker.identity()["resume"]
                    patch.undo()
                    tracker.finish()
                shown = [str(one.message) for one in caught if one.category is AccelTrackWarning]
                assert len(shown) <= 1, shown
                assert when == "during" or "goes on with its public calls" in shown[0], part
                assert tables(tmp_path / part / "dvclive") == {
                    "n": [(i, "nan") for i in range(6)],
                    "val/y": [(i, f"t{i}") for i in range(6)],
                    "x": [(i, str(i / 4)) for i in range(6)],
                }
                assert json.loads((tmp_path / part / "dvclive" / "metrics.json").read_text())["x"] == 1.25

    def test_the_public_call_in_a_batch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A batch that fails half-way is given again, and each of its rows is stored once."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.fast(TablesPath).close()
        log_metric, calls = Live.log_metric, iter([0, 0, 0, 1, 1, *[0] * 9])

        def fail(live: Live, name: str, value: Any, **kwargs: Any) -> None:
            if kwargs.get("plot", True) and next(calls):
                raise OSError("full")
            log_metric(live, name, value, **kwargs)

        monkeypatch.setattr(Live, "log_metric", fail)
        records = [Metrics(i, 1.6e9, {"x": i, "y": i}) for i in range(2)]
        for _ in range(2):
            with pytest.raises(OSError, match="full"):
                tracker.log_batch(records)
        tracker.log_batch(records)
        tracker.log({"t": 1}, step=5, timestamp=True)
        tracker.log({"x": 2})
        tracker.finish()
        folder = tmp_path / "contract" / "run" / "dvclive"
        stored = {path.stem: path.read_text().split()[2:] for path in folder.rglob("[xy].tsv")}
        assert stored == {"x": ["0", "0", "1", "1", "5", "2"], "y": ["0", "0", "1", "1"]}
        assert json.loads((folder / "metrics.json").read_text()) == {"x": 2, "y": 1, "t": 1, "step": 5}

    def test_checkpoints_of_another_version(self, tmp_path: Path) -> None:
        """Where DVCLive's artifacts are not as they are known, they are counted as dropped."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.fast(LivePath).close()
        with pytest.warns(AccelTrackWarning, match="not known here"):
            tracker.log_checkpoint("last", str(tmp_path), 1, {})
        tracker.delete_checkpoint("last")
        tracker.finish()
        assert tracker.dropped == {"checkpoint": 1}

    def test_a_very_long_integer(self, tmp_path: Path) -> None:
        """It is text in `params.yaml`, and keeps nothing else from being stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"seed": 2**100, "huge": 10**5000})
        tracker.store_init_configuration({"lr": 0.5})
        tracker.finish()
        stored = yaml.safe_load((tmp_path / "contract" / "run" / "dvclive" / "params.yaml").read_text())
        assert stored == {"seed": str(2**100), "huge": hex(10**5000), "lr": 0.5}

    def test_resuming_the_first_time(self, tmp_path: Path) -> None:
        """With `resume` and nothing to go on with, a run begins."""
        tracker = DVCLiveTracker.for_run("digits", None, tmp_path, {"resume": True})
        assert tracker.init_kwargs["dir"] == str(tmp_path / "digits" / "dvclive")

    def test_where_the_files_go(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The user's arguments and variables come before what is derived from names and directory."""
        derived = DVCLiveTracker.for_run("digits", "first", None, {}).init_kwargs
        assert derived == {"exp_name": "first"}
        own = {"dir": "mine", "exp_name": "other"}
        assert DVCLiveTracker.for_run("digits", "first", tmp_path, own).init_kwargs == own
        monkeypatch.setenv("DVC_EXP_NAME", "variable")
        assert DVCLiveTracker.for_run("digits", "first", None, {}).init_kwargs == {}

    def test_experiment_in_a_repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a Git repository the end of the run is saved as a DVC experiment of the run's name."""
        monkeypatch.chdir(tmp_path)
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            monkeypatch.setenv(f"{name}_NAME", "test")
            monkeypatch.setenv(f"{name}_EMAIL", "test@example.org")
        for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "start"]):
            subprocess.run(["git", *command], check=True)
        tracker = DVCLiveTracker.for_run("digits", "first", tmp_path / "out", {})
        tracker.start()
        tracker.log({"loss": 1.0}, step=0)
        tracker.finish()
        assert experiments() == ["first"]
        stored = subprocess.run(
            ["git", "show", f"{references()[0]}:out/digits/first/dvclive/metrics.json"], check=True, capture_output=True
        )
        assert json.loads(stored.stdout) == {"loss": 1.0, "step": 0}

    def test_in_a_worker_thread(self, tmp_path: Path, in_worker: Callable[[Callable[[], Any]], Any]) -> None:
        """The whole life may be in another thread."""
        _, stored = in_worker(lambda: self.written(tmp_path, ({"loss": 0.5}, 0)))
        assert stored.metrics == {"loss": [(0, 0.5)]}

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_tables_are_those_that_dvclive_writes(self, tmp_path: Path, size: int) -> None:
        """Byte for byte: numbers, texts, names, options, steps in any order and none, in batches of any size."""
        odd = {"nan": math.nan, "inf": -math.inf, "big": 1e300, "small": -5e-324, "int": 2**60, "text": 'a\tb\n"c" ü'}
        calls = [({"m": 0.1, "val/x": 1 / 3, "size": size}, 5, {})]
        calls += [({"m": float(step), **odd}, step, {}) for step in (9, 3, 3)]
        calls += [({"stamped/t": 1.5}, step, {"timestamp": True}) for step in (4, 5)]
        calls += [({"hidden": 2.5, "m": -0.0}, 6, {"plot": False}), ({"m": 7}, 7, {})]
        live = Live(str(tmp_path / "own"), dvcyaml=None, **QUIET)
        for values, step, kwargs in calls:
            live.step = step
            for name, value in values.items():
                live.log_metric(name, value, **kwargs)
        live.make_summary()
        tracker = DVCLiveTracker(dir=str(tmp_path / "ours"), dvcyaml=None, **QUIET)
        tracker.start()
        records = [Metrics(i, 1.7e9, values, step, {"dvclive": kw}) for i, (values, step, kw) in enumerate(calls)]
        for begin in range(0, len(records), size):
            tracker.log_batch(records[begin : begin + size])
        own, ours = (
            {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            for folder in (tmp_path / "own", tmp_path / "ours")
        )
        assert ours.pop(Path("plots/metrics/stamped/t.tsv")).decode().split() == (
            ["timestamp", "step", "t", "1700000000000", "4", "1.5", "1700000000000", "5", "1.5"]
        )
        own.pop(Path("plots/metrics/stamped/t.tsv"))
        assert json.loads(ours.pop(Path("metrics.json"))) == json.loads(own.pop(Path("metrics.json")))
        assert ours == own
        tracker.finish()
        live.end()

    def test_steps_are_counted_within_a_batch(self, tmp_path: Path) -> None:
        """Calls without a step count as they do one by one."""
        tracker = self.make(tmp_path)
        tracker.start()
        records = [Metrics(i, 1.7e9, {"m": i}, step) for i, step in enumerate((None, None, 7, None, None))]
        tracker.log_batch(records[:4])
        tracker.log_batch(records[4:])
        tracker.log({"m": 9})
        tracker.finish()
        assert [step for step, _ in self.read(tmp_path).metrics["m"]] == [0, 1, 7, 7, 8, 9]

    def test_a_batch_that_cannot_be_written(self, tmp_path: Path) -> None:
        """If one table cannot be written, the other tables, the summary and the steps are as before."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"a": 1.0, "thing": 0.5}, step=3)
        (folder,) = (path.parent for path in tmp_path.rglob("metrics.json"))
        (folder / "plots" / "metrics" / "z.tsv").mkdir()
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(OSError, match=r"z\.tsv"):
            tracker.log_batch([Metrics(0, 1.7e9, {"a": 2.0, "new": 1.0, "thing": object(), "z": 3.0}, 8)])
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert (tracker.tracker.step, tracker.tracker.summary, tracker.dropped) == (
            3,
            {"a": 1.0, "thing": 0.5, "step": 3},
            {},
        )
        tracker.log_batch([Metrics(0, 1.7e9, {"a": 2.0, "new": 1.0}, 8)])
        (folder / "plots" / "metrics" / "z.tsv").rmdir()
        tracker.finish()
        assert tables(folder) == {"a": [(3, "1.0"), (8, "2.0")], "new": [(8, "1.0")], "thing": [(3, "0.5")]}

    def test_a_second_run_of_one_tracker(self, tmp_path: Path) -> None:
        """A name that the first run could not store as it is, is free again."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"m/0": 1, "m": 2}, step=0)
        tracker.finish()
        tracker.start()
        tracker.log({"m": 3}, step=0)
        tracker.finish()
        assert self.read(tmp_path).metrics == {"m": [(0, 3.0)]}

    def test_it_needs_no_configuration(self) -> None:
        """Files always work."""
        assert DVCLiveTracker.not_configured({}) is None


PROGRAM = """
import json, os, shutil, sys, warnings
from accel_track.outcome import Outcome
from accel_track.trackers.dvclive.tracker import DVCLiveTracker
kwargs = json.loads(sys.argv[1])
tracker = DVCLiveTracker.for_run('digits', 'first', 'out', kwargs) if not kwargs.get('resume') else DVCLiveTracker(**kwargs)
tracker.start()
def save(name, text):
    os.makedirs('sharded/inner')
    for part in ('sharded/meta', 'sharded/inner/0'):
        open(part, 'w').write(text + part)
    open('one.ckpt', 'w').write(text)
    tracker.log_checkpoint(name, 'one.ckpt', 4, {'score': 0.5, 'best': True})
    tracker.log_checkpoint(name + '-sharded', 'sharded', None, {})
    shutil.rmtree('sharded')
    os.remove('one.ckpt')
def end():
    tracker.flush()
    print(json.dumps(tracker.identity()), flush=True)
    os.kill(os.getpid(), 9)
"""


class TestContinuing:
    """Programs one after another in one folder, of which the first are killed."""

    @staticmethod
    def run(code: str, **kwargs: Any) -> dict[str, Any]:
        """Run a program after `PROGRAM`, and return what `identity` was."""
        done = warm.run([sys.executable, "-c", PROGRAM + code, json.dumps(kwargs)], timeout=90)
        assert done.returncode in (0, -9), done.stderr
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        identity: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return identity

    @pytest.fixture
    def folder(self) -> Path:
        """Return where the run's files are."""
        return Path("out/digits/first/dvclive")

    @pytest.fixture
    def repository(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the working directory a Git repository with a commit, into which DVCLive puts DVC."""
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            monkeypatch.setenv(f"{name}_NAME", "test")
            monkeypatch.setenv(f"{name}_EMAIL", "test@example.org")
        for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "start"]):
            subprocess.run(["git", *command], check=True)

    @staticmethod
    def shown(folder: Path) -> dict[str, Any]:
        """Return what `metrics.json` holds."""
        stored: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
        return stored

    @pytest.mark.long
    def test_after_sigkill(self, folder: Path) -> None:
        """The tables hold the values of all programs at their steps, and the hyperparameters are kept."""
        identity = self.run(
            "tracker.store_init_configuration({'a': 1, 'b': {'c': 1}})\n"
            "for step in range(3):\n    tracker.log({'m': step, 'val/x': 1}, step=step)\nend()\n",
            **QUIET,
        )
        self.run("tracker.log({'m': 3}, step=3)\nend()\n", **QUIET, **identity)
        self.run(
            "tracker.log({'m': 4})\ntracker.store_init_configuration({'a': 2})\n"
            "tracker.outcome = Outcome('failed', 'x')\ntracker.finish()\n",
            **QUIET,
            **identity,
        )
        self.run("tracker.log({'m': 5}, step=5)\ntracker.finish()\n", **QUIET, **identity)
        found = tables(folder)
        assert found == {"m": [(i, str(i)) for i in range(6)], "val/x": [(i, "1") for i in range(3)]}
        assert self.shown(folder) == {"m": 5, "val": {"x": 1}, "step": 5}
        assert yaml.safe_load((folder / "params.yaml").read_text()) == {"a": 2, "b": {"c": 1}}

    @pytest.mark.long
    @pytest.mark.parametrize("left", ['{"m": 3, "val": {', None], ids=["torn", "missing"])
    def test_killed_while_writing_the_summary(self, left: str | None, folder: Path) -> None:
        """`metrics.json` is made again from the tables."""
        code = "for step in range(3):\n    tracker.log({'m': step, 'val/x': 0.5, 't': 'text'}, step=step)\nend()\n"
        identity = self.run(code, **QUIET)
        (folder / "metrics.json").unlink()
        if left is not None:
            (folder / "metrics.json").write_text(left)
        self.run("tracker.log({'m': 3})\ntracker.finish()\n", **QUIET, **identity)
        assert tables(folder)["m"] == [(i, str(i)) for i in range(4)]
        assert self.shown(folder) == {"m": 3, "val": {"x": 0.5}, "t": "text", "step": 3}

    def test_counting_on_from_the_first_step(self, folder: Path) -> None:
        """A run that has stored step 0 goes on with step 1."""
        identity = self.run("tracker.log({'m': 0})\nend()\n", **QUIET)
        self.run("tracker.log({'m': 1})\ntracker.finish()\n", **QUIET, **identity)
        assert tables(folder) == {"m": [(0, "0"), (1, "1")]}

    def test_rewinding(self, folder: Path) -> None:
        """Tables and `metrics.json` hold nothing of the step or later, until it is logged again."""
        identity = self.run(
            "for step in range(4):\n    tracker.log({'m': step, 'text': 'a\\tb', 'val/x': 0.5}, step=step)\n"
            "tracker.log({'late': 1}, step=4)\nend()\n",
            **QUIET,
        )
        self.run("tracker.rewind(2)\nend()\n", **QUIET, **identity)
        assert self.shown(folder) == {"m": 1, "text": "a\tb", "val": {"x": 0.5}, "step": 1}
        self.run("tracker.log({'m': -2})\ntracker.log({'m': -3}, step=3)\ntracker.finish()\n", **QUIET, **identity)
        assert tables(folder) == {
            "m": [(0, "0"), (1, "1"), (2, "-2"), (3, "-3")],
            "text": [(0, "a\tb"), (1, "a\tb")],
            "val/x": [(0, "0.5"), (1, "0.5")],
        }
        self.run("tracker.rewind(0)\nend()\n", **QUIET, **identity)
        assert (tables(folder), self.shown(folder).keys() - {"step"}) == ({}, set())

    @pytest.mark.long
    @pytest.mark.usefixtures("repository")
    def test_checkpoints(self, folder: Path) -> None:
        """Files and folders that are deleted at once are in DVC's cache and the experiment; names are replaced."""
        identity = self.run("save('epoch=1', 'old')\nsave('last', 'old')\nend()\n")
        self.run(
            "save('last', 'newer')\nsave('last', 'new')\nsave('gone', 'gone')\n"
            "tracker.delete_checkpoint('gone')\ntracker.delete_checkpoint('epoch=1')\n"
            "tracker.delete_checkpoint('unknown')\ntracker.finish()\n",
            **identity,
        )
        listed = yaml.safe_load((folder.parent / "dvc.yaml").read_text())["artifacts"]
        (hashed,) = (name for name in listed if name.startswith("epoch"))
        assert set(listed) == {"last", "last-sharded", "gone-sharded", hashed}
        assert listed["last"] == {
            "path": "dvclive/artifacts/last.ckpt",
            "type": "model",
            "meta": {"step": 4, "score": 0.5},
        }
        stored = folder / "artifacts"
        names = {name for name in os.listdir(stored) if not name.startswith(".")}
        assert names == {f"{Path(entry['path']).name}{end}" for entry in listed.values() for end in ("", ".dvc")}
        assert (stored / "last.ckpt").read_text() == "new"
        assert (stored / "last-sharded" / "inner" / "0").read_text() == "newsharded/inner/0"
        digest = yaml.safe_load((stored / "last.ckpt.dvc").read_text())["outs"][0]["md5"]
        assert (Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]).read_text() == "new"
        assert experiments() == ["first"]
        assert (f"{stored}/last.ckpt.dvc") in experiment("first")

    @pytest.mark.long
    @pytest.mark.usefixtures("repository")
    def test_one_experiment(self, folder: Path) -> None:
        """A run that had ended, and goes on, replaces its experiment."""
        identity = self.run("tracker.log({'m': 0}, step=0)\nprint(json.dumps(tracker.identity()))\ntracker.finish()\n")
        self.run("tracker.log({'m': 1}, step=1)\ntracker.finish()\n", **identity)
        assert experiments() == ["first"]
        shown = subprocess.run(
            ["git", "show", f"{references()[0]}:{folder}/metrics.json"], check=True, capture_output=True
        ).stdout
        assert json.loads(shown) == {"m": 1, "step": 1}

    @pytest.mark.parametrize("where", ["nowhere", "outside"])
    def test_checkpoints_without_dvc(self, where: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        """Without a DVC repository, or outside of it, checkpoints are counted as dropped."""
        if where == "outside":
            request.getfixturevalue("repository")
        tracker = DVCLiveTracker.for_run("digits", "first", tmp_path / "out", dict(QUIET))
        tracker.start()
        file = tmp_path / "one.ckpt"
        file.write_text("x")
        with pytest.warns(UserWarning, match="in a DVC repository only"):
            tracker.log_checkpoint("last", str(file), 1, {})
        tracker.log_checkpoint("last", str(file), 2, {})
        tracker.delete_checkpoint("last")
        tracker.finish()
        assert tracker.dropped == {"checkpoint": 2}
        assert not list((tmp_path / "out").rglob("*.ckpt"))


def references() -> list[str]:
    """Return Git's references of the DVC experiments."""
    found = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)", "refs/exps"], check=True, capture_output=True, text=True
    ).stdout
    return [line for line in found.split() if "/celery/" not in line and "EXEC" not in line]


def experiments() -> list[str]:
    """Return the names of the DVC experiments."""
    return [reference.rpartition("/")[2] for reference in references()]


def experiment(name: str) -> list[str]:
    """Return the files that an experiment holds."""
    (reference,) = (one for one in references() if one.endswith(f"/{name}"))
    command = ["git", "ls-tree", "-r", "--name-only", reference]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
