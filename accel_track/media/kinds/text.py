"""Texts and pages of HTML."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from accel_track.media.content import Content
from accel_track.media.kinds.medium import Medium, captioned, checked_suffix

if TYPE_CHECKING:
    pass


_SHORT = 64 * 1024
"""Characters of the longest text that is kept without a file of its own."""


class Text(Medium):
    """A text, which some backends show as Markdown.

    Args:
        text: The text.
    """

    kind = "text"

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._given = text
        self.info = {}

    def content(self) -> Content:
        """Return the text."""
        if not isinstance(self._given, str):
            message = f"`Text` takes a text; got {type(self._given).__name__}."
            raise TypeError(message)
        text = str.__str__(self._given).encode("utf-8", "backslashreplace").decode()
        return Content({"text": text}) if len(text) <= _SHORT else Content({}, ".md", data=text.encode())

    @property
    def text(self) -> str:
        """The text."""
        return str(self.info["text"]) if "text" in self.info else super().data().decode()

    def data(self) -> bytes:
        """Return the text in UTF-8."""
        return self.text.encode()


class Html(Medium):
    """A page of HTML, or a part of a page.

    Args:
        data: The HTML as a text, or the path of an HTML file as a `pathlib.Path`.
        caption: Text below the page.
    """

    kind = "html"

    def __init__(self, data: Any, caption: str | None = None) -> None:
        """Keep the HTML until it is logged."""
        self._given = data
        self.info = captioned(caption)

    def content(self) -> Content:
        """Return the HTML, or its file."""
        if isinstance(self._given, os.PathLike):
            return Content(self.info, checked_suffix(self._given, (".html", ".htm"), "an HTML file"), path=self._given)
        if not isinstance(self._given, str):
            message = f"`Html` takes a text or a path; got {type(self._given).__name__}."
            raise TypeError(message)
        return Content(self.info, ".html", data=str.__str__(self._given).encode("utf-8", "backslashreplace"))

    @property
    def text(self) -> str:
        """The HTML."""
        return self.data().decode(errors="replace")
