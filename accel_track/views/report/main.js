// The page: what is chosen at its top, and news from the server where there is one.

const byId = (id) => document.getElementById(id);
let chips = [];
const EVERY = 1000;  // milliseconds between two questions for news

function renderShown() {
  renderChips();
  redraw();
  renderValues();
  renderConfiguration();
  renderMedia();
}

function chip(run) {
  const {place, name, short, status, shown} = run;
  const state = status === "finished" ? null : element("span", {class: status === "running" ? "faint" : "bad"}, status);
  const about = {type: "button", "aria-pressed": String(shown), title: "Show or hide this run"};
  const made = element("button", about, swatch(run), name, " ", element("span", {class: "id"}, short), state);
  made.addEventListener("click", () => {
    report.runs[place].shown = !report.runs[place].shown;
    renderShown();
    chips[place].focus();
  });
  return made;
}

function renderChips() {
  chips = report.runs.map(chip);
  const all = (title, shown) => element("button", {type: "button", onclick: () => {
    for (const run of report.runs) run.shown = shown;
    renderShown();
  }}, title);
  const both = chips.length > 5 ? [all("All", true), all("None", false)] : [];
  byId("runs-shown").replaceChildren(...both, ...chips);
}

function renderMade() {
  const count = report.runs.length;
  const time = shownTime(report.time);
  byId("made").textContent = `${count} ${count === 1 ? "run" : "runs"}, ${report.live ? "live, as of" : "as of"} ${time}`;
}

function renderAll() {
  renderMade();
  renderChips();
  renderCurves();
  const rest = () => { renderValues(); renderConfiguration(); renderMedia(); renderRuns(); };
  if (globalThis.requestIdleCallback) requestIdleCallback(rest, {timeout: 500});  // behind the first charts
  else setTimeout(rest, 100);  // Safari
}

function withPause(action, milliseconds = 150) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(action, milliseconds); };
}

function themed() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  renderShown();
  renderRuns();
}

function listen() {
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", withPause(() => {
    show.filter = byId("filter").value.trim();
    renderCurves();
    renderValues();
    renderMedia();
  }));
  byId("axis").addEventListener("change", () => { show.axis = byId("axis").value; redraw(); });
  byId("log").addEventListener("change", () => { show.log = byId("log").checked; redraw(); });
  byId("smoothing").addEventListener("input", () => {
    show.smoothing = Number(byId("smoothing").value);
    byId("smoothed").textContent = String(show.smoothing);
    redraw();
  });
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    themed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);
  addEventListener("beforeprint", () => {  // a page on paper has no other charts than those that are there
    for (const chart of charts.values()) if (!chart.plot) draw(chart);
  });
}

async function askForNews() {
  if (document.hidden) { setTimeout(askForNews, EVERY); return; }
  try {
    const asked = isLong() ? "news" : `news?since=${report.version}`;
    const answer = await fetch(asked);
    if (!answer.ok) throw new Error(clean(await answer.text()).slice(0, 300));
    const names = new Set(metricNames()), media = report.runs.map((run) => run.media);
    const statuses = report.runs.map((run) => run.status).join();
    const changed = take(await answer.json());
    byId("lost").hidden = true;
    renderMade();
    if (metricNames().some((name) => !names.has(name))) renderCurves();
    else redraw(changed);
    if (statuses !== report.runs.map((run) => run.status).join()) renderChips();
    if (changed.size) { renderValues(); renderConfiguration(); }
    if (report.runs.some((run, place) => run.media !== media[place])) renderMedia();
    renderRuns();
  } catch (error) {
    byId("lost").hidden = false;
    byId("lost").textContent = `No news since ${shownTime(report.time)}: ${error.message}`;
  }
  setTimeout(askForNews, EVERY);
}

take(JSON.parse(byId("document").textContent));
byId("document").remove();
byId("theme").textContent = isDark() ? "Light" : "Dark";
listen();
renderAll();
if (report.live) setTimeout(askForNews, EVERY);
