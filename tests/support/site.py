"""The documents' site: built, served on this machine, and looked at. `python -m tests.support.site FOLDER` keeps a picture of each page."""

import contextlib
import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.browser import chromium, prefer, resize

ROOT = Path(__file__).parents[2]
WIDTHS = {"wide": 1280, "phone": 390}


def build(folder: Path, **variables: str) -> Path:
    """Build the site, strictly, into a folder."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", **variables}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pages(site: Path) -> list[str]:
    """Return the pages of a site, as paths of its server."""
    return sorted(path.relative_to(site).as_posix().removesuffix("index.html") for path in site.rglob("index.html"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder, and yield the address."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


class Named(NamedTuple):
    """What a page names."""

    ids: set[str]
    links: set[str]


class _Names(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = Named(set(), set())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if name := given.get("id"):
            self.found.ids.add(name)
        if link := given.get("href" if tag in ("a", "link") else "src"):
            self.found.links.add(link)


def named(page: Path) -> Named:
    """Return the ids and links in a page."""
    names = _Names()
    names.feed(page.read_text(encoding="utf-8"))
    return names.found


def _picture(browser: Any, path: Path) -> None:
    height = min(int(browser.execute_script("return document.documentElement.scrollHeight")), 6000)
    width = int(browser.execute_script("return window.innerWidth"))
    resize(browser, width, height)
    path.write_bytes(browser.get_screenshot_as_png())
    resize(browser, width, 900)


def main(folder: Path) -> None:
    """Keep a picture of each page, at each width, light and dark."""
    folder.mkdir(parents=True, exist_ok=True)
    site = build(folder / "site")
    with served(site) as address, chromium() as browser:
        for page in pages(site):
            browser.get(address + page)
            for width, pixels in WIDTHS.items():
                for dark in (False, True):
                    prefer(browser, dark=dark)
                    resize(browser, pixels, 900)
                    name = f"{page.strip('/').replace('/', '-') or 'home'}-{width}-{'dark' if dark else 'light'}.png"
                    _picture(browser, folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
