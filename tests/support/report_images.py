"""The pictures of docs/report.md: a report of a small sweep over the digits, light, dark, and on a phone.

`python -m tests.support.report_images docs/images`
"""

import io
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import accel_track
from tests.support.browser import chromium, opened
from tests.support.waiting import until

SWEEP = list(itertools.product([0.3, 0.03], [16, 64]))
DRAWN = "return document.querySelectorAll('.plot .bk-Figure').length && !waiting.size && !document.fonts.loading"


def train(folder: Path, learning_rate: float, width: int, epochs: int = 40) -> None:
    """Train a network on scikit-learn's digits as one run of the sweep."""
    import torch
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    digits = load_digits()
    inputs = torch.tensor(digits.data, dtype=torch.float32) / 16
    targets = torch.tensor(digits.target)
    model = torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))
    optimizer = torch.optim.SGD(model.parameters(), learning_rate)
    loss_of = torch.nn.functional.cross_entropy
    config = {"lr": learning_rate, "width": width, "batch_size": 64, "optimizer": "sgd", "seed": 0}
    name = f"lr{learning_rate:g}-width{width}"
    with accel_track.init("digits", run_name=name, config=config, project_dir=folder, log_with="tensorboard") as run:
        step = 0
        for epoch in range(epochs):
            for batch in torch.randperm(1400).split(64):
                loss = loss_of(model(inputs[batch]), targets[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                norm = sum(float(one.grad.square().sum()) for one in model.parameters()) ** 0.5
                run.log({"train/loss": loss.item(), "train/grad_norm": norm}, step=step)
                step += 1
            with torch.no_grad():
                output = model(inputs[1400:])
            accuracy = float((output.argmax(1) == targets[1400:]).float().mean())
            values = {"val/loss": loss_of(output, targets[1400:]).item(), "val/accuracy": accuracy, "epoch": epoch}
            run.log(values, step=step)
        run.log_confusion_matrix("val/confusion", targets[1400:].numpy(), output.argmax(1).numpy(), step=step)
        run.log_images({"val/digits": [inputs[place].reshape(8, 8).numpy() for place in range(1400, 1408)]}, step=step)


def compressed(picture: bytes) -> bytes:
    """Return a PNG with 256 colours."""
    from PIL import Image

    stream = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def pictures(page: Path) -> dict[str, bytes]:
    """Return screenshots of a report by name."""
    found = {}
    for name, width, height, dark in (
        ("light", 1200, 820, False),
        ("dark", 1200, 820, True),
        ("phone", 375, 780, False),
    ):
        with chromium(width, height, dark=dark) as browser:
            browser.get(opened(page))
            drawn(browser)
            found[name] = compressed(browser.get_screenshot_as_png())
    return found


def drawn(browser: Any) -> None:
    """Wait until all charts in view are drawn."""
    until(lambda: browser.execute_script(DRAWN), 60)
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 300))")


def main(folder: Path) -> None:
    """Make the sweep, the report and its pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        for learning_rate, width in SWEEP:
            train(Path(scratch), learning_rate, width)
        page = Path(scratch, "report.html")
        runs = sorted(Path(scratch, ".accel_track", "digits").iterdir())
        command = [sys.executable, "-m", "accel_track", "report", *map(str, runs), "-o", str(page)]
        subprocess.run(command, check=True)
        folder.mkdir(exist_ok=True)
        for name, data in pictures(page).items():
            (folder / f"report-{name}.png").write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
