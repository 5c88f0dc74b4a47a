"""Names that a backend can take: the same one in every run, and never one name for two values."""

from __future__ import annotations

import hashlib
import re
import secrets
import string

_ID = string.ascii_lowercase + string.digits


def safe_name(name: str, forbidden: str, length: int) -> str:
    """Return `name`, or where a backend cannot take it a similar one that ends in a hash of it.

    It depends on nothing but `name`, so a resumed run goes on with the same series; the hash keeps "acc@1" and "acc#1"
    apart. Names that are no plain relative path (`../up`, `/a`, `a//b`, the empty one) are replaced as well, and halves
    of surrogate pairs, as a file's name may have them.

    Args:
        name: Name that the user gave, perhaps with "/" between its parts.
        forbidden: Regular expression of the characters, apart from "/", that the backend does not take.
        length: Greatest length, in bytes of UTF-8.
    """
    whole = re.sub("[\ud800-\udfff]", "_", name)
    parts = (re.sub(r"^(\.\.+|\.?$)", "_", re.sub(forbidden, "_", part)) for part in whole.split("/"))
    safe = "/".join(parts)
    return name if safe == name and len(name.encode()) <= length else hashed_name(safe, name, length)


def flat_name(name: str, forbidden: str, length: int) -> str:
    """Return a name for a backend whose names have no parts: "/" is one of the characters that it does not take."""
    whole = re.sub("[/\ud800-\udfff]", "_", name)
    safe = re.sub(r"^(\.\.+|\.?$)", "_", re.sub(forbidden, "_", whole))
    return name if safe == name and len(name.encode()) <= length else hashed_name(safe, name, length)


def hashed_name(safe: str, name: str, length: int) -> str:
    """Return `safe`, cut to make room, with a hash of `name` at its end; `length` as for `safe_name`."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{safe.encode()[: length - 9].decode(errors='ignore')}-{digest}"


def short_id() -> str:
    """Return the id of a new run: eight letters and digits, as wandb and SwanLab choose them, too."""
    return "".join(secrets.choice(_ID) for _ in range(8))
