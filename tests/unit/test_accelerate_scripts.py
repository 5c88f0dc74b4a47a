"""Scripts written for Hugging Face Accelerate, run under it and with the package renamed: they find the same."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import warm
from tests.support.ranks import ranks
from tests.support.skips import need

SCRIPTS = Path(__file__).parents[1] / "accelerate_scripts"
ENVIRONMENT = {"ACCELERATE_USE_CPU": "true"}

pytestmark = [pytest.mark.extras, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def _accelerate() -> None:
    need("accelerate")


def outcome(name: str, package: str, folder: Path, processes: int, *arguments: str) -> list[dict[str, Any]]:
    """Run a script under a package; return what each rank has found."""
    script = folder / package / f"{name}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(re.sub(r"\baccelerate\b", package, (SCRIPTS / f"{name}.py").read_text()))
    out = script.parent / "out"
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "ignore", str(script), str(out), *arguments]
    if processes == 1:
        done = [warm.run(command, timeout=200, env={**os.environ, **ENVIRONMENT})]
    else:
        done = ranks(
            command,
            timeout=200,
            env={**ENVIRONMENT, **(warm.coverage if package == "accel_track" else warm.NOT_MEASURED)},
        )
    assert [one.returncode for one in done] == [0] * processes, "\n".join(one.stderr for one in done)
    return [json.loads((out / f"result_{rank}.json").read_text()) for rank in range(processes)]


def both(name: str, folder: Path, processes: int, *arguments: str) -> list[dict[str, Any]]:
    """Run a script under both packages, compare what it finds, and return it."""
    ours = outcome(name, "accel_track", folder, processes, *arguments)
    for rank, theirs in enumerate(outcome(name, "accelerate", folder, processes, *arguments)):
        assert ours[rank].keys() == theirs.keys()
        for key, value in theirs.items():
            assert alike(ours[rank][key], value), f"rank {rank}, {key}: {ours[rank][key]}, with accelerate {value}"
    return ours


def alike(one: Any, other: Any) -> bool:
    """Return whether nested values are equal, but for the rounding of numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == (pytest.approx(other, rel=1e-5, abs=1e-6) if isinstance(other, float) else other)


@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_script_of_diffusers_kind(tmp_path: Path, processes: int) -> None:
    found = both("text_to_image", tmp_path, processes, *(["--shuffle"] if processes == 1 else []))
    assert len(found[0]["losses"]) == found[0]["steps"] == 18 // processes
    last = found[0]["steps"] // 4 * 4
    assert found[0]["checkpoints"] == [f"checkpoint-{last}"]
    assert [call[:3] for call in found[0]["calls"]] == [["save", 1, 1]] * (last // 4)
    assert not found[-1]["calls"] or processes == 1  # only the main process has saved
    out = tmp_path / "accel_track" / "out" / f"checkpoint-{last}"
    assert {"unet", "average.bin", "state.ckpt", "random_0.pt"} <= {one.name for one in out.iterdir()}

    if processes == 1:  # and it goes on from there
        again = both("text_to_image", tmp_path, processes, "--resume_from_checkpoint", "latest")
        assert again[0]["calls"][0] == ["load", 1, f"checkpoint-{last}"]


@pytest.mark.long
@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_script_of_the_nlp_examples_kind(tmp_path: Path, processes: int) -> None:
    found = both("classification", tmp_path, processes)
    assert found[0]["seen"] == [45, 45]  # no sample twice
    assert found[0]["accuracy"][-1] > 0.6
    assert found[0]["files"] == ["model.safetensors"]
    if processes == 2:
        assert [found[0]["type"], found[0]["unused"], found[0]["timeout"]] == ["MULTI_CPU", True, 77]


@pytest.mark.long
@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_script_of_the_complete_examples_kind(tmp_path: Path, processes: int) -> None:
    found = both("complete", tmp_path, processes)
    assert found[0]["restored"] == 7
    assert found[0]["rest"] == found[0]["rest_read"] == 3
    assert found[0]["trigger"] == [True, False]
    assert found[0]["freed"] == [None, None, None]
    assert [len(set(batch)) for batch in found[0]["order"]] == [8] * 13 + [4] * 10
    if processes == 2:
        assert found[0]["own_gradient"] != found[1]["own_gradient"]
        assert found[0]["random"] != found[1]["random"]
        assert found[1]["ran"] == ["last", None, None]
