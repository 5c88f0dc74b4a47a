"""The importer: a run of another library is a run like any other, once, whole or not at all."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import media
from accel_track.delivery.artifacts import problem
from accel_track.importers.importer import UNTOLD, Imported, Importer, plain_name, run_id_of
from accel_track.journal.directory import IMPORTING, PARENT, find_runs
from accel_track.journal.locks import acquired
from accel_track.media import sums
from accel_track.outcome import Outcome
from accel_track.records import Artifact, Checkpoint, Metrics
from tests.support.made_source import BEGIN, MadeRun, MadeSource, calls, config, metrics, read
from tests.support.runs import only_run

Take = Callable[..., Imported]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Return a function that imports a run into `tmp_path / "runs"`."""
    place = tmp_path / "place"
    place.mkdir()

    def take(run: MadeRun, *, again: bool = False, project: str | None = None) -> Imported:
        return Importer(tmp_path / "runs", project, again=again).take(MadeSource(str(place)), run)

    return take


class TestWhatIsKept:
    def test_identity_values_and_times(self, take: Take, tmp_path: Path) -> None:
        logged = [
            Metrics(-1, BEGIN + 1.5, {"loss": 0.5, "count": 3, "flag": True}, 0),
            Metrics(-1, BEGIN + 2.25, {"loss": float("nan"), "count": 4, "flag": False}, 7),
            Metrics(-1, BEGIN + 2.5, {"note": "a text", "val": {"loss": float("-inf")}}, 7),
            Metrics(-1, BEGIN - 1.0, {"loss": 1e300, "count": 2**70, "flag": True}, 3),
            Metrics(-1, BEGIN + 200_000.0, {"loss": 0.25}, None),
        ]
        run = MadeRun("r1", logged, project="pictures", config={"lr": 0.1, "net": {"depth": 3}})
        found = take(run)
        assert (found.state, found.values, found.lost) == ("imported", 12, {})
        info = only_run(tmp_path).load()
        assert (info.project, info.name, info.created, info.status) == ("pictures", "r1", BEGIN, "finished")
        assert info.imported is not None
        assert (info.imported.source, info.imported.id, info.imported.values) == ("made", "r1", 12)
        assert config(only_run(tmp_path)) == {"lr": 0.1, "net": {"depth": 3}}
        back = metrics(only_run(tmp_path))
        assert [(one.time, one.step) for one in back] == [(one.time, one.step) for one in logged]
        assert repr([one.values for one in back]) == repr([one.values for one in logged])
        assert [one.seq for one in read(only_run(tmp_path))] == list(range(6))

    def test_credentials_are_taken_out(self, take: Take, tmp_path: Path) -> None:
        source = MadeSource("http://user:hunter2@localhost:5000")
        run = MadeRun("r1", calls(1), config={"api_key": "sk-proj-abcdefghijklmnop", "url": "http://u:hunter2@h/"})
        Importer(tmp_path / "runs").take(source, run)
        assert config(only_run(tmp_path))["api_key"] == "***"
        for file in (tmp_path / "runs").rglob("*"):
            assert not file.is_file() or b"hunter2" not in file.read_bytes(), file

    def test_media_and_files(self, take: Take, tmp_path: Path) -> None:
        def logged(scratch: Path) -> Iterator[Any]:
            (scratch / "sound.wav").write_bytes(b"RIFFabc")
            (scratch / "model").mkdir()
            (scratch / "model" / "weights").write_bytes(b"12345")
            values = {
                "image": media.Image(np.full((3, 4, 3), 7, np.uint8), "seven"),
                "table": media.Table([[1, "a"]], ["n", "t"]),
                "bins": media.Histogram(counts=[1, 2], edges=[0, 1, 2]),
                "sound": media.Audio(scratch / "sound.wav"),
                "text": media.Text("*hello*"),
                "loss": 0.5,
            }
            yield Metrics(-1, BEGIN, values, 2)
            yield Artifact(-1, BEGIN + 1, {"rows": 3}, "the-model", str(scratch / "model"), "model", 2)
            yield Checkpoint(-1, BEGIN + 2, {"best": True}, "last", str(scratch / "sound.wav"), 2)

        assert take(MadeRun("r1", logged)).values == 8
        call, artifact, checkpoint = read(only_run(tmp_path))
        assert isinstance(call, Metrics)
        assert isinstance(artifact, Artifact)
        assert isinstance(checkpoint, Checkpoint)
        assert (call.values["image"].array() == 7).all()
        assert call.values["image"].caption == "seven"
        assert call.values["table"].rows == [[1, "a"]]
        assert call.values["bins"].counts == [1, 2]
        assert call.values["sound"].data() == b"RIFFabc"
        assert call.values["text"].text == "*hello*"
        folder = only_run(tmp_path).rank()
        assert (folder / artifact.path / "weights").read_bytes() == b"12345"
        assert (artifact.type, artifact.step, artifact.values) == ("model", 2, {"rows": 3})
        assert problem(folder, artifact, sums.known(folder / "media")) is None
        assert (folder / checkpoint.path).read_bytes() == b"RIFFabc"
        assert not list((tmp_path / "runs").rglob("*.raw"))
        assert not list((tmp_path / "runs").rglob("scratch"))

    @pytest.mark.parametrize(
        ("outcome", "status"),
        [(None, UNTOLD), (Outcome("failed", "ValueError: no"), Outcome("failed", "ValueError: no"))],
    )
    def test_how_it_ended(self, take: Take, tmp_path: Path, outcome: Outcome | None, status: Outcome) -> None:
        take(MadeRun("r1", calls(1), outcome=outcome))
        run = only_run(tmp_path)
        assert run.outcome(run.load()) == status

    def test_dates_that_the_source_does_not_tell(self, take: Take, tmp_path: Path) -> None:
        before = time.time()
        take(MadeRun("r1", [Metrics(-1, 0.0, {"loss": 1.0}, 0)], created=None))
        info = only_run(tmp_path).load()
        assert before <= info.created <= time.time()
        assert info.imported is not None
        assert not info.imported.dated
        assert [one.time for one in metrics(only_run(tmp_path))] == [pytest.approx(info.created, abs=1e-4)]

    @pytest.mark.parametrize("moment", [float("nan"), float("inf"), -5.0, 1e300])
    def test_a_time_that_is_none_is_the_beginning(self, take: Take, tmp_path: Path, moment: float) -> None:
        take(MadeRun("r1", [*calls(1), Metrics(-1, moment, {"loss": 1.0}, 1)]))
        assert [one.time for one in metrics(only_run(tmp_path))] == [BEGIN, BEGIN]

    def test_many_segments_and_names(self, take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("accel_track.journal.writer.JournalWriter.__init__.__defaults__", (0, "process", 50_000, 0))
        logged = [Metrics(-1, BEGIN + n / 7, {f"m{n % 13}": n / 3, "n": n}, n) for n in range(20_000)]
        take(MadeRun("r1", logged))
        run = only_run(tmp_path)
        assert len(list(run.rank().glob("*.seg"))) > 10
        assert [(one.seq, one.step, one.values) for one in metrics(run)] == [
            (n, n, one.values) for n, one in enumerate(logged)
        ]


class TestNames:
    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ("plain", "plain"),
            ("a/b\\c", "a-b-c"),
            ("..", "otherwise"),
            ("../../etc", ".-.-etc"),
            ("", "otherwise"),
            (None, "otherwise"),
            (" . ", "otherwise"),
            ("tab\there\x00", "tab_here_"),
            ("caf\udce9", "caf-udce9"),
            ("ü" * 300, "ü" * 100),
        ],
    )
    def test_any_text_becomes_a_name(self, take: Take, tmp_path: Path, given: str | None, name: str) -> None:
        found = plain_name(given, "otherwise")
        if given != "../../etc":
            assert found == name
        assert "/" not in found
        run = MadeRun("r1", calls(1))
        run.name = run.project = given
        take(run)
        only_run(tmp_path).load()
        assert only_run(tmp_path).path.parents[2] == tmp_path / "runs"

    def test_names_are_distinct(self, take: Take, tmp_path: Path) -> None:
        for number in range(3):
            run = MadeRun(f"id-{number}", calls(1))
            run.name = "same"
            take(run)
        names = {run.load().name for run in find_runs(tmp_path)}
        assert names == {"same", "same-2", "same-3"}

    def test_the_project_is_the_given_one_else_the_sources_else_the_folders(self, take: Take, tmp_path: Path) -> None:
        assert [
            take(MadeRun("a", calls(1), project="its"), project="given").info.project,  # type: ignore[union-attr]
            take(MadeRun("b", calls(1), project="its")).info.project,  # type: ignore[union-attr]
            take(MadeRun("c", calls(1))).info.project,  # type: ignore[union-attr]
        ] == ["given", "its", "place"]

    def test_a_project_that_cannot_be(self, take: Take) -> None:
        with pytest.raises(ValueError, match="--project"):
            take(MadeRun("a"), project="../x")


class TestOnce:
    def test_a_second_import_adds_nothing(self, take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = take(MadeRun("r1", calls(3)))
        files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        second = Importer(Path("../runs")).take(MadeSource(str(tmp_path / "place")), MadeRun("r1", calls(3)))
        assert (second.state, second.values) == ("there", 3)
        assert second.directory is not None
        assert first.directory is not None
        assert second.directory.path.resolve() == first.directory.path.resolve()
        assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    def test_it_is_found_in_another_project(self, take: Take, tmp_path: Path) -> None:
        take(MadeRun("r1", calls(3)), project="one")
        assert take(MadeRun("r1", calls(3)), project="other").state == "there"
        only_run(tmp_path)

    def test_equal_ids_of_other_times_or_places_are_other_runs(self, take: Take, tmp_path: Path) -> None:
        take(MadeRun("version_0", calls(1)))
        take(MadeRun("version_0", calls(1), created=BEGIN + 0.5))
        for place in ("a", "b"):
            run = MadeRun("version_0", calls(1), created=None)
            Importer(tmp_path / "runs").take(MadeSource(str(tmp_path / place)), run)
        assert len(list(find_runs(tmp_path))) == 4

    def test_a_run_that_has_grown_is_told(self, take: Take, tmp_path: Path) -> None:
        take(MadeRun("r1", calls(3), outcome=None))
        assert take(MadeRun("r1", calls(5), outcome=None)).state == "changed"
        assert take(MadeRun("r1", calls(3))).state == "changed"
        assert len(metrics(only_run(tmp_path))) == 3

    def test_and_replaced_if_that_is_asked_for(self, take: Take, tmp_path: Path) -> None:
        first = take(MadeRun("r1", calls(3)))
        second = take(MadeRun("r1", calls(5)), again=True)
        assert (second.state, second.values) == ("replaced", 5)
        assert only_run(tmp_path).path == first.directory.path  # type: ignore[union-attr]
        assert only_run(tmp_path).load().name == "r1"
        assert len(metrics(only_run(tmp_path))) == 5
        assert take(MadeRun("r1", calls(5)), again=True).state == "there"

    def test_but_not_if_it_was_delivered(self, take: Take, tmp_path: Path) -> None:
        from accel_track.delivery.sync import Sync

        first = take(MadeRun("r1", calls(3)))
        assert first.directory is not None
        Sync(first.directory, ["jsonl"]).deliver(follow=False, timeout=60)
        second = take(MadeRun("r1", calls(5)), again=True)
        assert second.state == "imported"
        assert sorted(len(metrics(run)) for run in find_runs(tmp_path)) == [3, 5]
        assert {run.load().name for run in find_runs(tmp_path)} == {"r1", "r1-2"}
        assert take(MadeRun("r1", calls(5))).state == "there"
        assert take(MadeRun("r1", calls(5)), again=True).state == "there"

    def test_two_at_once_do_not_make_two(self, take: Take, tmp_path: Path) -> None:
        found: list[Imported] = []
        threads = [threading.Thread(target=lambda: found.append(take(MadeRun("r1", calls(2000))))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(one.state for one in found) == ["imported", *["there"] * 7]
        assert len(metrics(only_run(tmp_path))) == 2000

    @pytest.mark.long
    def test_three_processes_at_once_do_not_make_two(self, tmp_path: Path) -> None:
        (tmp_path / "table.csv").write_text("step,loss\n" + "".join(f"{n},{n / 2}\n" for n in range(50_000)))
        command = [sys.executable, "-m", "accel_track", "import", str(tmp_path / "table.csv"), "--into", str(tmp_path)]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        texts = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
        assert sum("values, imported" in text for text in texts) == 1
        assert sum("there already" in text for text in texts) == 2
        assert len(metrics(only_run(tmp_path))) == 50_000

    def test_another_one_that_does_not_end(self, take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("accel_track.importers.importer._PATIENCE", 0.1)
        source, run = MadeSource(str(tmp_path / "place")), MadeRun("r1", calls(1))
        lock = acquired(tmp_path / "runs" / PARENT / IMPORTING / f"{run_id_of(source, run)}.lock")
        assert lock is not None
        with pytest.raises(TimeoutError, match="another process has been importing this run"):
            take(run)
        lock.release()
        assert take(run).state == "imported"

    def test_a_run_that_came_from_elsewhere_meanwhile(
        self, take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Copied there, for example: what is there stays."""
        first = take(MadeRun("r1", calls(2)))
        monkeypatch.setattr(Importer, "_copies", lambda *_: iter(()))
        assert take(MadeRun("r1", calls(3))).state == "there"
        assert len(metrics(only_run(tmp_path))) == 2
        assert first.directory is not None
        assert not list((tmp_path / "runs" / PARENT / IMPORTING / "runs").iterdir())


class TestHostileAndTorn:
    def test_what_is_readable_is_kept(self, take: Take, tmp_path: Path) -> None:
        def logged(_: Path) -> Iterator[Any]:
            yield from calls(3)
            raise ValueError("torn at byte 17")

        found = take(MadeRun("r1", logged))
        assert (found.state, found.values) == ("imported", 3)
        assert found.lost == {"what follows, since it cannot be read: ValueError: torn at byte 17": 1}
        assert only_run(tmp_path).load().imported.lost == dict(found.lost)  # type: ignore[union-attr]
        assert len(metrics(only_run(tmp_path))) == 3

    def test_of_a_run_of_which_nothing_is_readable_nothing_is_kept(self, take: Take, tmp_path: Path) -> None:
        def logged(_: Path) -> Iterator[Any]:
            raise ValueError("torn at byte 0")
            yield

        found = take(MadeRun("r1", logged))
        assert (found.state, found.directory, found.lost.total()) == ("failed", None, 1)
        assert not list(find_runs(tmp_path))
        assert not list((tmp_path / "runs" / PARENT / IMPORTING / "runs").iterdir())

    def test_an_empty_run_is_a_run(self, take: Take, tmp_path: Path) -> None:
        assert take(MadeRun("r1")).state == "imported"
        assert read(only_run(tmp_path)) == []

    def test_odd_records(self, take: Take, tmp_path: Path) -> None:
        class Odd:
            pass

        logged = [
            Metrics(-1, BEGIN, {"loss": 0.5}, -1),
            Metrics(-1, BEGIN, {"loss": 0.5}, 1.5),  # type: ignore[arg-type]
            Metrics(-1, BEGIN, {"loss": 0.5}, 2**80),
            Metrics(-1, BEGIN, {3: 0.5}, 1),  # type: ignore[dict-item]
            Metrics(-1, BEGIN, None, 1),  # type: ignore[arg-type]
            Metrics(-1, BEGIN, {"odd": Odd(), "loss": 0.5}, 2**32 - 1),
            Metrics(-1, BEGIN, {"long": "x" * 17_000_000}, 2),
            Metrics(-1, BEGIN, {"image": media.Image("there/is/none.png")}, 3),
            Metrics(-1, BEGIN, {"na\udce9me": 0.25}, np.int64(4)),  # type: ignore[arg-type]
            "no record",
        ]
        found = take(MadeRun("r1", logged))
        assert {sentence.split(", such as")[0]: count for sentence, count in found.lost.items()} == {
            "steps that are no integers of 0 or more; their values are kept without one": 3,
            "calls that are none": 2,
            "values of a kind that no file can hold": 1,
            "calls that are too long for a record": 1,
            "values that could not be kept": 1,
            "records of the unknown kind str": 1,
        }
        back = [(one.step, one.values) for one in metrics(only_run(tmp_path)) if "loss" in one.values]
        assert back[:3] == [(None, {"loss": 0.5})] * 3
        assert back[3][0] == 2**32 - 1
        assert metrics(only_run(tmp_path))[-1].values == {"na\\udce9me": 0.25}

    def test_configuration_that_is_none(self, take: Take, tmp_path: Path) -> None:
        run = MadeRun("r1", calls(1))
        run.config = {1: 2}  # type: ignore[dict-item]
        assert take(run).lost.total() == 1
        assert len(read(only_run(tmp_path))) == 1

    def test_links_that_lead_out_are_not_followed(self, take: Take, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.mkdir()
        (secret / "key.wav").write_bytes(b"secret")
        place = tmp_path / "place"
        (place / "file.wav").symlink_to(secret / "key.wav")
        (place / "folder").symlink_to(secret)
        (place / "some").mkdir()
        (place / "some" / "own").write_bytes(b"own")
        (place / "some" / "link").symlink_to(place / "some" / "own")
        (place / "more").mkdir()
        (place / "more" / "link").symlink_to(secret / "key.wav")
        logged = [
            Metrics(-1, BEGIN, {"sound": media.Audio(place / "file.wav"), "loss": 0.5}, 0),
            *(
                Artifact(-1, BEGIN, {}, name, str(place / name), "dataset", 0)
                for name in ("file.wav", "folder", "folder/key.wav", "more", "some", "gone")
            ),
            Checkpoint(-1, BEGIN, {}, "last", str(place / "folder" / "key.wav"), 0),
        ]
        found = take(MadeRun("r1", logged))
        assert found.lost.total() == 7
        assert [one.name for one in read(only_run(tmp_path)) if isinstance(one, Artifact)] == ["some"]
        for file in only_run(tmp_path).path.rglob("*"):
            assert not file.is_file() or b"secret" not in file.read_bytes()

    def test_a_full_disk_leaves_nothing(self, take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real, left = os.write, 40_000

        def write(file: int, data: Any) -> int:
            nonlocal left
            left -= len(data)
            if left < 0:
                raise OSError(28, "No space left on device")
            return real(file, data)

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space"):
            take(MadeRun("r1", calls(10_000)))
        monkeypatch.undo()
        assert not list((tmp_path / "runs").rglob("*.seg"))
        assert take(MadeRun("r1", calls(10_000))).state == "imported"


_KILLED = """
import sys, os, time
from pathlib import Path
from accel_track.importers.importer import Importer
from tests.support.made_source import MadeRun, MadeSource, calls
folder, at = Path(sys.argv[1]), int(sys.argv[2])

def logged(scratch):
    for number, call in enumerate(calls(5000)):
        if number == at:
            print("now", flush=True)
            time.sleep(60)
        yield call

import shutil
if at == 5000:
    real = shutil.rmtree
    def rmtree(path, *a, **k):
        if "scratch" in str(path):
            print("now", flush=True)
            time.sleep(60)
        return real(path, *a, **k)
    shutil.rmtree = rmtree
if at == 5001:
    from accel_track.journal.directory import RunDirectory
    real_save = RunDirectory.save
    def save(self, info):
        real_save(self, info)
        print("now", flush=True)
        time.sleep(60)
    RunDirectory.save = save
Importer(folder / "runs").take(MadeSource(str(folder / "place")), MadeRun("r1", logged))
"""


@pytest.mark.parametrize("at", [0, 1, 4000, 5000, 5001])
def test_a_killed_import_leaves_nothing_that_looks_whole(take: Take, tmp_path: Path, at: int) -> None:
    """Kill -9 at the first record, in the middle, before the end, and when all but the name is done."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path), str(at)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
    )
    with process:  # closes its pipe
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.kill()
    assert not list(find_runs(tmp_path))
    assert list((tmp_path / "runs" / PARENT / IMPORTING / "runs").iterdir())
    assert take(MadeRun("r1", calls(5000))).state == "imported"
    assert len(metrics(only_run(tmp_path))) == 5000
    assert not list((tmp_path / "runs" / PARENT / IMPORTING / "runs").iterdir())
