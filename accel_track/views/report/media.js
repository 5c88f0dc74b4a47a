// Media: pictures, sounds, videos, tables and texts that runs logged last.

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

function renderMedia() {
  const names = new Map();
  for (const run of shownRuns()) {
    for (const medium of run.media) names.set(medium.name, [...(names.get(medium.name) ?? []), [run, medium]]);
  }
  const section = document.getElementById("media");
  section.hidden = !names.size;
  const cards = [...names].filter(([name]) => isWanted(name)).map(([name, found]) => {
    const parts = found.map(([run, medium]) => {
      const step = medium.step === null ? "" : `step ${medium.step}`;
      const logged = medium.logged > medium.items.length ? `the last of ${medium.logged}` : "";
      const items = medium.items.map((item) => element("figure", {}, mediumNode(item),
        item.caption ? element("figcaption", {class: "faint"}, item.caption) : null));
      const more = medium.more ? element("p", {class: "faint"}, `${medium.more} more of the same call are left out.`) : null;
      return element("div", {}, element("p", {}, runLabel(run), " ", element("span", {class: "where"}, [step, logged].filter(Boolean).join(", "))),
        element("div", {class: "items"}, ...items), more);
    });
    return folded(`medium ${name}`, name, found[0][1].kind.replaceAll("_", " "), () => [element("div", {class: "side"}, ...parts)], true);
  });
  section.replaceChildren(document.getElementById("media-title"), ...cards);
}
