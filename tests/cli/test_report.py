"""The page of a report in a real browser: what it shows, whatever runs hold, and as they go on."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal.directory import find_runs
from accel_track.media import Audio, Html, Image, Table, Text
from accel_track.run import Run
from tests.support.browser import chromium, complaints, opened, resize
from tests.support.damage import flip_in_first_record
from tests.support.waiting import until

pytestmark = pytest.mark.extras

DRAWN = "return document.querySelectorAll('.plot .bk-Figure').length === {count} && !waiting.size"
EVIL = "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=2'>\x1b[31mred\x1b[0m\u202e"
TINY = [[[255, 0, 0]] * 4] * 4


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Any, invoke: Any) -> Callable[..., Any]:
    """Return a function that makes a report and opens it, with so many charts drawn."""

    def page(*arguments: Any, charts: int) -> Any:
        invoke("report", *arguments, "-o", "report.html")
        complaints(browser)
        resize(browser, 1280, 1600)
        browser.get(opened(Path("report.html")))
        until(lambda: browser.execute_script(DRAWN.format(count=charts)), 30)
        until(lambda: browser.execute_script("return document.querySelector('#runs article')"), 30)
        return browser

    return page


def text_of(browser: Any, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0])?.textContent", selector))


def do(browser: Any, script: str) -> Any:
    return browser.execute_script(script)


def test_runs_on_top_of_each_other(make: Any, page: Any) -> None:
    first = make(count=100, config={"lr": 0.1, "seed": 1}, values={"val": {"acc": 0.5}}, name="one")
    second = make(count=60, config={"lr": 0.2, "seed": 1}, values={"val": {"acc": 0.25}}, name="two")
    browser = page(first.path, second.path, charts=2)
    assert do(browser, "return charts.get('train/loss').lines.map((one) => one.x.length)") == [100, 60]
    chips = do(browser, "return [...document.querySelectorAll('#runs-shown button')].map((one) => one.textContent)")
    assert [chip.split()[0] for chip in chips] == ["one", "two"]
    configuration = do(browser, "return document.querySelector('#configuration table').innerText").split("\n")
    assert configuration[1:] == ["lr\t0.1\t0.2"]
    rows = do(browser, "return [...document.querySelectorAll('#values tbody tr')].map((one) => one.innerText.trim())")
    assert any("0.01\t99\t0.01\t99\t1\t0\t100" in row for row in rows)
    assert "lines" in text_of(browser, "#runs article")
    do(browser, "document.querySelector('#runs-shown button').click()")
    until(lambda: do(browser, "return charts.get('train/loss').lines.length === 1"))
    do(browser, "byId('filter').value = 'ACC'; byId('filter').dispatchEvent(new Event('input'))")
    until(lambda: do(browser, "return [...charts.keys()].join() === 'val/acc'"))
    assert complaints(browser) == []


def test_a_value_that_stays_is_not_drawn_as_zero(start: Any, page: Any) -> None:
    run = start(name="flat")
    for step in range(3):
        run.log({"lr": 0.001, "none": 0.0, "large": -2.5e8, "count": 2**53 + 1}, step)
    run.finish()
    browser = page("flat", charts=4)
    range_of = "const {{start, end}} = charts.get('{}').plot.figure.y_range; return [start, end]"
    for name, low, high in (("lr", 0.0, 0.002), ("none", -1.0, 1.0), ("large", -5e8, 0.0)):
        until(lambda name=name: None not in do(browser, range_of.format(name)))
        assert do(browser, range_of.format(name)) == pytest.approx([low, high], abs=0.15 * (high - low))
    assert "9007199254740993" in text_of(browser, "#values table")
    assert complaints(browser) == []


def test_of_many_runs_some_are_shown_at_first(make: Any, page: Any) -> None:
    runs = [make(count=2, name=f"trial{number}").path for number in range(22)]
    browser = page(*runs, charts=1)
    lines = "return charts.get('train/loss').lines.length"
    assert do(browser, lines) == 20
    drawn = "return [...charts.values()][0].plot.figure.renderers.map((one) => one.glyph.line_dash?.value).filter((one) => one)"
    assert {len(one) for one in do(browser, drawn)} == {0, 2}  # solid, and dashed where the colours begin again
    do(browser, "document.querySelector('#runs-shown button').click()")  # all
    until(lambda: do(browser, lines) == 22)
    do(browser, "document.querySelectorAll('#runs-shown button')[1].click()")  # none
    until(lambda: do(browser, lines) == 0)
    do(browser, "chips[3].click()")
    until(lambda: do(browser, lines) == 1)
    assert do(browser, "return document.activeElement === chips[3]")
    assert complaints(browser) == []


def test_zoom_hover_log_and_smoothing(make: Any, page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    browser = page(make(count=200).path, charts=1)
    width = "const {start, end} = [...charts.values()][0].plot.figure.x_range; return end - start"
    whole = do(browser, width)
    plot = browser.find_element(By.CSS_SELECTOR, ".plot")
    ActionChains(browser).move_to_element_with_offset(plot, -40, -40).click_and_hold().move_by_offset(
        90, 60
    ).release().perform()
    until(lambda: do(browser, width) < whole / 2)
    ActionChains(browser).move_to_element_with_offset(plot, 10, 0).perform()
    until(lambda: do(browser, "return document.querySelector('.readout:not([hidden]) tr')"))
    do(browser, "document.querySelector('.plot').focus()")
    ActionChains(browser).send_keys("0").perform()
    until(lambda: do(browser, width) == whole)
    ActionChains(browser).send_keys("+").perform()
    until(lambda: do(browser, width) < whole)
    do(
        browser,
        "byId('log').click(); byId('smoothing').value = 0.9; byId('smoothing').dispatchEvent(new Event('input'))",
    )
    do(browser, "byId('axis').value = 't'; byId('axis').dispatchEvent(new Event('change'))")
    until(lambda: do(browser, "return !waiting.size && charts.get('train/loss').look.includes('0.9')"))
    smooth, rough = do(
        browser,
        "const [one] = linesOf('train/loss').slice(1); return [one.y[1], one.run.metrics.get('train/loss').curves[0].read.y[1]]",
    )
    assert rough == 0.5
    assert 0.5 < smooth < 1
    assert complaints(browser) == []


def test_nothing_of_a_hostile_run_is_executed(make: Any, page: Any) -> None:
    values = {
        EVIL: 1.0,
        "__proto__": 2.0,
        "a/b/<b>c</b>": 3.0,
        "said": EVIL * 50,
        f"media {EVIL}": [Html(EVIL), Text(EVIL), Table([[EVIL]], columns=[EVIL]), Image(TINY, caption=EVIL)],
    }
    run = make(config={EVIL: EVIL, "long": "x" * 100_000}, values=values)
    document = json.loads((run.path / "run.json").read_text())
    document.update(status="failed", reason=EVIL, name="<i>name<i>", command=[EVIL])
    document["trackers"]["lines"]["url"] = "javascript:window.pwned=3"
    (run.path / "run.json").write_text(json.dumps(document))
    browser = page(run.path, charts=4)
    do(browser, "document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert do(browser, "return window.pwned ?? null") is None
    assert (
        do(browser, "return [...document.querySelectorAll('a')].map((one) => one.protocol)").count("javascript:") == 0
    )
    assert do(browser, "return document.querySelectorAll('img[onerror], i, b, iframe').length") == 0
    whole = do(browser, "return document.body.textContent")
    assert "\x1b" not in whole
    assert "\u202e" not in whole
    assert "</script><script>window.pwned=1</script>" in whole
    assert "90,000 characters more" in whole
    assert {"__proto__", "a/b/<b>c</b>"} <= set(do(browser, "return [...charts.keys()]"))
    assert do(browser, "return document.querySelector('#media img').naturalWidth") == 4
    assert complaints(browser) == []


def test_the_policy_stops_scripts_and_the_network(make: Any, page: Any) -> None:
    browser = page(make().path, charts=1)
    do(
        browser,
        "const one = document.createElement('script'); one.textContent = 'window.pwned = 1'; document.body.append(one)",
    )
    do(browser, "document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=\"window.pwned = 2\">')")
    do(browser, "fetch('http://127.0.0.1:1/').catch(() => 0)")
    stopped: list[str] = []

    def all_stopped() -> bool:
        stopped.extend(one for one in complaints(browser) if "Content Security Policy" in one)
        return len(stopped) >= 3

    until(all_stopped, 10)
    assert do(browser, "return window.pwned ?? null") is None


@pytest.mark.parametrize(
    ("count", "values", "charts"),
    [
        (0, None, 0),
        (1, None, 1),
        (0, {"nan": math.nan, "inf": math.inf}, 2),
        (0, {"huge": 10**400, "text": "hello", "big": 1e308, "small": -1e308}, 2),
    ],
)
def test_runs_with_little_in_them(make: Any, page: Any, count: int, values: Any, charts: int) -> None:
    browser = page(make(count=count, values=values).path, charts=charts)
    if values and "nan" in values:
        assert "1 not finite (nan, the first at step 0)" in text_of(browser, "#curves")
    assert complaints(browser) == []


def test_no_sideways_scroll_on_a_phone(make: Any, page: Any) -> None:
    values = {
        "a" * 300: 1.0,
        "table": Table([["wide " * 40] * 12]),
        "sound": Audio([0.0] * 800, 8000),
        "one two " * 40: "x",
    }
    browser = page(make(config={"key" * 60: "value" * 90}, values=values).path, charts=2)
    resize(browser, 375, 800)
    do(browser, "document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    widths = until(
        lambda: do(browser, "return innerWidth === 375 && [document.documentElement.scrollWidth, innerWidth]")
    )
    assert widths[0] == widths[1]


def test_dark_and_light(make: Any, page: Any) -> None:
    browser = page(make().path, charts=1)
    back = "return getComputedStyle(document.body).backgroundColor"
    light = do(browser, back)
    do(browser, "byId('theme').click()")
    assert do(browser, back) != light
    until(lambda: do(browser, "return !waiting.size && charts.get('train/loss').lines[0].colour === COLOURS.dark[0]"))


def test_a_page_says_what_it_leaves_out(make: Any, page: Any, invoke: Any) -> None:
    run = make(values={"sound": Audio([0.0] * 40_000, 8000), "dot": Image(TINY)})
    about = json.loads(invoke("report", run.path, "--media", "0.01", "--json").stdout)
    assert (about["media"], about["media_left_out"], about["runs"]) == (1, 1, [run.path.name])
    assert about["bytes"] == Path("report.html").stat().st_size < 2_000_000
    browser = page(run.path, "--media", "0.01", charts=1)
    assert "there is no room" in text_of(browser, "#media")


def test_media_are_chosen_by_step(start: Any, page: Any) -> None:
    paths = []
    for run, every in ((start(), 10), (start(), 25)):
        for step in range(0, 101, every):
            run.log({"sample": Text(f"every {every}, {step}")}, step)
        run.log({"once": Text("alone"), "train/loss": 1.0}, 100)
        run.finish()
        paths.append(run.run_directory.path)
    browser = page(*paths, charts=1)
    shown = "return [...document.querySelectorAll('#media details:last-child .side pre')].map((one) => one.textContent)"
    slider = "document.querySelector('#media input[type=range]')"
    assert do(browser, "return document.querySelectorAll('#media input[type=range]').length") == 1
    assert do(browser, shown) == ["every 10, 100", "every 25, 100"]
    do(browser, f"{slider}.value = 1; {slider}.dispatchEvent(new Event('input'))")
    assert do(browser, shown) == ["every 10, 10", "every 25, 0"]
    assert text_of(browser, "#media output") == "step 10"
    do(browser, "document.querySelector('#media button[title=Later]').click()")
    assert do(browser, shown) == ["every 10, 20", "every 25, 0"]
    do(browser, "byId('theme').click()")  # the page is made anew, and what was chosen stays
    assert do(browser, shown) == ["every 10, 20", "every 25, 0"]
    do(browser, f"{slider}.value = 0; {slider}.dispatchEvent(new Event('input'))")
    assert do(browser, "return document.querySelector('#media button[title=Earlier]').disabled")
    assert not complaints(browser)


def test_a_page_that_cannot_be_written_is_told_in_one_line(make: Any, invoke: Any) -> None:
    said = invoke("report", make().path, "-o", "missing/report.html", code=2).stderr
    assert said == "accel-track: report: missing/report.html cannot be written (No such file or directory).\n"


def test_damage_is_told(make: Any, invoke: Any) -> None:
    run = make(count=50)
    flip_in_first_record(run)
    about = json.loads(invoke("report", run.path, "--json", code=1).stdout)
    assert about["damaged_bytes"] > 0
    assert "skipped" in Path("report.html").read_text()


def test_without_bokeh(make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert 'pip install "accel-track[report]"' in invoke("report", run.path, code=2).stderr


def test_wrong_arguments_have_one_line(make: Any, invoke: Any) -> None:
    run = make()
    assert "no run 'nothing'" in invoke("report", "nothing", code=2).stderr
    assert "is a folder" in invoke("report", run.path, "-o", ".", code=2).stderr
    assert list(Path.cwd().glob("*.html")) == []


@pytest.fixture
def served(start: Any) -> Iterator[tuple[Run, str, Any]]:
    """Yield a run, the address of its live report, and the process that serves it."""
    run = start(name="live")
    for step in range(10):
        run.log({"loss": 1.0}, step)
    command = [sys.executable, "-m", "accel_track", "report", str(run.run_directory.path), "--serve", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield run, json.loads("".join(process.stdout.readline() for _ in range(3)))["url"], process
        finally:
            process.kill()
    run.finish()


def test_a_live_page_goes_on_with_its_run(served: Any, browser: Any) -> None:
    run, url, process = served
    complaints(browser)
    browser.get(url)
    until(lambda: browser.execute_script(DRAWN.format(count=1)), 30)
    for step in range(10, 20):
        run.log({"loss": 2.0}, step)
    lines = "return charts.get('loss')?.lines[0]?.y ?? []"
    until(lambda: do(browser, lines) == [1.0] * 10 + [2.0] * 10, 20)
    run.rewind(5)
    run.log({"loss": 3.0, "new": 1.0}, 5)
    until(lambda: do(browser, lines) == [1.0] * 5 + [3.0] and do(browser, "return charts.has('new')"), 20)
    assert complaints(browser) == []
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    until(lambda: "No news since" in text_of(browser, "#lost"), 20)


@pytest.mark.long
def test_a_page_of_many_points_is_small_and_soon_there(invoke: Any, start: Any) -> None:
    """Measured in time of the browser's main thread, which other processes do not lengthen."""
    names = [f"{group}/m{number}" for group in ("train", "val") for number in range(25)]
    for number in range(5):
        run = start(name=f"run{number}")
        for step in range(10_000):
            run.log({name: math.sin(place + step * step) for place, name in enumerate(names)}, step)
        run.finish()
    runs = [one.path for one in find_runs("runs")]
    about = json.loads(invoke("report", *runs, "--json").stdout)
    assert about["bytes"] < 6_000_000
    with chromium() as browser:
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        browser.get(opened(Path("report.html")))
        until(lambda: do(browser, "return document.querySelectorAll('.plot .bk-Figure').length >= 6 && !waiting.size"))
        metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    (busy,) = [one["value"] for one in metrics if one["name"] == "TaskDuration"]
    assert busy < 2
