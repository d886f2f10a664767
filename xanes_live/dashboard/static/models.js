// From results to descriptions of plots (see chart.js).

import { edgeName, isNumber, num, scanName } from "./format.js";

export const FORMS = [["flattened", "flattened"], ["normalised", "normalised"], ["mu", "μ(E)"], ["derivative", "derivative"]];
const NOTHING = { x: [], series: [], xLabel: "", yLabel: "" };

/** Central differences; null where a neighbour is missing. */
export function derivative(x, y) {
  return y.map((_, i) => {
    const a = Math.max(0, i - 1), b = Math.min(y.length - 1, i + 1);
    const dx = x[b] - x[a];
    return isNumber(y[a]) && isNumber(y[b]) && dx !== 0 ? (y[b] - y[a]) / dx : null;
  });
}

const name = (r) => `${r.sample || "no name"} · ${scanName(r)}`;

/** μ(E) of a result in one of FORMS. */
export function spectrumModel(r, form) {
  const s = r.spectrum;
  const title = `${edgeName(r)} spectrum, ${name(r)}`;
  if (!s) return { ...NOTHING, title, nothing: "no spectrum: see the flags" };
  const base = { title, xLabel: "energy / eV", x: s.energy, marks: isNumber(r.e0) ? [{ x: r.e0, label: `e0 ${num(r.e0, 1)}` }] : [] };
  if (form === "mu") {
    return { ...base, yLabel: "μ(E)", series: [
      { label: "μ(E)", y: s.mu ?? [], color: "c1" },
      { label: "pre-edge", y: s.pre_edge ?? [], color: "c2", width: 1.5, dash: [6, 4] },
      { label: "post-edge", y: s.post_edge ?? [], color: "c3", width: 1.5, dash: [2, 3] },
    ].filter((l) => l.y.length) };
  }
  if (form === "derivative") return { ...base, yLabel: "dμ/dE / eV⁻¹", series: [{ label: "derivative of normalised μ", y: derivative(s.energy, s.normalised ?? s.mu ?? []), color: "c1" }] };
  return { ...base, yLabel: `${form} μ(E)`, series: [{ label: form, y: s[form] ?? s.normalised ?? s.mu ?? [], color: "c1" }] };
}

/** G2 with the calibrated band, the raw ±2σ and its peaks. */
export function g2Model(r) {
  const g = r.g2;
  const title = `G2, ${name(r)}`;
  if (!g || !g.mean) return { ...NOTHING, title, nothing: "no prediction: see the flags" };
  const around = (sign) => g.mean.map((m, i) => (isNumber(m) && isNumber(g.sigma?.[i]) ? m + sign * 2 * g.sigma[i] : null));
  const series = [];
  if (g.lower && g.upper) series.push({ label: "95 % band", band: [g.lower, g.upper], color: "c1" });
  if (g.sigma) series.push({ label: "±2σ", band: [around(-1), around(1)], color: "c2", outline: true });
  series.push({ label: "G2", y: g.mean, color: "c1", width: 2.5 });
  const marks = (r.peaks ?? []).slice(0, 8).map((p) => ({ x: p.r, label: `${num(p.r)} Å` }));
  const shade = isNumber(g.skill_to) && g.skill_to < g.radius.at(-1) ? { from: g.skill_to, label: `no skill shown beyond ${num(g.skill_to, 1)} Å` } : undefined;
  return { title, xLabel: "distance / Å", yLabel: "G2 (wACSF)", x: g.radius, series, marks, shade };
}

/** One sweep of a run of many, as if it were a result of its own. */
export function sweepOf(r, stacks, index) {
  const s = r.sweeps;
  const row = (key) => stacks[key]?.[index];
  const pick = (key) => s[key]?.[index] ?? null;
  const spectrum = stacks.energy ? { energy: stacks.energy, normalised: row("normalised"), flattened: row("flattened") } : null;
  const g2 = stacks.radius ? { skill_to: r.g2?.skill_to, radius: stacks.radius, mean: row("mean"), sigma: row("sigma"), lower: row("lower"), upper: row("upper") } : null;
  return {
    ...r, spectrum, g2, peaks: index === s.described ? r.peaks : [], e0: pick("e0"), edge_step: pick("edge_step"),
    colour: s.colours[index] ?? "", r: pick("first_shell_r"), low: pick("first_shell_low"), high: pick("first_shell_high"),
    sample: `${r.sample || "no name"} [${index + 1}/${s.count}]`,
  };
}

export const PALETTE = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];
const DASHES = [undefined, [8, 4], [2, 3], [8, 3, 2, 3]];

/** How the n-th of several lines is drawn: neighbours differ in colour and in dashes, for those who see no colours, and no two of 32 are alike. */
export const style = (n) => ({ color: PALETTE[n % PALETTE.length], dash: DASHES[(n + Math.floor(n / PALETTE.length)) % DASHES.length] });

/** Several curves with axes of their own on one common axis. */
export function overlay(title, xLabel, yLabel, curves, extra = []) {
  const tables = [...curves.map((c) => [c.x, c.y]), ...extra.map((e) => [e.x, e.band[0], e.band[1], e.y])].filter((t) => t[0].length);
  if (!tables.length) return { ...NOTHING, title, nothing: "select results in the list" };
  const joined = uPlot.join(tables);
  let at = 1;
  const series = curves.filter((c) => c.x.length).map((c) => ({ label: c.label, y: joined[at++], color: c.color, dash: c.dash, width: c.width ?? 1.8 }));
  for (const e of extra.filter((e) => e.x.length)) {
    series.push({ label: e.label, band: [joined[at], joined[at + 1]], y: joined[at + 2], color: e.color, width: 3 });
    at += 3;
  }
  return { title, xLabel, yLabel, x: joined[0], series };
}

/** The scan in progress. */
export function liveModel(scan) {
  const title = `${scan.element ? `${scan.element} ${scan.edge}` : "μ(E)"} · ${scanName(scan)}${scan.sweep > 1 ? ` · sweep ${scan.sweep}` : ""}`;
  const running = scan.state === "running";
  if (!scan.energy) return { ...NOTHING, title, nothing: running ? "no points in Tiled yet" : "nothing to draw" };
  return { title, xLabel: "energy / eV", yLabel: scan.kind || "μ(E)", x: scan.energy, series: [{ label: "μ(E)", y: scan.mu, color: "c1", points: scan.energy.length < 200 }] };
}
