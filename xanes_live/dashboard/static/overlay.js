// Spectra and G2 of several results over one another, with their merge.

import { Chart } from "./chart.js";
import { choice, fill, h, say } from "./dom.js";
import { isNumber, num, scanName } from "./format.js";
import { fetchJson } from "./link.js";
import { overlay, style } from "./models.js";

const MAX = 16;
const KEPT = 60;
const details = new Map();

async function detail(key) {
  if (!details.has(key)) {
    details.set(key, await fetchJson(`api/result/${encodeURIComponent(key)}`));
    while (details.size > KEPT) details.delete(details.keys().next().value);
  }
  return details.get(key);
}

export class Overlay {
  constructor(app) {
    this.app = app;
    this.keys = [];
    this.form = "flattened";
    this.spectra = new Chart("overlay-spectra", { height: 300 });
    this.g2 = new Chart("overlay-g2", { height: 300 });
    this.note = h("p", { class: "sub", testid: "overlay-note" });
    this.merging = h("input", { type: "checkbox", testid: "merge", on: { change: () => this.#load() } });
    this.result = h("p", { class: "merged", testid: "merged" });
    this.node = h("div", {},
      h("div", { class: "row" }, choice("Spectra", "overlayform", [["flattened", "flattened"], ["normalised", "normalised"]], this.form, (f) => { this.form = f; this.refresh(); }),
        h("label", {}, this.merging, " merge ± σ")),
      this.result, this.note, this.spectra.node, this.g2.node);
  }

  of(keys) {
    this.keys = keys;
    this.#load();
  }

  async #load() {
    const keys = this.keys.slice(0, MAX);
    const wish = this.wish = Symbol("wish");
    try {
      const found = await Promise.all(keys.map(detail));
      const merge = this.merging.checked && this.keys.length ? await fetchJson(`api/merge?${this.keys.slice(0, 40).map((k) => `key=${encodeURIComponent(k)}`).join("&")}`) : null;
      if (this.wish !== wish) return;
      this.found = found;
      this.merge = merge;
      say(this.note, this.keys.length > MAX ? `the first ${MAX} of ${this.keys.length} are drawn` : "");
      this.refresh();
    } catch (error) {
      if (this.wish === wish) say(this.note, error.message);
    }
  }

  refresh() {
    const found = this.found ?? [];
    const name = (r) => `${r.sample || "no name"} ${scanName(r)}`.slice(0, 40);
    const curve = (r, i, part, x, y) => ({ label: name(r), x: r[part]?.[x] ?? [], y: r[part]?.[y] ?? [], ...style(i) });
    const s = this.merge?.spectrum;
    const extra = s ? [{ label: `merge of ${s.count} ± σ`, x: s.energy, y: s[this.form], band: [s[this.form].map((v, i) => v - s.sigma[i]), s[this.form].map((v, i) => v + s.sigma[i])], color: "text" }] : [];
    this.spectra.set(overlay(`Spectra of ${found.length} results`, "energy / eV", `${this.form} μ(E)`, found.map((r, i) => curve(r, i, "spectrum", "energy", this.form)), extra));
    this.g2.set(overlay(`G2 of ${found.length} results`, "distance / Å", "G2 (wACSF)", found.map((r, i) => curve(r, i, "g2", "radius", "mean"))));
    const f = this.merge?.first_shell;
    const out = this.merge?.left_out ? ` ${this.merge.left_out} red or of a run that is there already, left out.` : "";
    fill(this.result, f ? ["first shell of ", h("b", {}, f.count), " results: ", h("b", {}, `${num(f.mean, 3)} Å`),
      isNumber(f.spread) ? `, scatter ± ${num(f.spread, 3)} Å (standard deviation of one; the model's own error is not in it).` : ".", out]
      : this.merge ? `No mean distance: ${this.merge.why || "no distances"}.${out}` : null);
  }
}
