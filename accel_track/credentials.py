"""What a credential looks like: its name, and its shape in a text."""

from __future__ import annotations

import re
from typing import Any

REDACTED = "***"

_SECRET = re.compile(
    r"(?:^|[_\-. ])(?:api[_\-]?key|apikey|access[_\-]?key(?:[_\-]?id)?|secret(?:[_\-]?key)?|private[_\-]?key|passwd|"
    r"password|passphrase|token|auth|authorization|credentials?|client[_\-]?secret|session[_\-]?key)$",
    re.IGNORECASE,
)
# Tokens of a vocabulary, and options about them, are no secrets.
_HARMLESS = re.compile(
    r"(?:^|[_\-.])(?:cls|pad|eos|bos|unk|mask|sep|image|audio|video|special|stop|start|end|prefix|suffix|separator|use|"
    r"add|num|max|min|per|next|first|last|decoder_start|forced_bos|forced_eos)[_\-]token$",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(?P<scheme>(?<![a-zA-Z0-9+.\-])[a-zA-Z][a-zA-Z0-9+.\-]{0,30}://)[^/\s?#]{1,2000}@")
_NAMED = re.compile(
    r"(?P<name>(?<![\w.\-])[\w.\-]{2,60})(?P<sign>[\"']?\s{0,3}[=:]\s{0,3})"
    r"(?P<value>\"[^\"\n]{0,2000}\"?|'[^'\n]{0,2000}'?|(?:Bearer |Basic )?[^\s,;&\"'}\])]{1,2000})",
    re.ASCII,
)
_BEARER = re.compile(r"\b(?P<kind>Bearer|Basic) [\w.~+/\-]{4,2000}={0,2}")


def is_secret(name: str, value: Any) -> bool:
    """Whether a value of that name looks like a credential: text, or a list of it, under a name such as `api_key`."""
    texts = value if isinstance(value, (list, tuple, set)) else (value,)
    if not any(isinstance(text, (str, bytes)) and text for text in texts):
        return False
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)  # accessToken
    return _SECRET.search(split) is not None and _HARMLESS.search(split) is None


def scrubbed(text: str) -> str:
    """Return a text with the credentials in it replaced by "***": in URLs, after their names, by their shapes."""
    if "://" in text:
        text = _USER_INFO.sub(rf"\g<scheme>{REDACTED}@", text)
    if "=" in text or ":" in text:
        text = _NAMED.sub(_without_value, text)
    return _BEARER.sub(rf"\g<kind> {REDACTED}", text) if "Bearer " in text or "Basic " in text else text


def _without_value(match: re.Match[str]) -> str:
    name, sign, value = match.group("name", "sign", "value")
    if not is_secret(name, value.strip("\"'")) or value.strip("\"'").startswith(REDACTED):
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{name}{sign}{quote}{REDACTED}{quote}"
