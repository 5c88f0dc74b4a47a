"""The charts of the page: one per question, logarithmic where values are far apart."""

from __future__ import annotations

from pathlib import Path

from benchmarks._goals import Results

_OURS, _OTHERS = "#1b7f79", "#b8c0c8"
_ROUND = 10
_CALLS = ("logger tensorboard", "facade tensorboard", "PL csv", "PL wandb", "PL comet", "HF tensorboard")
_CALLS += ("PL tensorboard", "PL mlflow")
_TAX = ("logger tensorboard", "logger tensorboard (process)", "logger nine trackers (process)", "raw tensorboard")
_TAX += ("PL tensorboard",)
_FIT = ("no-op logger", "logger tensorboard", "PL csv", "PL wandb", "PL tensorboard")
_BACKENDS = ("tensorboard", "mlflow", "mlflow-http", "wandb", "trackio")
_RATES = tuple(f"{system} {backend}" for backend in _BACKENDS for system in ("facade", "raw"))
CHARTS = (
    ("call_cost", "hot", "One call, µs (log scale)", _CALLS, True),
    ("throughput", "rate", "End to end, calls/s (log scale)", _RATES, True),
    ("step_tax", "extra", "Step tax, µs", _TAX, False),
    ("lightning_fit", "extra", "A step of a Lightning fit, extra µs", _FIT, False),
)


def charts(results: Results, folder: Path) -> dict[str, Path]:
    """Draw what there is as SVG files in a folder, half as wide as a page; return them by their titles."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "accel_track", "font.size": 9})
    from matplotlib import pyplot as plt

    drawn = {}
    for script, column, title, names, logarithmic in CHARTS:
        found = results.get(script, {})
        bars = [(name, value) for name in names if name in found and (value := found[name].value(column)) is not None]
        if not bars:
            continue
        figure, ax = plt.subplots(figsize=(3.9, 2.8), layout="constrained")
        values = [value for _, value in bars]
        colors = [_OURS if name.startswith(("logger", "facade")) else _OTHERS for name, _ in bars]
        bar = ax.barh([name for name, _ in bars], values, color=colors)
        ax.bar_label(bar, labels=[f" {value:,.0f}" if value >= _ROUND else f" {value:,.1f}" for value in values])
        ax.set_title(title, loc="left", fontsize=10)
        ax.invert_yaxis()
        ax.spines[["top", "right", "bottom"]].set_visible(False)
        if logarithmic and min(values) > 0:
            ax.set_xscale("log")
            ax.set_xlim(min(values) / 3, max(values) * 10)
        else:
            ax.margins(x=0.18)
        ax.xaxis.set_visible(False)
        ax.tick_params(axis="y", length=0)
        drawn[title] = folder / f"performance-{script}.svg"
        figure.savefig(drawn[title], format="svg", metadata={"Date": None})
        plt.close(figure)
    return drawn
