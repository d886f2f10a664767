// Which results of the history are shown.

import { choice, fill, h } from "./dom.js";
import { COLOURS, isNumber, scanName } from "./format.js";

export const EMPTY = { text: "", sample: "", scan: "", flag: "", edge: "", from: "", to: "", colours: ["green", "amber", "red", ""], group: "none" };

/** Text in which the free search looks; kept with the row, which does not change. */
function haystack(r) {
  r.text ??= `${r.sample} ${scanName(r)} ${r.element} ${r.edge} ${r.plan} ${r.codes.join(" ")} ${r.key} ${r.raw_uid} ${r.model} ${r.mode}`.toLowerCase();
  return r.text;
}

const seconds = (text) => (text ? new Date(text).getTime() / 1000 : null);

/** '1001' or '1000-1020' as a pair of limits; null for anything else. */
export function scanRange(text) {
  const found = /^\s*(\d+)\s*(?:[-–]\s*(\d+)\s*)?$/.exec(text);
  return found ? [Number(found[1]), Number(found[2] ?? found[1])] : null;
}

/** A function that says whether a row meets `f`. */
export function matcher(f) {
  const words = f.text.toLowerCase().split(/\s+/).filter(Boolean);
  const scans = scanRange(f.scan);
  const sample = f.sample.trim().toLowerCase();
  const from = seconds(f.from), to = seconds(f.to);
  const colours = new Set(f.colours);
  return (r) => colours.has(r.colour)
    && (!sample || r.sample.toLowerCase().includes(sample))
    && (!scans || (isNumber(r.scan_id) && r.scan_id >= scans[0] && r.scan_id <= scans[1]))
    && (!f.flag || r.codes.includes(f.flag))
    && (!f.edge || `${r.element} ${r.edge}` === f.edge)
    && (from === null || (r.time ?? 0) >= from) && (to === null || (r.time ?? 0) <= to)
    && words.every((word) => haystack(r).includes(word));
}

/**
 * Repeats: results of one sample, edge, mode, model and configuration, newest group first, with mean
 * and scatter of the distance. Red ones are listed and do not count; one without a name is by itself.
 */
export function groups(rows, open) {
  const found = new Map();
  for (const r of rows) {
    const sample = r.sample.trim();
    const key = [sample || `\n${r.key}`, r.element, r.edge, r.mode, r.model, r.config].join("\n");
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(r);
  }
  return [...found].map(([key, members]) => {
    const counted = members.filter((r) => r.colour === "green" || r.colour === "amber");
    const distances = counted.map((r) => r.r).filter(isNumber);
    const mean = distances.length ? distances.reduce((a, b) => a + b, 0) / distances.length : null;
    const spread = distances.length > 1 ? Math.sqrt(distances.reduce((a, d) => a + (d - mean) ** 2, 0) / (distances.length - 1)) : null;
    const colours = {};
    for (const r of members) colours[r.colour] = (colours[r.colour] ?? 0) + 1;
    const { sample, element, edge, mode, model, config, time } = members[0];
    return { key, rows: members, mean, spread, colours, counted: counted.length, open: open.has(key), sample: sample.trim(), edge: `${element} ${edge}`, mode, model, config, time };
  });
}

/** The controls; `onChange` is called with the filter after each change. */
export class Filter {
  constructor(state, onChange) {
    this.state = state;
    this.onChange = onChange;
    this.samples = h("datalist", { id: "samples" });
    this.flag = this.#select("flag", "any flag");
    this.edge = this.#select("edge", "any edge");
    this.count = h("output", { testid: "count", "aria-live": "polite" });
    const colours = h("fieldset", { class: "colours" }, h("legend", { class: "sr" }, "colours"), Object.entries(COLOURS).map(([key, c]) => h("label", { class: `mark ${key || "none"}` },
      h("input", { type: "checkbox", checked: state.colours.includes(key), testid: `colour-${key || "none"}`, on: { change: (e) => this.#colour(key, e.target.checked) } }), `${c.sign} ${key || "none"}`)));
    this.node = h("form", { class: "filter card", role: "search", on: { submit: (e) => e.preventDefault() } },
      this.#text("text", "search", "search", { id: "search", type: "search", placeholder: "sample, scan, flag, plan …" }),
      this.#text("sample", "sample", "text", { list: "samples", size: 14 }), this.samples,
      this.#text("scan", "scan", "text", { size: 9, placeholder: "17 or 10-20", pattern: "\\s*\\d+\\s*([-–]\\s*\\d+\\s*)?" }),
      h("label", {}, "flag ", this.flag), h("label", {}, "edge ", this.edge),
      this.#text("from", "from", "datetime-local", { step: "1" }), this.#text("to", "to", "datetime-local", { step: "1" }),
      colours,
      choice("Group", "group", [["none", "no"], ["repeats", "repeats"]], state.group, (v) => this.#set("group", v)),
      h("button", { type: "button", testid: "clear", on: { click: () => this.#clear() } }, "clear"), this.count);
  }

  #text(name, label, type, more) {
    return h("label", {}, `${label} `, h("input", { type, value: this.state[name], testid: `filter-${name}`, ...more, on: { input: (e) => this.#set(name, e.target.value) } }));
  }

  #select(name, none) {
    return h("select", { testid: `filter-${name}`, on: { change: (e) => this.#set(name, e.target.value) } }, h("option", { value: "" }, none));
  }

  #set(name, value) {
    this.state[name] = value;
    this.onChange();
  }

  #colour(key, on) {
    this.state.colours = on ? [...this.state.colours, key] : this.state.colours.filter((c) => c !== key);
    this.onChange();
  }

  #clear() {
    Object.assign(this.state, structuredClone(EMPTY));
    for (const input of this.node.querySelectorAll("input, select")) {
      if (input.type === "checkbox") input.checked = true;
      else if (input.type === "radio") input.checked = input.value === "none";
      else input.value = "";
    }
    this.onChange();
  }

  /** Offer the names, flags and edges that occur. */
  offer(rows) {
    const seen = { sample: new Set(), flag: new Set(), edge: new Set() };
    for (const r of rows) {
      if (seen.sample.size < 300) seen.sample.add(r.sample);
      for (const code of r.codes) seen.flag.add(code);
      if (r.element) seen.edge.add(`${r.element} ${r.edge}`);
    }
    fill(this.samples, [...seen.sample].sort().map((s) => h("option", { value: s })));
    this.#options(this.flag, seen.flag, this.state.flag);
    this.#options(this.edge, seen.edge, this.state.edge);
  }

  #options(select, names, value) {
    const sorted = [...names].sort();
    if (sorted.join("\n") !== select.dataset.names) {
      select.dataset.names = sorted.join("\n");
      fill(select, select.firstChild, sorted.map((n) => h("option", { value: n }, n.replaceAll("_", " "))));
    }
    select.value = value;
  }
}
