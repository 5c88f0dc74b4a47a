"""Conformance: what a tracker reads back of its own run."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.testing._backend import Backend, Bins, Columns, Seen
from accel_track.testing._media import SAMPLES, difference, write_files
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.base import GeneralTracker
from accel_track.values.plain import leaves

_CALLS: tuple[tuple[dict[str, Any], int], ...] = (
    ({"loss": 0.5, "train": {"acc": 0.25}}, 0),
    ({"loss": 0.1, "train": {"acc": 1 / 3}, "count": 7}, 1),
    ({"val/loss": 1e-30, "odd name @ 1": 2.5}, 1),
    ({"loss": -1e30, "note": "a text"}, 5),
    ({"nan": float("nan"), "inf": float("inf"), "less": float("-inf")}, 6),
)


class ReadingContract(Backend):
    """The contract of `read`: it gives what was logged, also to another process, and changes nothing."""

    @pytest.fixture(autouse=True)
    def _has_a_reader(self, request: pytest.FixtureRequest) -> None:
        """Leave these tests out where a tracker has no reader."""
        of_this_suite = request.function.__qualname__.startswith(ReadingContract.__name__)
        if of_this_suite and self.tracker_class.read is GeneralTracker.read:
            pytest.skip(f"{self.tracker_class.name} has no reader")

    @pytest.mark.filterwarnings("ignore::accel_track.errors.AccelTrackWarning")  # of what a backend does not take
    def test_what_was_logged_is_read(self, tmp_path: Path) -> None:
        """Numbers and texts, names and steps: by the tracker itself, and by one that is told which run."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"lr": 0.5, "layers": 3})
        for values, step in _CALLS:
            tracker.log(values, step=step)
        tracker.flush()
        identity = tracker.identity()
        tracker.finish()
        readers = [tracker]
        if self.tracker_class.continues:
            readers.append(self.continued(tmp_path, identity))
        for reader in readers:
            run = reader.read()
            found = _points(run, tmp_path / "scratch")
            for name, expected in self._expected(tracker).items():
                assert len(found[name]) == len(expected), (name, found[name], expected)
                for (at, value), (wanted_step, wanted) in zip(found[name], expected, strict=True):
                    assert at == wanted_step, name
                    assert value == wanted if isinstance(wanted, str) else self.close(value, wanted), name
            assert not run.lost
            assert float(dict(leaves(run.config))["lr"]) == 0.5
            assert run.outcome is None or run.outcome.status == "finished"

    def _expected(self, tracker: GeneralTracker) -> dict[str, list[tuple[int | None, Any]]]:
        """Return the points that are to be there, by stored name, of those that the backend takes."""
        points: dict[str, list[tuple[int | None, Any]]] = defaultdict(list)
        for values, step in _CALLS:
            for name, value in leaves(values):
                if isinstance(value, str):
                    taken = self.tracker_class.takes_text
                elif value != value:  # noqa: PLR0124 - NaN
                    taken = self.tracker_class.takes_nan
                else:
                    taken = self.tracker_class.takes_inf or abs(value) != float("inf")
                if taken:
                    points[tracker.stored_name(name)].append((step, value))
        return points

    def continued(self, folder: Path, identity: dict[str, Any]) -> GeneralTracker:
        """Return a tracker that is told which run it is, as `sync` makes one."""
        cls = self.tracker_class
        return cls.for_run("contract", None, folder, {**self.init_kwargs(folder), **identity})

    def test_media_are_read(self, tmp_path: Path) -> None:
        """Each kind that the backend keeps, an artifact and a model, with their content."""
        tracker: Any = self.make(tmp_path)
        tracker.start()
        files = write_files(tmp_path / "given")
        kept = {kind: self.tracker_class.media[kind] for kind in SAMPLES}
        kept = {kind: way for kind, way in kept.items() if way.how != "none" and way.by != "quantiles"}
        tracker.log({f"some/{kind}": SAMPLES[kind]() for kind in kept} | {"loss": 0.5}, step=3)
        keeps_files = self.tracker_class.media["artifact"].how != "none"
        if keeps_files:
            tracker.log_artifact(files / "a.txt", "an-artifact", type="dataset", metadata={"rows": 3})
        tracker.finish()
        run = tracker.read()
        found = seen(run, tmp_path / "read")
        problems = []
        for kind, way in kept.items():
            name = f"some/{kind}"
            some = found.get(name) or found.get(tracker.stored_name(name), [])
            if len(some) != 1:
                problems.append(f"{kind}: {len(some)} were found; there are {sorted(found)}")
            elif (problem := difference(kind, way, some[0], tmp_path / "other")) is not None:
                problems.append(f"{kind}: {problem}")
        assert not problems, "\n".join(problems)
        if keeps_files:
            (artifact,) = found["an-artifact"]
            assert artifact.what in (b"one", {"a.txt": b"one"})

    def test_there_is_no_such_run(self, tmp_path: Path) -> None:
        """A run that is not there is an error that says so."""
        tracker = self.make(tmp_path)
        with pytest.raises(NotReadableError, match=tracker.name):
            list(tracker.read().records(tmp_path / "scratch"))


def _points(run: BackendRun, scratch: Path) -> dict[str, list[tuple[int | None, Any]]]:
    points: dict[str, list[tuple[int | None, Any]]] = defaultdict(list)
    scratch.mkdir(exist_ok=True)
    for record in run.records(scratch):
        if isinstance(record, Metrics):
            for name, value in leaves(record.values):
                text = value.text if isinstance(value, media.Text) else value
                points[name].append((record.step, text))
    return points


def seen(run: BackendRun, scratch: Path) -> dict[str, list[Seen]]:
    """Return the media and artifacts of a backend run by name."""
    found: dict[str, list[Seen]] = defaultdict(list)
    scratch.mkdir(exist_ok=True)
    for record in run.records(scratch):
        if isinstance(record, (Artifact, Checkpoint)):
            found[record.name].append(Seen(_files(Path(record.path)), record.step))
        else:
            for name, value in leaves(record.values):
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, (media.Medium, str)):
                        caption = one.kept().info.get("caption", "") if isinstance(one, media.Medium) else ""
                        found[name].append(Seen(_what(one, scratch), record.step, caption))
    return found


def _files(path: Path) -> Any:
    if path.is_dir():
        return {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}
    return path.read_bytes()


def _what(one: Any, scratch: Path) -> Any:
    from accel_track.media.fallbacks import stored

    whole = one if isinstance(one, str) else stored(one, scratch)
    make = next((make for kind, make in _FORMS.items() if isinstance(whole, kind)), _bytes)
    return make(whole)


def _frames(data: bytes) -> Any:
    """Return the frames of a GIF, of which some SDKs make another one; the bytes of other videos."""
    from PIL import Image, ImageSequence

    if not data.startswith(b"GIF8"):
        return data
    with Image.open(io.BytesIO(data)) as image:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


def _bytes(medium: Any) -> bytes:
    return bytes(medium.data())


_FORMS: dict[type, Callable[[Any], Any]] = {
    str: str,
    media.Text: lambda text: text.text,
    media.Image: lambda image: image.array(),
    media.Table: lambda table: Columns(table.columns, table.rows),
    media.Histogram: lambda histogram: Bins(histogram.counts, histogram.edges),
    media.Video: lambda video: _frames(video.data()),
    media.Points3D: lambda points: np.asarray(points.array(), np.float32),
}
