"""Names that backends can take."""

import pytest

from accel_track.trackers.names import flat_name, hashed_name, safe_name


@pytest.mark.parametrize("name", ["loss", "train/loss", "a.b-c_d e", ".hidden", "größe", "a/b.c/d", "x" * 50])
def test_a_good_name_stays(name: str) -> None:
    assert safe_name(name, r"[^\w.\- ]", 50) == name


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("acc@1", "acc_1-"),
        ("../up", "_/up-"),
        ("..", "_-"),
        ("a/./b", "a/_/b-"),
        ("/a", "_/a-"),
        ("a//b", "a/_/b-"),
        ("a/", "a/_-"),
        ("", "_-"),
        ("..a", "_a-"),
        ("a\n", "a_-"),
        ("x" * 51, "x" * 41 + "-"),
        ("ü" * 26, "ü" * 20 + "-"),
        ("\ud800", "_-"),
    ],
)
def test_a_bad_name_is_replaced(name: str, beginning: str) -> None:
    """What is left is like the name, short enough, and the same each time."""
    safe = safe_name(name, r"[^\w.\- ]", 50)
    assert safe.startswith(beginning)
    assert len(safe) == len(beginning) + 8
    assert len(safe.encode()) <= 50
    assert safe == safe_name(name, r"[^\w.\- ]", 50)


def test_half_of_a_surrogate_pair() -> None:
    """UTF-8 has none, also where a backend says nothing of it."""
    safe = safe_name("a/\udce9", r"[#]", 50)
    assert safe.startswith("a/_-")
    assert safe != safe_name("a/\udcea", r"[#]", 50)


def test_no_two_names_become_one() -> None:
    names = ["acc@1", "acc#1", "acc_1", "../a", "./a", "/a", "_/a", "x" * 60, "x" * 61]
    assert len({safe_name(name, r"[^\w.\- ]", 50) for name in names}) == len(names)
    assert len({flat_name(name, r"[^\w.\- ]", 50) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("plain", "plain"),
        ("a/b", "a_b-"),
        ("..", "_-"),
        ("", "_-"),
        ("../up", "__up-"),
        ("\ud800/", "__-"),
        (".a", ".a"),
    ],
)
def test_a_name_without_parts(name: str, beginning: str) -> None:
    flat = flat_name(name, r"[^\w.\- ]", 50)
    assert flat.startswith(beginning)
    assert (flat == name) == (beginning == name)
    assert "/" not in flat


def test_a_hash_of_the_whole_name() -> None:
    assert hashed_name("m_0", "m/0", 20) != hashed_name("m_0", "m_0", 20)
