"""Damage done to a journal."""

from accel_track.journal import frames
from accel_track.journal.directory import RunDirectory


def flip_in_first_record(run: RunDirectory) -> int:
    """Damage the first record of a run's only segment; return where it begins."""
    (segment,) = run.rank().glob("*.seg")
    data, at = bytearray(segment.read_bytes()), frames.HEADER.size
    if data.startswith(frames.KEYS, at):  # the definition of its names, which is repeated later
        at += 12 + int.from_bytes(data[at + 4 : at + 8], "little")
    data[at + 20] ^= 0xFF
    segment.write_bytes(bytes(data))
    return at
