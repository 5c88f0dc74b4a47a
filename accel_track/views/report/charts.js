// Charts: one for each metric, drawn when it comes into view.

const AT_ONCE = 60;  // charts of a group that are there before "more" is asked for
const MOST_DRAWN = 80;
const MARKED = 40;  // curves of fewer points show them
const UNITS = [[3600, " h"], [60, " min"], [1, " s"]];
const show = {axis: "x", log: false, smoothing: 0, filter: ""};
const charts = new Map();
const waiting = new Set();
let frame = 0;

const watcher = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries) {
    const chart = charts.get(target.metric);
    if (chart?.node !== target) continue;
    chart.visible = isIntersecting;
    if (isIntersecting) request(chart);
    else if (chart.plot && [...charts.values()].filter((one) => one.plot).length > MOST_DRAWN) erase(chart);
  }
}, {rootMargin: "150px"});

function request(chart) {
  if (!chart.stale) return;
  waiting.add(chart);
  frame ||= requestAnimationFrame(drawWaiting);
}

function drawWaiting() {
  frame = 0;
  const end = performance.now() + 25;
  for (const chart of waiting) {
    waiting.delete(chart);
    if (chart.visible && charts.get(chart.name) === chart) draw(chart);
    if (performance.now() > end) break;
  }
  if (waiting.size) frame = requestAnimationFrame(drawWaiting);
}

function erase(chart) {
  chart.plot?.remove();
  Object.assign(chart, {plot: null, lines: [], look: "", stale: true});
  chart.place.replaceChildren();
}

// Have charts drawn anew, at once where they are in view.
function redraw(names = charts.keys()) {
  for (const name of names) {
    const chart = charts.get(name);
    if (!chart) continue;
    chart.stale = true;
    if (chart.visible) request(chart);
  }
}

function unitOfTime() {
  const longest = Math.max(0, ...report.runs.map((run) => (run.newest ?? run.created) - run.created));
  return UNITS.find(([seconds]) => longest >= 2 * seconds) ?? UNITS[2];
}

function shownRuns() {
  return report.runs.filter((run) => run.shown);
}

function linesOf(name) {
  const found = [];
  const [divisor] = unitOfTime();
  for (const run of shownRuns()) {
    for (const curve of run.metrics.get(name)?.curves ?? []) {
      const points = curve.read, {colour, dash} = style(run);
      const x = show.axis === "x" ? points.x : points.t.map((one) => one / divisor);
      const raw = points.y.map((one) => Number.isFinite(one) && (!show.log || one > 0) ? one : NaN);
      const line = {run, rank: curve.rank, x, y: raw, values: points.y, colour, dash, faint: false};
      if (show.smoothing) {
        found.push({...line, faint: true});
        line.y = line.values = smoothed(x, raw, show.smoothing);
      }
      found.push(line);
    }
  }
  return found;
}

function draw(chart) {
  const lines = linesOf(chart.name), suffix = show.axis === "t" ? unitOfTime()[1] : "";
  const look = JSON.stringify([show, suffix, isDark(), lines.map((one) => [one.run.place, one.rank, one.x.length <= MARKED])]);
  if (chart.plot && chart.look === look) chart.plot.update(lines);
  else {
    chart.plot?.remove();
    chart.place.replaceChildren();
    chart.plot = new Plot(chart.place, lines, {log: show.log, suffix});
  }
  leave(chart);
  Object.assign(chart, {lines: lines.filter((one) => !one.faint), look, suffix, stale: false});
  describe(chart);
}

// Say below a chart what no line shows, and in its label what no screen reader sees.
function describe(chart) {
  const runs = shownRuns().filter((run) => run.metrics.has(chart.name));
  const lasts = runs.map((run) => `${run.name} ${shownNumber(run.metrics.get(chart.name).last?.[0])}`);
  chart.place.setAttribute("aria-label", clean(`Curves of ${chart.name}, last values: ${lasts.join(", ")}. Keys: plus, minus and arrows zoom and move, 0 resets.`));
  chart.caption.replaceChildren(...runs.flatMap((run) => {
    const {bad, first_bad: first} = run.metrics.get(chart.name);
    if (!bad) return [];
    const since = first[1] === null ? "" : `, the first at step ${first[1]}`;
    return [element("div", {class: "bad"}, runLabel(run), `: ${bad} not finite (${first[0]}${since})`)];
  }));
}

// The place of the point that is nearest to x; points may be in any order.
function nearest(numbers, x) {
  let found = -1, distance = Infinity;
  for (let place = 0; place < numbers.length; place++) {
    const far = Math.abs(numbers[place] - x);
    if (far < distance) [found, distance] = [place, far];
  }
  return found;
}

// Show the values of all lines where the pointer is.
function point(chart, event) {
  chart.plot?.shown.then((view) => {
    const frame = view.frame ?? view.canvas_view?.frame, box = view.el.getBoundingClientRect();
    const x = frame.x_scale.invert(event.clientX - box.left);
    const {start, end} = chart.plot.figure.x_range;
    const inside = x >= Math.min(start, end) && x <= Math.max(start, end);
    const rows = inside ? chart.lines.flatMap((line) => {
      const at = nearest(line.x, x);
      if (at < 0 || Math.abs(line.x[at] - x) > Math.abs(end - start) / 20) return [];
      const rank = chart.lines.filter((one) => one.run === line.run).length > 1 ? ` rank ${line.rank}` : "";
      const where = show.axis === "x" ? String(line.x[at]) : `${shownNumber(line.x[at])}${chart.suffix}`;
      return [element("tr", {}, element("th", {scope: "row"}, runLabel(line.run), rank),
        element("td", {class: "number"}, where), element("td", {class: "number"}, shownNumber(line.values[at])))];
    }) : [];
    chart.plot?.point(rows.length ? x : null);
    chart.readout.hidden = !rows.length;
    chart.readout.classList.toggle("left", event.clientX - box.left > box.width / 2);
    chart.readout.replaceChildren(element("table", {}, element("tbody", {}, ...rows.slice(0, 20))));
  });
}

function leave(chart) {
  chart.readout.hidden = true;
  chart.plot?.point(null);
}

function makeChart(name) {
  const place = element("div", {class: "plot", role: "img", tabindex: "0"});
  const caption = element("figcaption"), readout = element("div", {class: "readout", hidden: ""});
  const enlarge = element("button", {type: "button", "aria-pressed": "false"}, "Enlarge");
  const reset = element("button", {type: "button", title: "Show all of the curves again"}, "Reset");
  const heading = element("h3", {title: clean(name)}, name);
  const node = element("figure", {class: "card chart"}, element("div", {class: "head"}, heading, reset, enlarge), place, readout, caption);
  const chart = {name, node, place, caption, readout, plot: null, lines: [], look: "", suffix: "", visible: false, stale: true};
  enlarge.addEventListener("click", () => enlarge.setAttribute("aria-pressed", String(node.classList.toggle("wide"))));
  reset.addEventListener("click", () => chart.plot?.reset());
  place.addEventListener("pointermove", (event) => point(chart, event));
  place.addEventListener("pointerdown", (event) => point(chart, event));
  place.addEventListener("pointerleave", () => leave(chart));
  place.addEventListener("keydown", (event) => { if (chart.plot?.key(event.key)) event.preventDefault(); });
  node.metric = name;
  charts.set(name, chart);
  watcher.observe(node);
  return node;
}

function isWanted(name) {
  const lower = name.toLowerCase();
  return show.filter.toLowerCase().split(/\s+/).every((part) => lower.includes(part));
}

function wantedNames() {
  return metricNames().filter(isWanted);
}

function hasCurve(name) {
  return report.runs.some((run) => run.metrics.get(name)?.curves.length);
}

// All groups of charts, by what stands before the first "/" of the names.
function renderCurves() {
  for (const chart of charts.values()) erase(chart);
  charts.clear();
  watcher.disconnect();
  const groups = new Map();
  for (const name of wantedNames().filter(hasCurve)) {
    const prefix = name.includes("/") ? `${name.split("/", 1)[0]}/` : "";
    groups.set(prefix, [...(groups.get(prefix) ?? []), name]);
  }
  let open = 0;
  const made = [...groups].sort(([one], [other]) => !one - !other || one.localeCompare(other)).map(([prefix, names]) => {
    const isOpen = open < AT_ONCE;
    open += names.length;
    return folded(`curves ${prefix}`, prefix || "without a group", names.length, () => {
      const grid = element("div", {class: "grid"}), part = element("div", {}, grid);
      inParts(names, AT_ONCE, (some) => grid.append(...some.map(makeChart)), part);
      return [part];
    }, isOpen);
  });
  if (!made.length) made.push(element("p", {class: "faint"}, show.filter ? "No metric has such a name." : "There are no curves."));
  document.getElementById("curves").replaceChildren(document.getElementById("curves-title"), ...made);
}
