"""The site builds strictly, each page fits a wide window and a phone, loads nothing from elsewhere, and leads nowhere wrong.

`tox -e docs` runs this, where what builds the site is installed.
"""

import os
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import accel_track
from tests.support.browser import chromium, complaints, resize
from tests.support.site import WIDTHS, build, named, pages, served

pytest.importorskip("mkdocs", reason="tox -e docs has it")
griffe = pytest.importorskip("griffe", reason="as mkdocs")

WITH_SCRIPTS = ("", "delivery/", "reference/run/")
FRAMES = """
const [pages, widths, done] = arguments
const found = []
const look = async (page, width) => {
  const frame = document.createElement('iframe')
  frame.sandbox = 'allow-same-origin'
  Object.assign(frame.style, {width: width + 'px', height: '900px', position: 'fixed', border: 0})
  frame.src = page
  const loaded = new Promise((resolve) => frame.addEventListener('load', resolve))
  document.body.append(frame)
  await loaded
  const {document: inside, performance} = frame.contentWindow
  if (!inside.querySelector('article h1')) found.push(page + ' is no page')
  if (inside.documentElement.scrollWidth > width) found.push(page + ' is wider than ' + width)
  for (const table of inside.querySelectorAll('.md-typeset table'))
    if (table.scrollWidth > table.clientWidth + 1) found.push(page + ' has a table wider than ' + width + ': ' + table.innerText.slice(0, 60))
  for (const {name} of performance.getEntriesByType('resource'))
    if (!name.startsWith(location.origin)) found.push(page + ' loads ' + name)
  frame.remove()
}
const todo = pages.flatMap((page) => widths.map((width) => [page, width]))
const work = async () => { while (todo.length) await look(...todo.pop()) }
Promise.all([work(), work(), work()]).then(() => done(found), (error) => done([String(error)]))
"""
"""Looks at pages in frames without scripts: a page by itself, with them, takes several times as long."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = os.environ.get("SITE")
    return Path(built) if built else build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def test_pages_fit_and_load_nothing_from_elsewhere(site: Path, browser: Any) -> None:
    wrong = []
    with served(site) as address:
        for page in WITH_SCRIPTS:
            for width in WIDTHS.values():
                resize(browser, width, 900)
                browser.get(address + page)
                if browser.execute_script("return document.documentElement.scrollWidth") > width:
                    wrong.append(f"{page} with scripts is wider than {width}")
            loaded = browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
            wrong += [f"{page} loads {one}" for one in loaded if not one.startswith(address)]
            wrong += [f"{page}: {one}" for one in complaints(browser)]
        browser.get(address + "404.html")
        browser.set_script_timeout(120)
        wrong += browser.execute_async_script(FRAMES, [f"/{page}" for page in pages(site)], list(WIDTHS.values()))
    assert len(pages(site)) > 50
    assert wrong == []


def test_links_lead_to_what_is_there(site: Path) -> None:
    found = {path: named(path) for path in site.rglob("*.html") if path.name != "404.html"}
    wrong = []
    for path, (_, links) in found.items():
        for link in links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = urllib.parse.unquote(parts.fragment)
            if not target.exists() or (anchor and target in found and anchor not in found[target].ids | {"__top"}):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert wrong == []


def test_commands_in_a_line_of_text_are_kept_whole(site: Path) -> None:
    page = (site / "delivery" / "index.html").read_text(encoding="utf-8")
    assert '<code><span class="option">accel-track</span> prune</code>' in page
    assert not [block for block in re.findall(r"<pre>.*?</pre>", page, re.DOTALL) if 'class="option"' in block]


def test_the_reference_has_all_public_names(site: Path) -> None:
    there = set().union(*(named(page).ids for page in (site / "reference").rglob("*.html")))
    assert [name for name in accel_track.__all__ if f"accel_track.{name}" not in there] == []
    accelerator = griffe.load("accel_track", resolve_aliases=True)["accelerator.facade.Accelerator"]  # without torch
    members = accelerator.all_members.items()
    documented = {name for name, one in members if one.is_function or one.labels & {"property", "cached"}}
    public = [name for name in documented if not name.startswith("_")]
    assert len(public) > 50
    assert [name for name in public if f"accel_track.Accelerator.{name}" not in there] == []  # the page lists them
    private = [name for name in there if name.startswith("accel_track.") and "._" in name and ".__" not in name]
    assert private == []
