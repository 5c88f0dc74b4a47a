// Media: pictures, sounds, videos, tables and texts, of one step at a time.

function mediumNode(item) {
  const source = () => `data:${item.mime};base64,${item.data}`;  // the types are ours, see media.py
  if (item.type === "image") {
    const image = element("img", {src: source(), alt: clean(item.caption ?? "")});
    image.addEventListener("load", () => {
      if (image.naturalWidth < 64) { image.classList.add("small"); image.width = image.naturalWidth * Math.ceil(64 / image.naturalWidth); }
    });
    return image;
  }
  if (item.type === "audio" || item.type === "video") {
    return element(item.type, {src: source(), controls: "", preload: "metadata", "aria-label": clean(item.caption ?? item.type)});
  }
  if (item.type === "text") return element("pre", {class: "card", tabindex: "0"}, item.text);
  if (item.type === "table") {
    const [rows, columns] = item.shape;
    const cut = rows > item.rows.length || columns > item.columns.length;
    const more = cut ? element("p", {class: "faint"}, `The table has ${rows} rows and ${columns} columns.`) : null;
    return element("div", {}, table(item.columns, item.rows), more);
  }
  return element("p", {class: "faint"}, `Left out: ${item.why}`);
}

const picked = new Map();  // where each name's media are looked at, if not at the end

// The calls of one name's media in shown runs, each with its place: the step, or where one has none, the time.
function placed(found) {
  const stepped = found.every(([, medium]) => medium.calls.every((call) => call.step !== null));
  const lines = found.map(([run, medium]) => {
    const calls = medium.calls.map((call) => ({call, at: stepped ? call.step : call.time - run.created}));
    return {run, medium, calls: calls.sort((one, other) => one.at - other.at)};
  });
  const places = [...new Set(lines.flatMap((line) => line.calls.map(({at}) => at)))].sort((one, other) => one - other);
  return {lines, places, title: (at) => stepped ? `step ${at}` : `after ${shownDuration(Math.max(0, at))}`};
}

function mediaOf({run, medium, calls}, at) {
  const {call} = calls.findLast((one) => one.at <= at) ?? calls[0];
  const step = call.step === null ? "" : `step ${call.step}`;
  const some = medium.logged > medium.calls.length ? `${medium.calls.length} of ${medium.logged} calls are here` : "";
  const items = call.items.map((item) => element("figure", {}, mediumNode(item),
    item.caption ? element("figcaption", {class: "faint"}, item.caption) : null));
  const more = call.more ? element("p", {class: "faint"}, `${call.more} more of the same call are left out.`) : null;
  return element("div", {}, element("p", {}, runLabel(run), " ", element("span", {class: "where"}, [step, some].filter(Boolean).join(", "))),
    element("div", {class: "items"}, ...items), more);
}

function mediaOfName(name, found) {
  const {lines, places, title} = placed(found);
  const side = element("div", {class: "side"});
  const show = (at) => side.replaceChildren(...lines.map((line) => mediaOf(line, at)));
  const last = places.length - 1;
  const begun = picked.has(name) ? Math.max(0, places.findLastIndex((at) => at <= picked.get(name))) : last;
  show(places[begun]);
  if (!last) return [side];
  const slider = element("input", {type: "range", min: 0, max: last, step: 1, value: begun, "aria-label": clean(`Which step of ${name}`)});
  const [said, earlier, later] = [element("output"), ...[["‹", "Earlier"], ["›", "Later"]].map(
    ([sign, label]) => element("button", {type: "button", "aria-label": label, title: label}, sign))];
  const tell = () => {
    const number = Number(slider.value);
    said.value = title(places[number]);
    slider.setAttribute("aria-valuetext", said.value);
    [earlier.disabled, later.disabled] = [number === 0, number === last];
  };
  const move = (number) => {
    slider.value = number;
    tell();
    if (number === last) picked.delete(name);  // so that what comes is seen
    else picked.set(name, places[number]);
    show(places[number]);
  };
  slider.addEventListener("input", () => move(Number(slider.value)));
  earlier.addEventListener("click", () => move(Number(slider.value) - 1));
  later.addEventListener("click", () => move(Number(slider.value) + 1));
  tell();
  return [element("div", {class: "chooser"}, earlier, slider, later, said), side];
}

function renderMedia() {
  const names = new Map();
  for (const run of shownRuns()) {
    for (const medium of run.media) names.set(medium.name, [...(names.get(medium.name) ?? []), [run, medium]]);
  }
  const section = document.getElementById("media");
  section.hidden = !names.size;
  const cards = [...names].filter(([name]) => isWanted(name)).map(([name, found]) =>
    folded(`medium ${name}`, name, found[0][1].kind.replaceAll("_", " "), () => mediaOfName(name, found), true));
  section.replaceChildren(document.getElementById("media-title"), ...cards);
}
