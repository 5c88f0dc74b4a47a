"""Texts that files and terminals can take."""

import json

import msgspec
import pytest

from accel_track.errors import log_error
from accel_track.texts import clean, json_bytes, printable, storable_text, storable_texts


class Struct(msgspec.Struct):
    name: str
    counts: dict[str, int]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("", ""),
        ("plain", "plain"),
        ("中文 é 😀", "中文 é 😀"),
        ("caf\udce9.png", "caf\\udce9.png"),
        ("\ud83d\ude00", "\\ud83d\\ude00"),
        ("é\udcff中", "é\\udcff中"),
    ],
)
def test_texts_that_utf_8_and_json_take(text, stored):
    assert storable_text(text) == stored
    assert json.loads(stored.encode().join([b'"', b'"']).replace(b"\\", b"\\\\")) == stored
    assert storable_texts({text: [text, (text, 1)]}) == {stored: [stored, (stored, 1)]}
    assert msgspec.json.decode(json_bytes(Struct(text, {text: 1})), type=Struct) == Struct(stored, {stored: 1})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 中文 é 😀", "plain 中文 é 😀"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[38;2;255;0;0mred\x1b[0;1m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://host\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("\x1bPdevice\x1b\\text", "text"),
        ("\x1b(0text\x1bc", "text"),
        ("\x1b[2J\x1b[H", ""),
        ("two\nlines\r\nand\ttabs", "two lines  and tabs"),
        ("\x1b", "\ufffd"),
        ("\x1b[", ""),
        ("a\x00b\x08c\x7f", "a\ufffdb\ufffdc\ufffd"),
        ("\u202eevil", "\ufffdevil"),
        (7, "7"),
    ],
)
def test_nothing_that_a_terminal_obeys(text, shown):
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_an_unfinished_sequence_takes_only_its_beginning():
    assert "seen" in printable("\x1b]0;" + "a" * 1000 + "seen")
    assert "seen" in printable("\x1b[" + "1" * 1000 + "seen")


def test_a_text_from_anywhere_is_one_clean_line():
    assert clean("\x1b[31mcaf\udce9\nhttp://user:abc@host") == "caf\\udce9 http://***@host"


def test_errors_that_are_logged_are_clean(caplog):
    def fail():
        raise ValueError("\x1b[31mhttp://user:abc1@host")

    try:
        fail()
    except ValueError as error:
        log_error("could not password=abc1", error)
    (text,) = caplog.messages
    assert text.startswith("could not password=***\nTraceback")
    assert text.endswith("ValueError: http://***@host")
    assert "in fail" in text
