"""Pipes and links in the place of files: nobody waits for one, or goes through one out of the folder."""

import os
from pathlib import Path

import pytest

from accel_track.errors import NotReadableError
from accel_track.importers.aim import AimSource
from accel_track.importers.swanlab import SwanLabSource
from accel_track.importers.trackio import TrackioSource


def pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


@pytest.mark.timeout(60)
def test_pipes(tmp_path: Path) -> None:
    for name in ("a.db", "a.swanlab", "inbox/writer/0.jsonl"):
        pipe(tmp_path / name)
    for kind in ("meta", "seqs"):
        pipe(tmp_path / ".aim" / kind / "chunks" / "abc" / "CURRENT")
    pipe(tmp_path / ".aim" / "run_metadata.sqlite")
    for source in (SwanLabSource, TrackioSource):
        for place in (tmp_path, tmp_path / "a.db", tmp_path / "a.swanlab"):
            assert not source.recognises(str(place))
            with pytest.raises(NotReadableError):
                list(source(str(place)).runs())
    (run,) = AimSource(str(tmp_path)).runs()
    assert list(run.records(tmp_path)) == []
    assert sum(run.lost.values()) == 3


@pytest.mark.timeout(60)
def test_links(tmp_path: Path) -> None:
    """Files and folders that are links to others of the kind are not read."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (outside / "inbox" / "writer").mkdir(parents=True)
    (outside / "inbox" / "writer" / "0.jsonl").write_text(
        '{"kind": "metric", "project": "p", "run": "r", "metrics": {}}'
    )
    (outside / "a.swanlab").write_bytes(b":SWL\xd6\xe1\x02")
    assert TrackioSource.recognises(str(outside))
    assert SwanLabSource.recognises(str(outside))
    inside.mkdir()
    for name in ("inbox", "a.swanlab"):
        (inside / name).symlink_to(outside / name)
    assert not TrackioSource.recognises(str(inside))
    assert not SwanLabSource.recognises(str(inside))
