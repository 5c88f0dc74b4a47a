// Elements: the only place where texts of runs become part of the page, always as text.

const ESCAPES = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)/g;
const ODD = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]/gu;
const COLOURS = {  // chosen to differ also for people who see no red, no green or no blue; see tests/views/test_colours.py
  light: ["#0037eb", "#ff5200", "#09a17e", "#ab70e7", "#91311c", "#6c1d74", "#000015"],
  dark: ["#8478ff", "#da5618", "#3dad76", "#d05db2", "#fbc000", "#b0ffa8", "#e2d8e4"],
};
const DASHES = ["solid", "dashed", "dotted"];  // as CSS names them

function clean(text) {
  return String(text).replace(ESCAPES, "").replace(/[\r\t]/g, " ").split("\n").map((one) => one.replace(ODD, "\ufffd")).join("\n");
}

function element(tag, about = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  for (const child of children) {
    if (child !== null && child !== undefined) made.append(child instanceof Node ? child : clean(child));
  }
  return made;
}

// A link, if it leads to a page; else its text.
function link(url) {
  const known = /^https?:\/\//i.test(url);
  return known ? element("a", {href: url, rel: "noopener noreferrer", target: "_blank"}, url) : element("span", {}, url);
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function style(run) {
  const hues = COLOURS[isDark() ? "dark" : "light"];
  return {colour: hues[run.place % hues.length], dash: DASHES[Math.floor(run.place / hues.length) % DASHES.length]};
}

function swatch(run) {
  const {colour, dash} = style(run);
  const made = element("span", {class: "swatch", "aria-hidden": "true"});
  made.style.borderTopColor = colour;
  made.style.borderTopStyle = dash;
  return made;
}

function runLabel(run) {
  return element("span", {}, swatch(run), " ", run.name, " ", element("span", {class: "id"}, run.short));
}

function shownNumber(value) {
  if (typeof value !== "number") return value ?? "";
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(6)));
}

function shownTime(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "?" : date.toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"});
}

function shownDuration(seconds) {
  if (!(seconds >= 0)) return "";
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${shownNumber(Number(seconds.toFixed(1)))} s`;
}

function table(columns, rows) {
  const numeric = columns.map((one) => one.startsWith(">"));
  const head = columns.map((one, place) => element("th", {scope: "col", class: numeric[place] ? "number" : null}, one.replace(/^>/, "")));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell, place) => {
    const first = place === 0;
    return element(first ? "th" : "td", {scope: first ? "row" : null, class: numeric[place] ? "number" : null}, cell);
  })));
  return element("div", {class: "scroll"}, element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)));
}

const unfolded = new Map();  // what was folded and unfolded by hand, by key: it stays so when a part is made anew

// A part that is folded, and made when it is unfolded first.
function folded(key, title, count, make, open = false) {
  const made = element("details", {}, element("summary", {}, title, " ", element("span", {class: "faint"}, count)));
  let done = false;
  const fill = () => {
    if (made.open && !done) { done = true; made.append(...make()); }
  };
  made.open = unfolded.get(key) ?? open;
  fill();
  made.firstChild.addEventListener("click", () => unfolded.set(key, !made.open));
  made.addEventListener("toggle", fill);
  return made;
}

// The first so many of some things, and a button for more.
function inParts(items, size, make, place) {
  let shown = 0;
  const button = element("button", {type: "button", class: "more"});
  const more = () => {
    make(items.slice(shown, shown + size));
    shown += size;
    button.textContent = `Show ${Math.min(size, items.length - shown)} more of ${items.length - shown}`;
    button.hidden = shown >= items.length;
  };
  button.addEventListener("click", more);
  more();
  place.append(button);
}
