"""`accel-track import`: which source, what is said, and the exit code."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from accel_track.importers import registry
from accel_track.journal.directory import find_runs
from accel_track.records import Metrics
from tests.support.made_source import BEGIN, MadeRun, MadeSource, calls, metrics
from tests.support.runs import only_run

Invoke = Callable[..., Any]


@pytest.fixture(autouse=True)
def _made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the source "made" installed as a third party's, and text as on a terminal of 80 columns."""
    point = EntryPoint("made", "tests.support.made_source:MadeSource", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [point] if group == point.group else [])
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(MadeSource, "made", [])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder that the source "made" recognises."""
    folder = tmp_path / "old-runs"
    folder.mkdir()
    (folder / "made").touch()
    return folder


def _table(folder: Path) -> Path:
    path = folder / "table.csv"
    path.write_text("step,loss\n0,0.5\n1,0.25\n")
    return path


class TestWhatIsSaid:
    def test_a_line_a_run_and_a_table(self, invoke: Invoke, place: Path) -> None:
        MadeSource.made = [MadeRun(f"run-{n}", calls(1000)) for n in range(2)]
        result = invoke("import", place, "--into", "runs")
        lines = result.stdout.splitlines()
        ids = {run.load().name: run.path.name for run in find_runs("runs")}
        assert lines[0] == f"{ids['run-0']} run-0: 1,000 values, imported"
        assert all(len(line) <= 80 for line in lines)
        assert "old-runs" in result.stdout
        assert lines[-1] == "2 of 2 runs imported now; 2 complete"
        assert invoke("import", place, "--into", "runs").stdout.splitlines()[0].endswith("there already")
        assert len(list(find_runs("runs"))) == 2

    def test_json(self, invoke: Invoke, place: Path) -> None:
        MadeSource.made = [MadeRun("r", calls(3))]
        (one,) = json.loads(invoke("import", place, "--into", "runs", "--json").stdout)
        assert one == {
            "place": str(place),
            "source": "made",
            "id": "r",
            "error": None,
            "state": "imported",
            "values": 3,
            "lost": {},
            "path": str(only_run(Path("runs")).path.absolute()),
            "run_id": only_run(Path("runs")).path.name,
            "project": "old-runs",
            "name": "r",
            "created": BEGIN,
            "status": "finished",
        }
        assert json.loads(invoke("import", place, "--into", "runs", "--json").stdout)[0]["state"] == "there"

    def test_what_is_lost_is_said_and_the_rest_is_there(self, invoke: Invoke, place: Path) -> None:
        def torn(_: Path) -> Iterator[Any]:
            yield from calls(3)
            raise ValueError("torn")

        def gone(_: Path) -> Iterator[Any]:
            raise ValueError("gone")
            yield

        MadeSource.made = [MadeRun("a", calls(1)), MadeRun("b", torn), MadeRun("c", gone), MadeRun("d", calls(2))]
        text = invoke("import", place, "--into", "runs", code=1).stdout
        assert "  lost: 1 what follows, since it cannot be read: ValueError: torn" in text
        assert "c: not imported: nothing of it can be read" in text
        assert text.splitlines()[-1] == "3 of 4 runs imported now; 2 complete"
        assert sorted(len(metrics(run)) for run in find_runs("runs")) == [1, 2, 3]
        again = invoke("import", place, "--into", "runs", code=1).stdout
        assert "  lost: 1 what follows" in again

    def test_a_source_that_fails_between_runs(
        self, invoke: Invoke, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def runs(_: MadeSource) -> Iterator[MadeRun]:
            yield MadeRun("a", calls(1))
            raise OSError("the other half is gone")

        monkeypatch.setattr(MadeSource, "runs", runs)
        table = _table(place.parent)
        text = invoke("import", place, table, "--into", "runs", code=1).stdout
        assert f"{place}: not imported: the other half is gone" in text
        assert len(list(find_runs("runs"))) == 2

    def test_a_run_that_has_changed(self, invoke: Invoke, place: Path) -> None:
        MadeSource.made = [MadeRun("r", calls(3))]
        invoke("import", place)
        MadeSource.made = [MadeRun("r", calls(4))]
        assert "--again imports it anew" in invoke("import", place, code=1).stdout
        assert "in place of the earlier copy" in invoke("import", place, "--again").stdout
        assert "there already" in invoke("import", place).stdout

    def test_nothing_there(self, invoke: Invoke, place: Path) -> None:
        assert f"{place}: not imported: there are no runs" in invoke("import", place, code=1).stdout

    def test_a_dry_run_only_lists(self, invoke: Invoke, place: Path) -> None:
        MadeSource.made = [MadeRun("r", calls(3), project="proj")]
        text = invoke("import", place, "-n").stdout
        assert "made" in text
        assert "proj" in text
        assert "2023-11-14 22:13:20" in text
        (one,) = json.loads(invoke("import", place, "-n", "--json").stdout)
        assert (one["id"], one["project"], one["created"]) == ("r", "proj", BEGIN)
        assert not list(find_runs("."))
        assert not Path(".accel_track").exists()

    def test_hostile_names_reach_no_terminal(self, invoke: Invoke, place: Path) -> None:
        MadeSource.made = [MadeRun("r\x1b[31m\nx", calls(1), project="p\x1b]0;t\x07")]
        text = invoke("import", place).stdout
        assert "\x1b" not in text
        assert "\x07" not in text

    def test_show_tells_where_it_is_from(self, invoke: Invoke, place: Path) -> None:
        MadeSource.made = [MadeRun("r", [Metrics(-1, 0.0, {"loss": 1.0}, -1)], created=None)]
        invoke("import", place, code=1)
        run = only_run(Path())
        text = invoke("show", run.path).stdout
        assert f"imported from made, {place}, run r" in text
        assert "the source does not tell when" in text
        assert "lost     1 steps that are no integers" in text
        assert "host" not in text
        assert json.loads(invoke("show", run.path, "--json").stdout)["imported"]["source"] == "made"
        assert "undamaged" in invoke("verify", run.path).stdout
        assert "loss,1.0" in invoke("export", run.path, "--format", "csv").stdout


class TestWhichSource:
    def test_by_content_else_by_name(self, invoke: Invoke, place: Path) -> None:
        MadeSource.made = [MadeRun("r", calls(1))]
        _table(place)
        invoke("import", place / "table.csv", "--set", "step=step")
        invoke("import", place, "--from", "made")
        assert {run.load().imported.source for run in find_runs(".")} == {"csv", "made"}  # type: ignore[union-attr]

    def test_none_knows_it(self, invoke: Invoke, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        text = invoke("import", tmp_path / "empty", code=2).stderr
        assert "no source recognises" in text
        for name in registry.BUILT_IN:
            assert name in text
        assert not Path(".accel_track").exists()

    def test_several_know_it(self, invoke: Invoke, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        points = [
            EntryPoint(name, "tests.support.made_source:MadeSource", registry.ENTRY_POINT_GROUP) for name in ("a", "b")
        ]
        monkeypatch.setattr(registry, "entry_points", lambda **_: points)
        assert "may be of a or b; say which, with --from a or --from b" in invoke("import", place, code=2).stderr

    def test_a_plugin_that_fails_is_told_if_nothing_else_knows(
        self, invoke: Invoke, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        points = [
            EntryPoint("broken", "tests.support.none:Source", registry.ENTRY_POINT_GROUP),
            EntryPoint("no-source", "tests.support.made_source:MadeRun", registry.ENTRY_POINT_GROUP),
        ]
        monkeypatch.setattr(registry, "entry_points", lambda **_: points)
        text = invoke("import", place, code=2).stderr
        assert "broken (ModuleNotFoundError" in text
        assert "no-source (TypeError" in text

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("nowhere",), "does not exist"),
            (("--from", "nothing", "."), "unknown source 'nothing'"),
            (("--from", "made", ".", "--set", "step=x"), "made: unknown option 'step'; it takes none"),
            (("--from", "made", ".", "--set", "step"), "write NAME=VALUE"),
            (("--from", "made", ".", "--project", "a/b"), "--project"),
        ],
    )
    def test_wrong_arguments(self, invoke: Invoke, arguments: tuple[str, ...], says: str) -> None:
        assert says in " ".join(invoke("import", *arguments, code=2).stderr.replace("│", " ").split())
        assert not Path(".accel_track").exists()

    def test_no_sdk_is_imported_to_find_out(self, tmp_path: Path) -> None:
        code = (
            "import sys\nfrom accel_track.importers.registry import BUILT_IN, source_class\n"
            "for name in BUILT_IN:\n    assert not source_class(name).recognises(sys.argv[1]), name\n"
            "sdks = {'aim', 'clearml', 'comet_ml', 'dvclive', 'mlflow', 'swanlab', 'tensorboard', 'trackio', 'wandb'}\n"
            "assert not (sdks | {'torch', 'lightning', 'pyarrow'}) & set(sys.modules), set(sys.modules)\n"
        )
        for place in (tmp_path, _table(tmp_path).with_name("gone"), "/dev/null"):
            subprocess.run([sys.executable, "-c", code, place], check=True, timeout=60)

    def test_a_package_that_is_missing(self, invoke: Invoke, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MadeSource, "sdk", "not_there")
        monkeypatch.setattr(MadeSource, "install", "not-there>=1")
        assert 'pip install "not-there>=1"' in invoke("import", place, code=2).stderr
