// Thousands of results: filter, list, overlay, trends.

import { release } from "./chart.js";
import { fill, h, say } from "./dom.js";
import { EMPTY, Filter, groups, matcher } from "./filter.js";
import { List } from "./list.js";
import { Overlay } from "./overlay.js";
import { Reprocess } from "./reprocess.js";
import { download } from "./svg.js";
import { Tabs } from "./tabs.js";
import { Trend } from "./trend.js";

const EVERY_MS = 500;

export class HistoryView {
  constructor(app) {
    this.app = app;
    app.filter ??= structuredClone(EMPTY);
    app.selected ??= new Set();
    app.folds ??= new Set();
    app.link.wantHistory();
    this.filter = new Filter(app.filter, () => this.#apply());
    this.list = new List({
      selected: app.selected, onSelect: () => this.#selection(),
      onOpen: (key) => { location.hash = `#/result/${encodeURIComponent(key)}`; }, onToggle: (item) => this.#fold(item),
    });
    this.overlay = new Overlay(app);
    this.trend = new Trend(app);
    this.reprocess = new Reprocess(app, []);
    this.tabs = new Tabs("Results selected and found", "views");
    this.chosen = h("output", { testid: "selected", "aria-live": "polite" });
    const tools = h("p", { class: "listtools" }, this.chosen,
      h("button", { type: "button", testid: "select-none", on: { click: () => { app.selected.clear(); this.#selection(); this.list.refresh(); } } }, "select none"),
      h("button", { type: "button", testid: "export-list", on: { click: () => this.#export() } }, "list as CSV"));
    this.node = h("div", { class: "history" }, this.filter.node,
      h("section", { class: "card listcard", "aria-label": "Results" }, tools, this.list.node), this.tabs.node);
    this.tabs.set([
      ["overlay", "Overlay", () => { this.overlay.refresh(); return this.overlay.node; }],
      ["trend", "Trend", () => { this.trend.refresh(); return this.trend.node; }],
      ["reprocess", "Reprocess", () => { this.reprocess.keys = [...app.selected]; return this.reprocess.node; }],
    ]);
    this.#apply();
    this.#selection();
  }

  update(link, changed) {
    this.reprocess.allow(link.parts.status?.reprocess);
    if (changed.has("status")) this.#count();
    if (!changed.has("history") || this.timer) return;
    this.timer = setTimeout(() => { this.timer = null; this.#apply(); }, this.found?.length ? EVERY_MS : 0);
  }

  #apply() {
    const all = [...this.app.link.rows.values()];
    this.filter.offer(all);
    this.found = all.filter(matcher(this.app.filter)).sort((a, b) => (b.time ?? 0) - (a.time ?? 0));
    this.list.set(this.app.filter.group === "repeats" ? this.#grouped() : this.found.map((row) => ({ key: row.key, row })));
    this.#count();
    this.trend.of(this.found);
  }

  #count() {
    const { rows, more, parts } = this.app.link;
    const reading = more || parts.status?.loading ? " (reading more …)" : "";
    say(this.filter.count, `${this.found.length} of ${rows.size}${reading}`);
  }

  #grouped() {
    return groups(this.found, this.app.folds).flatMap((group) => (group.sample ? [
      { key: `group ${group.key}`, group },
      ...(group.open ? group.rows.map((row) => ({ key: row.key, row, inside: true })) : []),
    ] : group.rows.map((row) => ({ key: row.key, row }))));
  }

  #fold(item) {
    const key = item.group?.key;
    if (key === undefined) return;
    if (!this.app.folds.delete(key)) this.app.folds.add(key);
    this.#apply();
  }

  #selection() {
    const n = this.app.selected.size;
    say(this.chosen, n ? `${n} selected` : "none selected: click or space");
    this.overlay.of([...this.app.selected]);
    this.reprocess.keys = [...this.app.selected];
  }

  #export() {
    const names = this.app.link.fields;
    const lines = this.found.map((r) => names.map((n) => cell(r[n])).join(","));
    download(new Blob([[names.join(","), ...lines].join("\n"), "\n"], { type: "text/csv" }), "results.csv");
  }

  destroy() {
    clearTimeout(this.timer);
    this.list.destroy();
    this.reprocess.destroy();
    release(this.node);
  }
}

/** A value for a spreadsheet, which must not take a name for a formula. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = String(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}
