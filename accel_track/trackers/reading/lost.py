"""The errors of what cannot be read in a source: their messages are the sentences under which it is counted."""

from __future__ import annotations

MISSING = "a file that the source names is not there"
OUTSIDE = "a file that the source names is outside of its folder, and was not read"
NO_FILE = "what the source names as a file is none"
UNREADABLE = "a file cannot be read"
NO_STEP = "a step that is no whole number from 0 on; its values are there without it"
"""The sentences for lost entries, of readers of several backends."""


class LostError(Exception):
    """A part of a source cannot be read; the message is the sentence under which it is counted."""


class MissingError(LostError):
    """A file or folder that a source names is not there."""
