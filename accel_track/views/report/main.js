// The page: what is chosen at its top, and news from the server where there is one.

const byId = (id) => document.getElementById(id);
const EVERY = 2000;  // milliseconds between two questions for news

function renderChips() {
  const chips = report.runs.map((run) => element("button", {
    type: "button", "aria-pressed": String(run.shown), title: "Show or hide this run",
    onclick: (event) => {
      run = report.runs[run.place];
      run.shown = !run.shown;
      event.currentTarget.setAttribute("aria-pressed", String(run.shown));
      redraw();
      renderValues();
      renderConfiguration();
      renderMedia();
    },
  }, swatch(run), run.name, " ", element("span", {class: "id"}, run.short),
  run.status === "finished" ? null : element("span", {class: run.status === "running" ? "faint" : "bad"}, run.status)));
  byId("runs-shown").replaceChildren(...chips);
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
  setTimeout(() => {  // behind the first charts
    renderValues();
    renderConfiguration();
    renderMedia();
    renderRuns();
  });
}

function withPause(action, milliseconds = 150) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(action, milliseconds); };
}

function themed() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  renderChips();
  redraw();
  renderValues();
  renderConfiguration();
  renderMedia();
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
