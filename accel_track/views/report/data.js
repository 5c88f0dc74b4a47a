"use strict";
// The document: what the page holds of runs, and what a live page gets in addition.

const ARRAYS = {i4: Int32Array, f4: Float32Array, f8: Float64Array};
const MOST_SHOWN = 20;  // runs that are shown at first
const report = {runs: [], version: 0, limit: 1000, live: false, time: 0};

function unpacked([kind, text]) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  return Array.from(new ARRAYS[kind](bytes.buffer));  // little-endian, as all machines with browsers are
}

// A curve is unpacked when it is drawn first: a page may hold thousands.
class Curve {
  constructor(packed) {
    this.rank = packed.rank;
    this.packed = [packed];
    this.points = {x: [], t: [], y: []};
  }

  get read() {
    for (const one of this.packed) {
      for (const name of ["x", "t", "y"]) this.points[name] = this.points[name].concat(unpacked(one[name]));
    }
    this.packed = [];
    return this.points;
  }
}

function merge(metrics, news) {
  for (const [name, metric] of news) {
    const curves = new Map(metrics.get(name)?.curves.map((one) => [one.rank, one]));
    for (const packed of metric.curves) {
      const had = packed.since ? curves.get(packed.rank) : undefined;
      if (had) had.packed.push(packed);
      else curves.set(packed.rank, new Curve(packed));
    }
    metrics.set(name, {...metric, curves: [...curves.values()]});
  }
}

// Take a document; return the names of the metrics that are new or have changed.
function take(document) {
  Object.assign(report, {version: document.version, limit: document.limit, time: document.time});
  if ("live" in document) report.live = document.live;
  const changed = new Set();
  document.runs.forEach((facts, place) => {
    const before = report.runs[place] ?? {metrics: new Map(), media: [], shown: place < MOST_SHOWN};
    const metrics = facts.whole ? new Map() : before.metrics;
    merge(metrics, facts.metrics);
    for (const [name] of facts.metrics) changed.add(name);
    if (facts.whole) for (const name of before.metrics.keys()) changed.add(name);
    report.runs[place] = {...facts, metrics, media: facts.media ?? before.media, shown: before.shown, place};
  });
  return changed;
}

// Whether curves have so many points more than a fresh page's that a fresh one is due.
function isLong() {
  return report.runs.some((run) => [...run.metrics.values()].some(
    (metric) => metric.curves.some((curve) => !curve.packed.length && curve.points.y.length > 4 * report.limit)));
}

function metricNames() {
  const names = new Set();
  for (const run of report.runs) for (const name of run.metrics.keys()) names.add(name);
  return [...names].sort((one, other) => one.localeCompare(other, "en", {numeric: true}));
}

// A moving average whose weights fall exponentially with the distance on the axis, in shares of its range: points that
// lie closer to each other, as downsampled ones do where a curve is rough, weigh no more than others.
function smoothed(x, y, weight) {
  const range = Math.abs(x[x.length - 1] - x[0]) || 1;
  let sum = 0, weights = 0, before = x[0];
  return y.map((value, place) => {
    if (!Number.isFinite(value)) return NaN;
    const fading = Math.pow(weight, Math.abs(x[place] - before) / range * 200);
    before = x[place];
    sum = sum * fading + value;
    weights = weights * fading + 1;
    return sum / weights;
  });
}
