"""The messages in docs/faq.md are those of the package."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SystemError:  # to CPython 3.11.7, of two parsers at once one fails (gh-106905)
        return ast.parse(path.read_text(encoding="utf-8"))


def texts() -> str:
    """Return all texts of the package, with what is filled in taken out, as users read them."""
    found = []
    for path in (ROOT / "accel_track").rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.JoinedStr):
                found += [one.value for one in node.values if isinstance(one, ast.Constant)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(map(str, found)).replace("`", "")


def test_every_message_is_one() -> None:
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8").partition("\n## Messages\n")[2]
    messages = re.findall(r"^\| `+(.+?)`+ \|", page, re.MULTILINE)
    assert len(messages) > 20
    said = texts()
    parts = {part.strip(" ;.(") for message in messages for part in re.split(r"…|; ", message)}
    assert [part for part in sorted(parts) if part not in said] == []
