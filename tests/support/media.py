"""Media as a worker gives them to trackers, and files for artifacts."""

from collections.abc import Mapping
from pathlib import Path

from accel_track.media import Medium
from accel_track.media.fallbacks import stored


def given(values: Mapping[str, Medium], folder: Path) -> dict[str, Medium]:
    """Return media with their files in a folder."""
    return {name: stored(medium, folder / "media") for name, medium in values.items()}


def files(folder: Path) -> Path:
    """Write a folder with two files, `a.txt` and `deep/b.bin`, that hold their names."""
    for name in ("a.txt", "deep/b.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder
