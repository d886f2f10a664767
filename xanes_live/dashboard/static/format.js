// Numbers, times and colours as people read them.

import { h } from "./dom.js";

/** What each colour is called and drawn as: never the colour alone. */
export const COLOURS = {
  green: { sign: "●", word: "green", advice: "nothing speaks against it" },
  amber: { sign: "▲", word: "amber", advice: "use as a guide; see the first flag" },
  red: { sign: "■", word: "red", advice: "do not use this distance" },
  "": { sign: "–", word: "not predicted", advice: "no model was applied" },
};

export const SEVERITIES = {
  error: { sign: "■", word: "error" },
  warning: { sign: "▲", word: "warning" },
  info: { sign: "○", word: "note" },
};

export const isNumber = (x) => typeof x === "number" && Number.isFinite(x);

/** '2.03', or '–' where there is no number. */
export function num(x, digits = 2) {
  return isNumber(x) ? x.toFixed(digits).replace("-", "−") : "–";
}

/** Three significant digits: '0.0123', '1.23', '123'. */
export function sig(x, digits = 3) {
  if (!isNumber(x)) return "–";
  const text = Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3)
    ? x.toExponential(digits - 1) : String(Number(x.toPrecision(digits)));
  return text.replace("-", "−");
}

/** '1.98–2.08', '' where there is no interval. */
export function interval(low, high) {
  return isNumber(low) && isNumber(high) ? `${num(low)}–${num(high)}` : "";
}

/** Sign and word of a colour. */
export function mark(colour, testid) {
  const c = COLOURS[colour] ?? COLOURS[""];
  return h("span", { class: `mark ${colour || "none"}`, testid }, h("span", { class: "sign", "aria-hidden": "true" }, c.sign), ` ${c.word}`);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit" });

/** '14:03:12', with the date in front unless it is today's. */
export function when(seconds, { always = false } = {}) {
  if (!isNumber(seconds)) return "–";
  const date = new Date(seconds * 1000);
  const today = day.format(new Date()) === day.format(date);
  return today && !always ? clock.format(date) : `${day.format(date)} ${clock.format(date)}`;
}

/** '14:03' today, '11-20 14:03' before. */
export function shortly(seconds) {
  if (!isNumber(seconds)) return "–";
  const date = new Date(seconds * 1000);
  const [hm, today] = [clock.format(date), day.format(new Date()) === day.format(date)];
  return today ? hm : `${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")} ${hm.slice(0, 5)}`;
}

/** '23 s', '5 min', '3 h', '2 d'. */
export function span(seconds) {
  if (!isNumber(seconds)) return "–";
  const s = Math.max(0, seconds);
  if (s < 100) return `${Math.round(s)} s`;
  if (s < 6000) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

/** 'scan 17', 'scan 3d1f8a52'. */
export function scanName(r) {
  return isNumber(r.scan_id) ? `scan ${r.scan_id}` : `scan ${(r.raw_uid || r.uid || r.key || "?").slice(0, 8)}`;
}

/** 'Fe K'. */
export function edgeName(r) {
  return `${r.element || "?"} ${r.edge || ""}`.trim();
}

/** The value of a CSS variable such as 'c1'; anything with '#' as it is. */
export function ink(name) {
  return name.startsWith("#") ? name : getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
