"""The hook by which the documents' site has the chart that lies with the benchmarks' data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

CHART = "benchmarks/performance.svg"


def on_files(files: Files, config: Any) -> Files:
    """Add the chart."""
    files.append(File.generated(config, "performance.svg", abs_src_path=str(Path(__file__).parents[1] / CHART)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let the page, whose link is that of the repository, show it."""
    return markdown.replace(f"(../{CHART})", "(performance.svg)")
