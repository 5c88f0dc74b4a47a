"""The recognition of credentials, by the name of a value or by their shape in a text."""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from typing import Any

from accel_track.credentials import rules

REDACTED = "***"

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORDS = re.compile(r"[a-z]+[0-9]*|[0-9]+")
_LONGEST_NAME = 200

_PAIR = re.compile(  # a name of up to three words, and what stands between it and its value
    r"(?<![\w.\-])(?P<name>(?:[A-Za-z]+ )?(?:[A-Za-z]+ )?[\w.\-]+)"
    r"(?P<sign>(?:\\*[\"'])?\s{0,3}(?:=>|:=|[=:])\s{0,3}|(?<=\w)>)",
    re.ASCII,
)
_OPTION = re.compile(
    r"(?<![\w\-])--?(?P<name>[A-Za-z][\w.\-]*)(?P<sign>\\*[\"'],\s{0,3}(?=\\*[\"'])|\s{1,3}(?=[^\s\-]))", re.ASCII
)
_NO_VALUE = ("", "\n", " ", ",", ";", ")", "]", "}", "<")
_QUOTE = re.compile(r"[bru]?(\\*[\"'])")
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey|api-key|digest|negotiate)\s{1,3}", re.IGNORECASE)
_BRACKETS = re.compile(r"[\[({][^\])}\n]*[\])}]?")
_BARE = re.compile(  # goes on behind a comma, a bracket or a quote inside of a word, unless another name follows
    r"(?:[^\s,;&\"'<>)\]}]|[,;&\"'<>)\]}]+(?=\w)(?![\w.\- ]{1,60}[\"']?\s?[=:]))+"
)
_FIELD = re.compile(r"[^;\n\"']{0,256}")
_ANOTHER_FIELD = re.compile(r"\s{0,3};\s{0,3}(?:[A-Za-z][\w ]{0,60}=|[\"']|$|\n)")
_LINE = re.compile(r"[^\n\"']*")
_PARAMETERS = re.compile(r"[A-Za-z]{1,20} [a-z]{1,20}=[^\n]*")
_PROSE = re.compile(r"(?:[a-z]{1,15}|\d{1,3})[^\w]*")

_KIND = re.compile(r"(?<![\w\-])(?P<kind>bearer|basic)\s{1,3}(?P<value>[\w.~+/\-]{8,}={0,2})", re.IGNORECASE | re.ASCII)
_URL = re.compile(r"://(?:(?!://)[^\s\"'<>])+")
_PORT = re.compile(r"\d{0,5}(?=[/?#,;)\]}\s]|$)")
_HOST = re.compile(r"(?:[\w\-]+(?:\.[\w\-]+)+|localhost|\[[\da-fA-F:]+\])(?::\d+)?(?=[/?#,;)\]}\s]|$)")
_SPACED_USER_INFO = re.compile(r"(?<=://)[^\s:/@?#\[\"'<>]{0,100}:(?=[^\s/])(?P<value>(?:[^\n@:]|:(?!//)){1,200})@")
_SCHEMELESS = re.compile(  # of Go and of Oracle
    r"(?<![\w.\-])(?P<user>[\w.\-]+):[^\s@:]+@(?=(?:tcp|udp|unix)\()|(?<=jdbc:oracle:)(?P<oracle>\w{1,20}:[^/\s@]{1,100})/[^\s@]{1,200}@"
)
_NETRC = re.compile(r"(?P<before>\blogin\s{1,3}\S+\s{1,3}password\s{1,3})\S+")
_LONG_WORD = re.compile(r"[\w.\-]{15}", re.ASCII)  # none of the shapes is shorter
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


def is_secret(name: str, value: Any) -> bool:
    """Return whether a value is a credential by its name: a text, or a list of texts, named such as `api_key`."""
    kind = kind_of(name)
    return kind is not None and _is_value(kind, value)


@lru_cache(4096)
def kind_of(name: str) -> str | None:
    """Return "password", "directory" (a password unless it is a path), "token" or "secret"; None for other names."""
    if name in ("PWD", "OLDPWD"):  # of a shell, or of a connection string
        return "directory"
    words = _WORDS.findall(_CAMEL.sub("_", name[-_LONGEST_NAME:]).lower())
    if not words:
        return None
    if (
        any(word in rules.PASSWORDS or word.endswith("password") for word in words[:-1])
        and _single(words[-1]) not in rules.ABOUT
    ):
        return "password"
    if " ".join(words[-3:-1]) == "api key" and _single(words[-1]) not in rules.ABOUT:
        return "secret"
    if _is_phrase(words):
        return "secret"
    while len(words) > 1 and (words[-1].isdigit() or words[-1].rstrip("0123456789") in rules.ADDED_WORDS):
        words.pop()
    last = words[-1].rstrip("0123456789") or words[-1]
    return _kind_of_last(words[:-1], _single(last), plural=last != _single(last)) or (
        "secret" if _is_phrase(words) else None
    )


def _single(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _is_phrase(words: list[str]) -> bool:
    return any(" ".join(words[-count:]) in rules.SECRET_PHRASES for count in (2, 3))


def _kind_of_last(before: list[str], last: str, *, plural: bool) -> str | None:  # noqa: PLR0911 - a rule a line
    of = before[-1] if before else ""
    if last in rules.PASSWORDS or last.endswith(("password", "pwd")):
        return "password"
    if last == "token":
        if plural:
            return "token" if of in rules.KEY_OF else None
        of_vocabulary = of.rstrip("0123456789") in rules.TOKENS_OF_A_VOCABULARY
        return None if of_vocabulary and rules.VENDORS.isdisjoint(before) else "token"
    if last in ("auth", "secret"):
        return None if of in rules.SWITCHED else "secret"
    if last in rules.SECRET_WORDS or last.endswith(rules.SECRET_ENDINGS):
        return "secret"
    if last in ("key", "pat"):
        return "secret" if of in rules.KEY_OF and "public" not in before else None
    if last in ("pass", "pw"):
        return "secret" if of in rules.PASS_OF or (not of and last == "pass") else None
    for ending in ("token", "key", "pass", "auth"):
        if last.endswith(ending):
            first = last.removesuffix(ending)
            known = ending == "token" or first in rules.KEY_OF or (ending != "key" and first in rules.PASS_OF)
            return _kind_of_last([*before, first], ending, plural=plural) if known else None
    return None


def _is_value(kind: str, value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if kind == "directory":
            return not text.startswith(("/", "~", "."))
        return bool(text) and (kind != "token" or not _is_of_vocabulary(text))
    if isinstance(value, int) and not isinstance(value, bool):
        return kind == "password"
    return isinstance(value, (list, tuple, set, frozenset, deque)) and any(
        not isinstance(item, (int, float)) and _is_value(kind, item) for item in value
    )


def _is_of_vocabulary(text: str) -> bool:
    """Return whether a text is a token of a vocabulary, such as `<pad>`, `[CLS]`, `##` or "mean"."""
    text = text[:_LONGEST_NAME].strip()
    bracketed = text[:1] + text[-1:] in ("<>", "[]", "{}", "()")
    return (
        bracketed or not any(map(str.isalnum, text)) or len(text) == 1 or text.lower() in rules.TOKENS_OF_A_VOCABULARY
    )


def scrubbed(text: str) -> str:
    """Return a text with the credentials in it replaced by "***": in URLs, behind their names, known by their shapes.

    The time is proportional to the length of the text, whatever the text holds.
    """
    if len(text) < 4 or text.isalpha():  # noqa: PLR2004 - "a=b" is no credential yet
        return text
    if "-----BEGIN " in text:
        text = _without_private_keys(text)
    if "://" in text:
        text = rules.WEBHOOKS.sub(rf"\g<host>{REDACTED}", text)
        if "@" in text:
            text = _SPACED_USER_INFO.sub(_without_spaced_user_info, _URL.sub(_without_user_info, text))
    if "@" in text:
        text = _SCHEMELESS.sub(lambda it: f"{it['user'] or it['oracle']}:{REDACTED}@", text)
    lower = text.lower()
    if any(stem in lower for stem in rules.STEMS):
        text = _without_named(_without_named(text, _PAIR), _OPTION)
    if _LONG_WORD.search(text):
        text = rules.SHAPES.sub(REDACTED, text)
        text = rules.MIXED_SHAPES.sub(lambda it: REDACTED if _is_mixed(it[0]) else it[0], text)
        text = rules.DOTTED_SHAPES.sub(REDACTED, text)
    if "ogin" in text:
        text = _NETRC.sub(rf"\g<before>{REDACTED}", text)
    return _KIND.sub(_without_kind, text) if " " in text else text


def _without_private_keys(text: str) -> str:
    kept, at = [], 0
    while (begin := _KEY_BEGINS.search(text, at)) is not None:
        end = text.find("-----END ", begin.end())
        close = -1 if end < 0 else text.find("-----", end + 9)
        kept.append(text[at : begin.start()] + REDACTED)
        at = len(text) if close < 0 else close + 5
    return "".join([*kept, text[at:]])


def _without_user_info(match: re.Match[str]) -> str:
    rest = match[0][3:]
    if "@" not in rest:
        return match[0]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    name, colon, _ = authority.partition(":")
    if "@" in authority:
        end = authority.rindex("@")
        if ":" in authority[:end] and not _HOST.match(rest, end + 1):  # or the password holds further "@"
            end = rest.rindex("@")
    elif colon and not name.startswith("[") and not _PORT.match(rest, len(name) + 1):
        end = rest.rindex("@")  # the password holds a slash, or the like
    else:
        return match[0]
    return f"://{REDACTED}{rest[end:]}"


def _without_spaced_user_info(match: re.Match[str]) -> str:
    return match[0] if _PORT.match(match["value"]) else f"{REDACTED}@"


def _without_named(text: str, pattern: re.Pattern[str]) -> str:
    kept, done, at = [], 0, 0
    while (match := pattern.search(text, at)) is not None:
        at = match.end()
        if (span := _value_behind(text, match)) is not None:
            begin, at = span
            kept.append(text[done:begin] + REDACTED)
            done = at
    return "".join([*kept, text[done:]]) if kept else text


def _value_behind(text: str, match: re.Match[str]) -> tuple[int, int] | None:
    """Return the place of the credential behind a name in a text, or None if the name is no credential's."""
    name, sign, begin = match["name"], match["sign"], match.end()
    last = name.rpartition(" ")[2]  # in "user=me pass=…", the first word is the value of another name
    kind = (kind_of(last) if "=" in sign else None) or kind_of(name)
    before = text[max(0, match.start() - 4) : match.start()]
    if kind is None and not (before.endswith(("?", "&")) and name.lower() in rules.QUERY_NAMES):
        return None
    if text[begin : begin + 1] in _NO_VALUE or (sign == ">" and not before.endswith("<")):
        return None
    quote = _QUOTE.match(text, begin)
    if quote is not None:
        begin = quote.end()
        end = _closing(text, begin, quote[1])
    elif (brackets := _BRACKETS.match(text, begin)) is not None:
        end = brackets.end()
    else:
        end = _end_of_bare(text, match, begin)
    authorization = last.lower().endswith("authorization")
    if (quote is None or authorization) and (scheme := _SCHEME.match(text, begin, end)) is not None:
        begin = scheme.end()
    value = text[begin:end]
    if value.startswith(REDACTED) or value.lower() in rules.NOTHING or not any(map(str.isalnum, value[:_LONGEST_NAME])):
        return None
    if kind is None:
        return (begin, end) if len(value) >= 16 else None  # noqa: PLR2004 - as QUERY_NAMES says
    prose = quote is None and kind != "password" and ":" in sign and sign[-1].isspace() and _PROSE.fullmatch(value)
    if prose and last.isalpha() and not authorization:  # "unexpected token: end"
        return None
    return (begin, end) if _is_value(kind, value) else None


def _closing(text: str, begin: int, quote: str) -> int:
    """Return the end of a quotation: the same quote or, without one, the end of its line."""
    at = begin
    while (at := text.find(quote, at)) >= 0:
        if quote[0] == "\\" or text[at - 1] != "\\" or text[at - 2] == "\\":
            return at
        at += 1
    line = text.find("\n", begin)
    return len(text) if line < 0 else line


def _end_of_bare(text: str, match: re.Match[str], begin: int) -> int:
    if match["name"].lower().endswith(("authorization", "cookie")) and ":" in match["sign"]:
        line = _PARAMETERS.match(text, begin) or _LINE.match(text, begin)
        return begin if line is None else line.end()
    if match["sign"] == ">":
        return max(begin, text.find("<", begin))
    if "=" in match["sign"]:  # of a connection string, whose values may hold spaces
        field = _FIELD.match(text, begin)
        end = begin if field is None else field.end()
        if _ANOTHER_FIELD.match(text, end) or (
            end == len(text) and text[max(0, match.start() - 4) : match.start()].rstrip(" ").endswith(";")
        ):
            return end
    scheme = _SCHEME.match(text, begin)
    bare = _BARE.match(text, begin if scheme is None else scheme.end())
    return begin if bare is None else bare.end()


def _is_mixed(token: str) -> bool:
    """Return whether letters and digits are mixed, as in random texts."""
    parts = (part for part in re.split(r"[_\-]", token) if len(part) >= 10)  # noqa: PLR2004 - longer than most words
    return any(not part.isalpha() and not part.isdigit() for part in parts)


def _without_kind(match: re.Match[str]) -> str:
    value = match["value"]
    told = value[-1] == "=" or any(map(str.isdigit, value)) or not value[1:].islower()
    return f"{match['kind']} {REDACTED}" if told else match[0]
