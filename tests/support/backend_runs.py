"""What readers of backends give of a run, as tests compare it."""

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.media import Text
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.values.plain import leaves


class Held(NamedTuple):
    """The records of a run.

    Attributes:
        points: Steps and values by name; of texts that are media the text.
        times: Times by name.
        artifacts: Artifacts by name.
        rows: The values of each call.
    """

    points: dict[str, list[tuple[int | None, Any]]]
    times: dict[str, list[float]]
    artifacts: dict[str, list[Artifact]]
    rows: list[Metrics]


def held(run: BackendRun, scratch: Path) -> Held:
    """Read a run's records."""
    scratch.mkdir(parents=True, exist_ok=True)
    found = Held(defaultdict(list), defaultdict(list), defaultdict(list), [])
    for record in run.records(scratch):
        if isinstance(record, Metrics):
            found.rows.append(record)
            for name, value in leaves(record.values):
                found.points[name].append((record.step, value.text if isinstance(value, Text) else value))
                found.times[name].append(record.time)
        else:
            assert isinstance(record, Artifact)
            found.artifacts[record.name].append(record)
    return found
