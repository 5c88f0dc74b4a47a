"""Claims: who delivers a mirrored run to a tracker, where `flock` reaches no further than one machine."""

from __future__ import annotations

import os
import secrets
import socket
import time

import msgspec

from accel_track.mirror.layout import LARGEST_DOCUMENT, decoded, encoded
from accel_track.mirror.store import Store

RENEWED = 60.0
"""Seconds after which a claim is renewed."""

LASTS = 300.0
"""Seconds after which a claim that was not renewed counts for nothing; clocks may differ by less than four minutes."""

_WRITTEN = 1.0
"""Seconds in which a claim that was made is written."""


class _Claimed(msgspec.Struct):
    """The content of a claim.

    Attributes:
        by: Who has made it.
        place: The copies to which its maker holds the lock: who holds that now knows that the maker is gone.
        time: When it was made or renewed, in seconds since 1970-01-01 UTC.
    """

    by: str
    place: str
    time: float


class Claim:
    """An object that says that this process delivers; made by `taken`.

    Args:
        store: Where it is.
        name: Its name.
        place: Names the folder of copies in which the caller holds the run's lock; empty for none.
    """

    def __init__(self, store: Store, name: str, place: str = "") -> None:
        """Claim nothing yet."""
        self._store, self._name, self._place = store, name, place
        self._by = f"{socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(4)}"
        self._renewed_at = 0.0

    @property
    def holder(self) -> str | None:
        """The collector whose claim counts, or None.

        Raises:
            StoreError: The store cannot be reached.
        """
        found = self._found()
        return None if found is None or time.time() - found.time > LASTS else found.by

    def _found(self) -> _Claimed | None:
        found: _Claimed | None = decoded(self._store.get(self._name, LARGEST_DOCUMENT), _Claimed)
        return found

    def take(self) -> bool:
        """Claim the run; return False if somebody else has.

        Raises:
            StoreError: The store cannot be reached.
        """
        mark = self._store.mark(self._name)
        if self._store.put_new(self._name, self._content()):
            return True
        found = self._found()
        if found is None:  # in a folder, it may be made and not written yet
            time.sleep(_WRITTEN)
            found = self._found()
        is_left = found is not None and self._place and found.place == self._place
        if mark is None or not (is_left or self.holder is None):  # made just now, or held
            return False
        return self._store.put_over(self._name, self._content(), mark) and self._is_ours()

    def _is_ours(self) -> bool:
        found = self._found()
        return found is not None and found.by == self._by

    def renew(self) -> bool:
        """Renew the claim, if it is time; return False if somebody else has the run by now.

        Raises:
            StoreError: The store cannot be reached.
        """
        if time.monotonic() - self._renewed_at < RENEWED:
            return True
        mark = self._store.mark(self._name)
        return self._is_ours() and self._store.put_over(self._name, self._content(), mark)

    def release(self) -> None:
        """Give the claim up.

        Raises:
            StoreError: The store cannot be reached.
        """
        if self._is_ours():
            self._store.delete(self._name)

    def _content(self) -> bytes:
        self._renewed_at = time.monotonic()
        return encoded(_Claimed(self._by, self._place, time.time()))
