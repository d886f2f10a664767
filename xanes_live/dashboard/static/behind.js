// The tabs behind a result: raw channels, what speaks for and against it, repeats, code.

import { shown } from "./chart.js";
import { facts, fill, h, nothing } from "./dom.js";
import { cyclic, nearest, sensitivity } from "./evidence.js";
import { isNumber, num, sig } from "./format.js";
import { fetchJson } from "./link.js";
import { style } from "./models.js";
import { repeats } from "./repeats.js";
import { takeAway } from "./takeaway.js";

/** Items for Tabs. */
export function behind(app, r) {
  return [
    ["raw", "Raw channels", () => rawPanel(r)],
    ["nearest", "Nearest compounds", () => nearest(r)],
    ["sensitivity", "Sensitivity", () => sensitivity(r)],
    ["cyclic", "Cyclic residual", () => cyclic(r)],
    ...(r.repeats ? [["repeats", `Repeats (${r.repeats.n})`, () => repeats(r)]] : []),
    ["signals", "Signals", () => signals(r)],
    ["take", "Take away", () => takeAway(r)],
  ];
}

/** I0 and the detectors as they were read, fetched from the raw run. */
function rawPanel(r) {
  const panel = h("div", { class: "plots", testid: "raw-channels" }, nothing("reading the raw run …"));
  const index = r.sweeps?.described ?? 0;
  const read = (tries) => fetchJson(`api/raw/${encodeURIComponent(r.key)}?index=${index}`).then((raw) => {
    if (!panel.isConnected) return;
    const groups = rawModels(raw);
    fill(panel, groups.length ? groups.map(([id, model]) => shown(id, model)) : nothing("no channels in the raw run"));
  }, (error) => {
    fill(panel, nothing(error.message));
    // A result may be there before its raw run is.
    if (tries > 0) setTimeout(() => panel.isConnected && read(tries - 1), 2000);
  });
  read(5);
  return panel;
}

function rawModels(raw) {
  const base = { xLabel: "energy / eV", x: raw.energy ?? [] };
  const of = (names, yLabel) => names.filter((n) => raw[n]).map((n, i) => ({ label: n, y: raw[n], ...style(i), yLabel }));
  const models = [
    ["raw-i0", { ...base, title: "I0", yLabel: "counts", series: of(["i0"]) }],
    ["raw-it", { ...base, title: "It and Ir", yLabel: "counts", series: of(["it", "ir"]) }],
    ["raw-if", { ...base, title: "Fluorescence elements", yLabel: "counts", series: (raw.fluorescence ?? []).map((y, i) => ({ label: `If[${i}]`, y, ...style(i) })) }],
    ["raw-mu", { ...base, title: raw.kind || "μ(E)", yLabel: "μ(E)", series: of(["mu"]) }],
  ];
  return models.filter(([, m]) => m.series.length && m.x.length);
}

function signals(r) {
  const pairs = Object.entries(r.signals ?? {}).map(([k, v]) => [k.replaceAll("_", " "), sig(v)]);
  const shell = isNumber(r.shell?.sigma) ? [["first shell σ / Å", num(r.shell.sigma, 3)]] : [];
  return pairs.length ? facts([...pairs, ...shell]) : nothing("This result holds no signals.");
}
