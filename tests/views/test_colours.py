"""The colours of runs differ from each other and from the page, also for people who see fewer colours."""

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009:
# severity 1.0, on linear RGB.
SIGHTS = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
REPORT = files("accel_track.views.report")


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_runs(theme: str) -> None:
    script, sheet = ((REPORT / name).read_text() for name in ("elements.js", "page.css"))
    colours = re.findall(r"#[0-9a-f]{6}", re.search(rf"{theme}: \[(.*)\]", script)[1])
    cards = re.findall(r"--card: (#[0-9a-f]{6})", sheet)
    assert (len(colours), len(cards)) == (7, 3)
    back = float(linear(cards[0 if theme == "light" else 1]) @ TO_XYZ[1])
    for colour in colours:
        low, high = sorted([back, float(linear(colour) @ TO_XYZ[1])])
        assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.2, 1.4.11: contrast of graphics
    for sight, matrix in SIGHTS.items():
        seen = [lab(np.array(matrix) @ linear(colour)) for colour in colours]
        assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 30, sight
