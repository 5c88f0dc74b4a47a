"""The completion of a mirror whose program has ended, or was killed, before all was copied."""

from __future__ import annotations

import time
from collections.abc import Sequence

from accel_track.files import replace_file
from accel_track.journal.directory import RunDirectory
from accel_track.media.folder import MediaFolder
from accel_track.mirror.layout import MEDIA
from accel_track.mirror.mirrored import Mirrored, noted_file
from accel_track.mirror.store import Store
from accel_track.mirror.upload import Upload
from accel_track.texts import json_bytes

_INTERVAL = 10.0


def complete(run: RunDirectory, url: str, ranks: Sequence[int] | None = None) -> None:
    """Copy the parts of an ended run that a mirror lacks, and note there that nothing more will come.

    Args:
        run: A run of this machine that no process logs to.
        url: The mirror.
        ranks: Whose folders; None for all.

    Raises:
        StoreError: The store cannot be reached.
        JournalError: It holds another journal of the run.
        OSError: A medium cannot be encoded.
    """
    store, trackers = Store(url), dict.fromkeys(run.load().trackers, False)
    for rank in run.ranks() if ranks is None else ranks:
        files = MediaFolder(run.rank(rank) / MEDIA)
        files.find_waiting()
        while files.encode_next():
            pass
        upload, begun = Upload(store, run, rank, _INTERVAL, time.sleep), time.time()
        upload.look(trackers, over=True)
        noted = Mirrored(store.shown, begun, upload.segments, upload.behind, None)
        replace_file(noted_file(run, rank), json_bytes(noted))
