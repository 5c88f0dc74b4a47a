"""The package's page on an index, which is the README: its links work there once the repository has an address."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)]*)\)")


def metadata(address: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "hatchling", "metadata"]
    environment = {**os.environ, "REPOSITORY_URL": address}
    found: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT, env=environment))
    return found


def test_with_the_repositorys_address_links_are_absolute() -> None:
    address = "https://forge.example/people/project"
    given = metadata(f"{address}/")
    tag = f"v{given['version']}"
    places = {"": f"{address}/blob/{tag}/", "!": f"{address}/raw/{tag}/"}
    links = LINK.findall(given["readme"]["text"])
    ours = [(kind, link.removeprefix(places[kind])) for kind, link in links if link.startswith(address)]
    assert {kind for kind, _ in ours} == {"", "!"}
    assert all((ROOT / path.partition("#")[0]).exists() for _, path in ours)
    assert not [link for _, link in links if not link.startswith("https://")]
    assert given["urls"]["Repository"] == address


def test_without_it_the_page_is_the_readme() -> None:
    given = metadata("")
    assert given["readme"]["text"] == (ROOT / "README.md").read_text(encoding="utf-8")
    assert not given.get("urls")
