"""The build's hook: with the repository's address, the package's page links there, and the metadata name it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE = "REPOSITORY_URL"


class RepositoryHook(MetadataHookInterface):
    """Make what depends on `REPOSITORY_URL`, the repository's address at a forge; without it, links stay relative."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme` and `urls`."""
        metadata["urls"] = {}
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        if address := os.environ.get(VARIABLE, "").rstrip("/"):
            tag = f"v{metadata['version']}"
            text = absolute(text, f"{address}/blob/{tag}/", f"{address}/raw/{tag}/")
            metadata["urls"] = {
                "Repository": address,
                "Documentation": f"{address}/blob/{tag}/docs/index.md",
                "Changelog": f"{address}/blob/{tag}/CHANGELOG.md",
                "Issues": f"{address}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(text: str, pages: str, files: str) -> str:
    """Return Markdown whose relative links lead to `pages`, and whose pictures come from `files`."""

    def led(link: re.Match[str]) -> str:
        return f"{link[1]}({files if link[1].startswith('!') else pages}"

    return re.sub(r"(!?\[[^\]]*\])\((?![a-z]+:|#)", led, text)
