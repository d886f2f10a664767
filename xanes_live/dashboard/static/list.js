// A list of any length of which only the visible rows exist.

import { fill, h } from "./dom.js";
import { edgeName, isNumber, mark, num, scanName, shortly, sig, when } from "./format.js";

const OVERSCAN = 6;

/** Rows are {key, row} or {key, group}; `selected` is a Set of keys of results. */
export class List {
  constructor({ selected, onSelect, onOpen, onToggle }) {
    Object.assign(this, { selected, onSelect, onOpen, onToggle, items: [], at: 0 });
    this.rows = h("div", { class: "rows" });
    this.space = h("div", { class: "space" }, this.rows);
    this.node = h("div", {
      class: "list", tabindex: "0", role: "listbox", "aria-multiselectable": "true", "aria-label": "results", testid: "list",
      on: { scroll: () => this.#draw(), keydown: (e) => this.#key(e), click: (e) => this.#click(e), dblclick: (e) => this.#open(e) },
    }, this.space);
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.node);
  }

  set(items) {
    const current = this.items[this.at]?.key;
    this.items = items;
    const found = current === undefined ? -1 : items.findIndex((i) => i.key === current);
    this.at = found >= 0 ? found : Math.min(this.at, Math.max(0, items.length - 1));
    this.drawn = null;
    this.#draw();
  }

  refresh() {
    this.drawn = null;
    this.#draw();
  }

  destroy() {
    this.observer.disconnect();
  }

  get #rowHeight() {
    return Math.round(2.1 * parseFloat(getComputedStyle(document.documentElement).fontSize));
  }

  #draw() {
    const height = this.#rowHeight;
    const first = Math.max(0, Math.floor(this.node.scrollTop / height) - OVERSCAN);
    const last = Math.min(this.items.length, Math.ceil((this.node.scrollTop + this.node.clientHeight) / height) + OVERSCAN);
    const now = `${first} ${last}`;
    if (this.drawn === now) return;
    this.drawn = now;
    this.space.style.height = `${this.items.length * height}px`;
    this.rows.style.transform = `translateY(${first * height}px)`;
    fill(this.rows, this.items.slice(first, last).map((item, i) => this.#row(item, first + i, height)));
    this.node.setAttribute("aria-activedescendant", `row-${this.at}`);
  }

  #row(item, index, height) {
    const on = item.group ? item.group.rows.every((r) => this.selected.has(r.key)) : this.selected.has(item.key);
    const line = h("div", {
      class: `line${item.group ? " group" : ""}${index === this.at ? " at" : ""}${item.inside ? " inside" : ""}`, id: `row-${index}`, role: "option",
      "aria-selected": String(on), "aria-setsize": String(this.items.length), "aria-posinset": String(index + 1), testid: item.group ? "group" : "row",
    }, h("span", { class: "tick", "aria-hidden": "true" }, on ? "☑" : "☐"), item.group ? groupCells(item.group) : cells(item.row));
    line.style.height = `${height}px`;
    line.dataset.index = index;
    line.dataset.key = item.key;
    return line;
  }

  #click(event) {
    const line = event.target.closest(".line");
    if (!line) return;
    this.at = Number(line.dataset.index);
    if (event.target.closest(".open")) return;
    if (event.target.closest(".fold")) this.onToggle(this.items[this.at]);
    else this.#select(this.at, event.shiftKey);
    this.refresh();
  }

  #open(event) {
    const item = this.items[Number(event.target.closest(".line")?.dataset.index)];
    if (item?.row) this.onOpen(item.key);
  }

  /** Turn one result, a whole group, or all up to the last one on or off. */
  #select(index, upTo) {
    const item = this.items[index];
    if (!item) return;
    const from = upTo && this.last !== undefined ? Math.min(this.last, index) : index;
    const to = upTo && this.last !== undefined ? Math.max(this.last, index) : index;
    const rows = item.group ? item.group.rows : this.items.slice(from, to + 1).filter((i) => i.row).map((i) => i.row);
    const off = !upTo && rows.every((r) => this.selected.has(r.key));
    for (const row of rows) off ? this.selected.delete(row.key) : this.selected.add(row.key);
    this.last = index;
    this.onSelect();
  }

  #key(event) {
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.#rowHeight) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.items.length, End: this.items.length }[event.key];
    const item = this.items[this.at];
    if (step) this.#move(step);
    else if (event.key === " ") this.#select(this.at, event.shiftKey);
    else if (event.key === "Enter" && item?.row) this.onOpen(item.key);
    else if (event.key === "Enter" && item) this.onToggle(item);
    else return;
    event.preventDefault();
    this.refresh();
  }

  #move(step) {
    this.at = Math.min(this.items.length - 1, Math.max(0, this.at + step));
    const height = this.#rowHeight, top = this.at * height;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top + height > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + height - this.node.clientHeight;
  }
}

function cells(r) {
  const range = isNumber(r.low) && isNumber(r.high) ? ` ±${num((r.high - r.low) / 2)}` : "";
  return [
    h("span", { class: "c-colour" }, mark(r.colour)),
    h("span", { class: "c-sample", title: r.sample }, r.sample || "no name"),
    h("span", { class: "c-scan" }, scanName(r).replace("scan ", "#")),
    h("span", { class: "c-r" }, isNumber(r.r) ? h("b", {}, num(r.r)) : "–", range),
    h("span", { class: "c-e0" }, num(r.e0, 1)),
    h("span", { class: "c-step" }, sig(r.edge_step, 2)),
    h("span", { class: "c-edge" }, edgeName(r)),
    h("span", { class: "c-n" }, r.n_spectra > 1 ? `×${r.n_spectra}` : ""),
    h("span", { class: "c-time", title: when(r.time, { always: true }) }, shortly(r.time)),
    h("a", { class: "open", href: `#/result/${encodeURIComponent(r.key)}`, tabindex: "-1", "aria-label": `open ${scanName(r)}` }, "open"),
  ];
}

function groupCells(g) {
  const counts = ["green", "amber", "red", ""].filter((c) => g.colours[c]).map((c) => [mark(c), ` ${g.colours[c]}  `]);
  return [
    h("button", { type: "button", class: "fold", tabindex: "-1", "aria-label": g.open ? "close" : "unfold" }, g.open ? "▾" : "▸"),
    h("span", { class: "c-sample", title: `${g.sample}: ${g.mode}, ${g.model}, configuration ${g.config}` }, h("b", {}, g.sample), ` ${g.edge} ${g.mode}`),
    h("span", { class: "c-r wide", testid: "group-merge", title: "mean and scatter of those that are not red; the model's own error is not in it" }, isNumber(g.mean) ? [h("b", {}, num(g.mean)), isNumber(g.spread) ? ` ± ${num(g.spread, 3)} Å` : " Å"] : "–"),
    h("span", {}, `${g.counted < g.rows.length ? `${g.counted} of ` : ""}${g.rows.length} repeat${g.rows.length > 1 ? "s" : ""}`),
    h("span", { class: "c-counts" }, counts),
    h("span", { class: "c-time" }, shortly(g.time)),
  ];
}
