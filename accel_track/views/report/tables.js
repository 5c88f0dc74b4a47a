// Tables: values, configuration, and what there is to know about each run.

const ROWS_AT_ONCE = 50;

function at([value, step]) {
  return [shownNumber(value), step === null ? "" : String(step)];
}

function renderValues() {
  const section = document.getElementById("values");
  const names = wantedNames();
  const columns = ["metric", "run", ">last", ">step", ">min", ">at", ">max", ">at", ">numbers"];
  const whole = folded("values", "Last, smallest and largest", `${names.length} metrics`, () => {
    const box = table(columns, []), part = element("div", {}, box);
    inParts(names, ROWS_AT_ONCE, (some) => {
      for (const name of some) box.querySelector("tbody").append(...valueRows(name));
    }, part);
    return [part];
  }, names.length <= 4 * ROWS_AT_ONCE);
  section.hidden = !report.runs.some((run) => run.metrics.size);
  section.replaceChildren(document.getElementById("values-title"), whole);
}

function valueRows(name) {
  const runs = shownRuns().filter((run) => run.metrics.has(name));
  return runs.map((run, place) => {
    const {last, min, max, count} = run.metrics.get(name);
    const cells = [...at(last ?? ["", null]), ...at(min ?? ["", null]), ...at(max ?? ["", null]), count ? String(count) : ""];
    const nodes = cells.map((cell) => element("td", {class: "number"}, String(cell).length > 200 ? `${String(cell).slice(0, 200)}…` : cell));
    const head = place ? [] : [element("th", {scope: "rowgroup", rowspan: runs.length}, name)];
    return element("tr", {}, ...head, element("td", {}, runLabel(run)), ...nodes);
  });
}

function renderConfiguration() {
  const runs = shownRuns();
  const texts = runs.map((run) => new Map(run.config));
  const names = [...new Set(texts.flatMap((one) => [...one.keys()]))].sort();
  const differs = (name) => new Set(texts.map((one) => one.get(name))).size > 1;
  const rows = (some) => some.map((name) => [name, ...texts.map((one) => one.get(name) ?? "–")]);
  const whole = (some) => {
    const box = table(["name", ...runs.map((run) => run.name)], rows(some));
    box.querySelectorAll("thead th").forEach((cell, place) => place && cell.replaceChildren(runLabel(runs[place - 1])));
    return box;
  };
  const equal = (some) => table(["name", "value"], some.map((name) => [name, texts[0].get(name)]));
  const [differing, same] = [names.filter(differs), names.filter((name) => !differs(name))];
  const parts = [];
  if (differing.length) parts.push(whole(differing));
  if (same.length) {
    const title = runs.length > 1 ? "The same in all runs" : "Hyperparameters";
    parts.push(folded("same", title, same.length, () => [equal(same)], !differing.length));
  }
  const section = document.getElementById("configuration");
  section.hidden = !names.length;
  section.replaceChildren(document.getElementById("configuration-title"), ...parts);
}

function facts(pairs) {
  return element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function delivery(run) {
  const counts = ["delivered", "pending", "under way", "quarantined", "without form"];
  const rows = run.delivery.map((one) => [one.name, ...counts.map((count) => String(one[count])), one.dropped ?? "", one.url ? link(one.url) : ""]);
  return [table(["tracker", ...counts.map((one) => `>${one}`), "dropped", "page"], rows)];
}

function runCard(run) {
  const failed = !["finished", "running"].includes(run.status);
  const status = element("span", {class: failed ? "bad" : ""}, run.reason ? `${run.status}: ${run.reason}` : run.status);
  const lasted = run.newest === null ? "" : shownDuration(run.newest - run.created);
  const key = `${run.place} `;
  const parts = [
    element("h3", {}, runLabel(run)),
    facts([["run", run.id], ["project", run.project], ["status", status], ["began", shownTime(run.created)],
      ["until", lasted && `${lasted} later`], ["records", String(run.records)], ...run.about].filter(([, value]) => value)),
  ];
  const pending = run.delivery.reduce((sum, one) => sum + one.pending, 0);
  if (run.delivery.length) {
    parts.push(folded(`${key}delivery`, "Delivery", pending ? `${pending} pending` : "nothing pending", () => delivery(run), true));
  }
  if (run.artifacts.length) {
    parts.push(folded(`${key}artifacts`, "Artifacts", run.artifacts.length, () => [table(["name", "type", ">files", ">bytes", ">step"],
      run.artifacts.map((one) => one.map((cell) => cell === null ? "" : String(cell))))]));
  }
  if (run.checkpoints.length) {
    parts.push(folded(`${key}checkpoints`, "Checkpoints", run.checkpoints.length, () => [table(["name", ">step", "about"],
      run.checkpoints.map((one) => one.map((cell) => cell === null ? "" : String(cell))))]));
  }
  if (run.environment.length) {
    parts.push(folded(`${key}environment`, "Environment", run.environment.length, () => [facts(run.environment)]));
  }
  return element("article", {class: "card"}, ...parts);
}

function renderRuns() {
  const cards = element("div", {class: "grid"}, ...report.runs.map(runCard));
  document.getElementById("runs").replaceChildren(document.getElementById("runs-title"), cards);
}
