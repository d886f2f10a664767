// What speaks for and against a prediction, in words for whoever is at the beamline: compounds with
// similar spectra, how far it moves when the spectrum is changed a little, and the way back.

import { shown } from "./chart.js";
import { h, nothing } from "./dom.js";
import { isNumber, num, sig } from "./format.js";
import { style } from "./models.js";

const percent = (x) => `${Math.round(100 * x)} %`;

/** [limit of novelty, sign, words]; the first that fits. */
const NOVELTY = [
  [0.8, "●", "Spectra like this one are well known to the model."],
  [0.95, "▲", "This spectrum is at the edge of what the model knows."],
  [1.01, "■", "This spectrum is unlike nearly everything the model knows: compare with a measured standard."],
];

function novelty(r) {
  if (!isNumber(r.novelty)) return null;
  const [, sign, words] = NOVELTY.find(([limit]) => r.novelty < limit) ?? NOVELTY.at(-1);
  return h("p", { testid: "novelty" }, h("span", { class: "sign", "aria-hidden": "true" }, `${sign} `), words,
    h("span", { class: "sub" }, ` Of spectra the model had not seen, ${percent(r.novelty)} were nearer to those it was trained with.`));
}

/** Where a neighbour's distance lies as against the interval of the result. */
function against(r, near) {
  if (!isNumber(near.r) || !isNumber(r.r)) return "–";
  const off = near.r - r.r;
  const inside = isNumber(r.low) && isNumber(r.high) ? (near.r >= r.low && near.r <= r.high ? "● inside the interval" : "▲ outside the interval") : "";
  return `${off >= 0 ? "+" : "−"}${num(Math.abs(off))} Å${inside ? `, ${inside}` : ""}`;
}

export function nearest(r) {
  const found = r.nearest ?? [];
  if (!found.length && !isNumber(r.novelty)) return nothing("This result names no training compounds.");
  const known = found.map((n) => n.r).filter(isNumber);
  const spread = known.length > 1 ? Math.max(...known) - Math.min(...known) : null;
  const advice = spread === null ? "" : spread > 0.15
    ? ` They differ by ${num(spread)} Å among themselves: different structures look alike here.`
    : ` They agree within ${num(spread)} Å.`;
  return h("div", { testid: "nearest" }, novelty(r),
    found.length ? h("p", {}, `Training compounds whose spectra are most like this one, with the first shell of the computed structure of each that is nearest in spectrum. That may be a distorted copy, or one with the absorber at another element's place, and goes by its parent's name.${advice}`) : null,
    found.length ? h("div", { class: "wide" }, h("table", { class: "plain" },
      h("thead", {}, h("tr", {}, ["compound", "first shell / Å", "to", "as against this result", "difference of the spectra (rms)"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, found.map((n) => h("tr", {}, h("td", {}, n.name), h("td", {}, h("b", {}, num(n.r))), h("td", {}, n.ligand || "–"), h("td", {}, against(r, n)), h("td", {}, sig(n.distance, 2))))))) : null);
}

const KINDS = {
  shift: ["the energy scale were off", "shift of the energies / eV", "Energy shift"],
  broadening: ["the resolution were worse", "broadening (FWHM) / eV", "Broadening"],
};

function moved(r, kind, points) {
  const largest = points.reduce((a, b) => (Math.abs(b.r - r.r) > Math.abs(a.r - r.r) ? b : a));
  const far = Math.abs(largest.r - r.r);
  const half = isNumber(r.low) && isNumber(r.high) ? (r.high - r.low) / 2 : null;
  const judged = half === null ? "" : far > half ? " ▲ That is more than the interval allows for." : " ● That is within the interval.";
  return h("li", {}, `If ${KINDS[kind]?.[0] ?? kind} by ${num(Math.abs(largest.value), 1)} eV, the distance would move by ${num(far)} Å.${judged}`);
}

/** How far distance and G2 move when the spectrum is shifted or broadened. */
export function sensitivity(r) {
  const all = r.sensitivity ?? [];
  if (!all.length) return nothing("This result holds no sensitivity.");
  const groups = [...new Set(all.map((s) => s.kind))].map((kind) => [kind, all.filter((s) => s.kind === kind)]);
  return h("div", { testid: "sensitivity" },
    isNumber(r.r) ? h("ul", { class: "said" }, groups.map(([kind, points]) => moved(r, kind, points))) : null,
    h("div", { class: "plots" }, groups.flatMap(([kind, points]) => plots(r, kind, points))));
}

function plots(r, kind, points) {
  const [, xLabel, name] = KINDS[kind] ?? ["", `${kind} / eV`, kind];
  // The unchanged spectrum belongs to both.
  const own = isNumber(r.r) && !points.some((p) => p.value === 0) ? [{ value: 0, r: r.r, g2: 0 }] : [];
  const sorted = [...points, ...own].sort((a, b) => a.value - b.value);
  const x = sorted.map((p) => p.value);
  const flat = (y) => x.map(() => y);
  const interval = isNumber(r.low) && isNumber(r.high) ? [{ label: "95 % interval", band: [flat(r.low), flat(r.high)], color: "c3" }] : [];
  const marks = [{ x: 0, label: "as measured" }];
  const found = [shown(`sensitivity-${kind}`, { title: `${name}: first shell`, xLabel, yLabel: "first shell / Å", x, marks,
    series: [...interval, { label: "first shell", y: sorted.map((p) => p.r), color: "c1", points: true }] }, 170)];
  if (sorted.some((p) => isNumber(p.g2) && p.g2 !== 0)) {
    found.push(shown(`sensitivity-${kind}-g2`, { title: `${name}: change of G2`, xLabel, yLabel: "change of G2 / %", x, marks,
      series: [{ label: "rms change of G2", y: sorted.map((p) => (isNumber(p.g2) ? 100 * p.g2 : null)), color: "c2", points: true }] }, 170));
  }
  return found;
}

/** Parts of a spectrum, eV from e0, and what they are called. */
const REGIONS = [
  [-Infinity, -4, "the pre-edge"], [-4, 6, "the rising edge"], [6, 18, "the white line"],
  [18, 50, "the first oscillations"], [50, Infinity, "the oscillations beyond"],
];

/** The part with most of the residual: {name, low, high, share}; null without an edge energy. */
export function place(c, e0) {
  if (!isNumber(e0) || !c.residual?.length) return null;
  const total = c.residual.reduce((sum, v) => sum + (isNumber(v) ? v * v : 0), 0);
  if (!(total > 0)) return null;
  const parts = REGIONS.map(([from, to, name]) => {
    const inside = c.energy.map((e, i) => i).filter((i) => c.energy[i] - e0 >= from && c.energy[i] - e0 < to);
    const squares = inside.reduce((sum, i) => sum + (isNumber(c.residual[i]) ? c.residual[i] ** 2 : 0), 0);
    return { name, share: squares / total, low: c.energy[inside[0]], high: c.energy[inside.at(-1)] };
  });
  return parts.reduce((a, b) => (b.share > a.share ? b : a));
}

function judged(score) {
  if (!isNumber(score)) return "";
  if (score < 1.5) return `● The prediction explains the spectrum as well as is usual (${sig(score, 2)} × the usual residual).`;
  return `${score < 3 ? "▲" : "■"} The prediction leaves more of the spectrum unexplained than is usual (${sig(score, 2)} × the usual residual).`;
}

export function cyclic(r) {
  const c = r.cyclic;
  if (!c) return nothing("This result holds no cyclic residual.");
  const most = place(c, r.e0);
  const lines = [["measured", c.measured], ["returned from G2", c.returned]].filter(([, y]) => y?.length);
  const marks = isNumber(r.e0) ? [{ x: r.e0, label: "e0" }] : [];
  const base = { xLabel: "energy / eV", x: c.energy };
  return h("div", { testid: "cyclic" },
    h("p", {}, "The predicted G2 is turned back into a spectrum. Where that differs from what was measured, the prediction does not explain the sample."),
    h("p", { testid: "cyclic-words" }, judged(c.score), most ? ` Most of the difference (${percent(most.share)}) lies in ${most.name}, ${num(most.low, 0)} to ${num(most.high, 0)} eV.` : ""),
    h("div", { class: "plots" },
      shown("cyclic-plot", { ...base, title: "Measured, and what the prediction leads back to", yLabel: "normalised μ(E)", marks, series: lines.map(([label, y], i) => ({ label, y, ...style(i), ...(i ? { dash: [6, 4] } : {}) })) }, 220),
      c.residual?.length ? shown("cyclic-residual", { ...base, title: "Measured less returned", yLabel: "residual",
        marks: most ? [{ x: most.low, label: most.name }, { x: most.high, label: "" }] : marks, series: [{ label: "residual", y: c.residual, color: "c2" }, { label: "none", y: c.energy.map(() => 0), color: "muted", width: 1, dash: [2, 3] }] }, 220) : null));
}
