"""What a source yields of its runs, as tests compare it."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from accel_track import media
from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.values.plain import leaves

Points = dict[str, list[tuple[int | None, Any]]]


class Found:
    """The content of one run.

    Attributes:
        points: Step and value of each number and text, by name.
        media: Step and medium of each medium, by name.
        files: The bytes of an artifact's files by their paths, by the artifact's name; the last of a name.
        records: All of it, as it came.
    """

    def __init__(self, run: BackendRun, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self.run = run
        self.points: Points = defaultdict(list)
        self.media: Points = defaultdict(list)
        self.files: dict[str, dict[str, bytes]] = {}
        self.records = list(run.records(scratch))
        for record in self.records:
            assert record.seq == -1
            if isinstance(record, Metrics):
                assert record.step is None or (type(record.step) is int and record.step >= 0)
                for name, value in leaves(record.values):
                    for one in value if isinstance(value, list) else [value]:
                        kind = self.media if isinstance(one, media.Medium) else self.points
                        kind[name].append((record.step, one))
            elif isinstance(record, (Artifact, Checkpoint)):
                self.files[record.name] = contents(Path(record.path))

    def artifact(self, name: str) -> Artifact:
        """Return the only artifact of a name."""
        (found,) = (one for one in self.records if isinstance(one, Artifact) and one.name == name)
        return found


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of a file, or of all in a folder, by their names."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}
