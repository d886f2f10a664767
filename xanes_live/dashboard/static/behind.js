// The tabs behind a result: raw channels, nearest compounds, sensitivity, cyclic residual, code.

import { Chart } from "./chart.js";
import { facts, fill, h } from "./dom.js";
import { isNumber, num, sig } from "./format.js";
import { fetchJson } from "./link.js";
import { style } from "./models.js";
import { takeAway } from "./takeaway.js";

/** Items for Tabs. */
export function behind(app, r) {
  return [
    ["raw", "Raw channels", () => rawPanel(r)],
    ["nearest", "Nearest compounds", () => nearest(r)],
    ["sensitivity", "Sensitivity", () => sensitivity(r)],
    ["cyclic", "Cyclic residual", () => cyclic(r)],
    ["signals", "Signals", () => signals(r)],
    ["take", "Take away", () => takeAway(r)],
  ];
}

const nothing = (text) => h("p", { class: "nothing" }, text);

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

function shown(id, model, height = 200) {
  const chart = new Chart(id, { height });
  chart.set(model);
  return chart.node;
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

function nearest(r) {
  if (!r.nearest?.length) return nothing("This result names no training compounds.");
  return h("table", { class: "plain", testid: "nearest" },
    h("thead", {}, h("tr", {}, h("th", {}, "nearest training compound"), h("th", {}, "distance"))),
    h("tbody", {}, r.nearest.map((n) => h("tr", {}, h("td", {}, n.name), h("td", {}, sig(n.distance))))));
}

/** How far the first shell moves when the spectrum is shifted or broadened. */
function sensitivity(r) {
  if (!r.sensitivity?.length) return nothing("This result holds no sensitivity.");
  const kinds = [...new Set(r.sensitivity.map((s) => s.kind))];
  return h("div", { class: "plots", testid: "sensitivity" }, kinds.map((kind) => {
    const points = r.sensitivity.filter((s) => s.kind === kind).sort((a, b) => a.value - b.value);
    return shown(`sensitivity-${kind}`, {
      title: `First shell against ${kind}`, xLabel: `${kind} / eV`, yLabel: "first shell / Å",
      x: points.map((p) => p.value), series: [{ label: "first shell", y: points.map((p) => p.r), color: "c1", points: true }],
    });
  }));
}

function cyclic(r) {
  const c = r.cyclic;
  if (!c) return nothing("This result holds no cyclic residual.");
  const lines = [["measured", c.measured], ["returned from G2", c.returned], ["residual", c.residual]].filter(([, y]) => y?.length);
  return h("div", { testid: "cyclic" }, isNumber(c.score) ? h("p", {}, `score ${sig(c.score)}`) : null, shown("cyclic-plot", {
    title: "Spectrum that the prediction leads back to", xLabel: "energy / eV", yLabel: "normalised μ(E)",
    x: c.energy, series: lines.map(([label, y], i) => ({ label, y, ...style(i) })),
  }));
}

function signals(r) {
  const pairs = Object.entries(r.signals ?? {}).map(([k, v]) => [k.replaceAll("_", " "), sig(v)]);
  const shell = isNumber(r.shell?.sigma) ? [["first shell σ / Å", num(r.shell.sigma, 3)]] : [];
  return pairs.length ? facts([...pairs, ...shell]) : nothing("This result holds no signals.");
}
