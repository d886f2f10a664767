// The repeats of a sample: which were merged, what drifts, and whether another one is worth it.

import { shown } from "./chart.js";
import { h } from "./dom.js";
import { interval, isNumber, mark, num, scanName, sig } from "./format.js";

/** Why a repeat is not in the merge. */
const WHY = {
  short: "it does not reach over the energies the model needs", coarse: "its steps are coarse", odd: "it does not agree with the others",
  drift: "the sample had changed by then", two: "the two do not agree, and one of them is wrong",
};

/** 'scan 17', 'scan 17 sweep 3'. */
function name(one, of) {
  const several = one.index || of.filter((other) => other.uid === one.uid).length > 1;
  return `${scanName(one)}${several ? ` sweep ${one.index + 1}` : ""}`;
}

function drifts(drift, of, fromFirst) {
  const last = of[drift.keep - 1];
  const kept = last && fromFirst ? `; up to ${name(last, of)} they are still good.` : ".";
  return h("p", { testid: "repeats-drift" }, `▲ ${capital(drift.measure)} drifts by ${sig(drift.change, 2)} ${drift.unit} from ${name(of[0], of)} to the last`,
    isNumber(drift.chance) ? ` (chance in repeats that do not drift: ${sig(100 * drift.chance, 2)} %)` : "", kept);
}

/** Distance and verdict of the merge; its noise is part of the interval. */
function together(merged, of) {
  const shell = merged.shell ?? {};
  const range = interval(shell.low, shell.high);
  const codes = (merged.codes ?? []).map((c) => c.replaceAll("_", " ")).join(", ");
  return h("p", { testid: "repeats-merged" }, `${merged.count === 1 ? "1 repeat kept" : `${merged.count ?? of.length} repeats merged`}: `, isNumber(shell.r) ? h("b", {}, `${num(shell.r)} Å`) : "no distance",
    range ? `, 95 % between ${range} Å` : "", range && isNumber(shell.noise) ? ` (with the noise of the merge, by itself σ = ${num(shell.noise, 3)} Å)` : "", ". ",
    merged.colour ? mark(merged.colour, "repeats-colour") : null,
    isNumber(merged.probability) ? ` Right within 0.1 Å with probability ${Math.floor(100 * merged.probability)} %` : merged.colour ? " No probability: the model brings no verdict" : "",
    codes ? ` (${codes}).` : merged.colour ? "." : "");
}

export function repeats(r) {
  const { of, drift, outlier, merged, advice, narrows, from_first: fromFirst } = r.repeats;
  return h("div", { testid: "repeats" },
    advice ? h("p", {}, h("b", {}, advice)) : isNumber(narrows) ? h("p", {}, `One more repeat would narrow the interval by about ${num(narrows, 3)} Å.`) : null,
    merged ? together(merged, of) : null,
    drift ? drifts(drift, of, fromFirst) : null,
    fromFirst ? null : h("p", { testid: "repeats-outgrown" }, `The series has outgrown what is compared: earlier repeats than ${name(of[0], of)} are not looked at.`),
    h("ol", { class: "said" }, of.map((one, i) => h("li", {}, name(one, of), one.uid === r.raw_uid ? " (this one)" : "",
      i === outlier || one.why === "odd" ? " ▲ does not agree with the others" : "", one.used ? "" : `, left out of the merge${one.why && one.why !== "odd" ? `: ${WHY[one.why] ?? one.why}` : ""}`))),
    merged?.energy?.length ? shown("repeats-plot", {
      title: "Mean of the repeats with its standard error", xLabel: "energy / eV", yLabel: "normalised μ(E)", x: merged.energy,
      series: [{ label: "± σ", band: [around(merged, -1), around(merged, 1)], color: "c1" }, { label: "mean", y: merged.mu, color: "c1" }],
    }, 220) : null);
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const around = (m, sign) => m.mu.map((v, i) => (isNumber(v) && isNumber(m.sigma[i]) ? v + sign * m.sigma[i] : null));
