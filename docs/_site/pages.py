"""The site's hook: files beside the folder of the documents that are pages or pictures of the site, and links.

Pages link to files of the repository as they lie there, so that the links work in a copy of it, too. Here, a link to
one of `PAGES` becomes one to that page, a link to any other file one into the repository where its address is known
(`repo_url`), and its text where it is not.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "SECURITY.md": "security.md",
    **{f"benchmarks/{one.name}": one.name for one in sorted(ROOT.glob("benchmarks/performance-*.svg"))},
}
"""Where the site has a file of the repository."""

_LINK = re.compile(
    r"^```.*?^```$|`[^`\n]+`"  # code stays as it is
    r"|(!?)\[((?:[^\[\]]|\[[^\[\]]*\])+)\]\((?![a-z]+:|#|/)([^()\s#]*)(#[^()\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)


_INLINE = re.compile(r"<code>[^<\n]*-[^<\n]*</code>")
"""Code in a line of text; blocks of code have elements in them."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files."""
    for source, page in PAGES.items():
        if (ROOT / source).suffix == ".md":
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
        else:
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_content(html: str, **_: object) -> str:
    """Keep options such as `--dry-run`, and `accel-track`, from being broken at their hyphens."""
    option = re.compile(r"(?<![\w-])(?:--?[a-zA-Z][\w-]*|accel-track)")
    return _INLINE.sub(lambda code: option.sub(r'<span class="option">\g<0></span>', code[0]), html)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page to where the site has what they mean."""
    place = page.file.src_uri
    source = next((one for one, other in PAGES.items() if other == place), f"docs/{place}")

    def led(link: re.Match[str]) -> str:
        if link[2] is None:
            return link[0]
        picture, text, target, anchor = link.groups(default="")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if there is not None or not (ROOT / path).exists():
            return f"{picture}[{text}]({posixpath.relpath(there or path, posixpath.dirname(place) or '.')}{anchor})"
        return f"[{text}]({config.repo_url}/blob/HEAD/{path}{anchor})" if config.repo_url else text

    return _LINK.sub(led, markdown)
