// A run of many spectra: images of energy × index and G2 × index with one cursor.

import { Chart } from "./chart.js";
import { fill, h, say } from "./dom.js";
import { interval, isNumber, mark, num } from "./format.js";
import { Raster } from "./image.js";
import { fetchJson } from "./link.js";
import { sweepOf } from "./models.js";

/** Shows the sweeps of a result and calls `onPick` with the one under the cursor. */
export class Sweeps {
  constructor(app, onPick) {
    this.app = app;
    this.onPick = onPick;
    this.slider = h("input", { type: "range", min: "0", value: "0", testid: "sweep-index", "aria-label": "index of the spectrum", on: { input: () => this.pick(Number(this.slider.value)) } });
    this.label = h("p", { class: "sweeplabel", testid: "sweep-label" });
    this.spectra = new Raster("spectra-image", "energy / eV", "spectrum", (i) => this.pick(i));
    this.g2 = new Raster("g2-image", "distance / Å", "spectrum", (i) => this.pick(i));
    this.trend = new Chart("sweep-trend", { height: 180 });
    this.node = h("section", { class: "card sweeps", hidden: true, "aria-label": "Spectra of this run", testid: "sweeps" },
      h("div", { class: "sweephead" }, h("h3", {}, "Spectra of this run"), this.slider, this.label),
      h("div", { class: "images" }, this.spectra.node, this.g2.node, this.trend.node));
  }

  get active() {
    return !this.node.hidden;
  }

  set(r) {
    const many = (r.sweeps?.count ?? 0) > 1;
    this.node.hidden = !many;
    if (!many) { this.key = null; return; }
    if (this.key === r.key) return;
    this.key = r.key;
    this.result = r;
    this.index = r.sweeps.described ?? 0;
    this.stacks = {};
    this.slider.max = String(r.sweeps.count - 1);
    this.onPick(r);
    if (r.sweeps.mean || r.sweeps.normalised) this.#use({ ...r.sweeps, energy: r.spectrum?.energy, radius: r.g2?.radius });
    else this.#fetch(r);
  }

  async #fetch(r) {
    say(this.label, "reading the arrays …");
    try {
      const stacks = await fetchJson(`api/stacks/${encodeURIComponent(r.key)}`);
      if (this.key === r.key) this.#use(stacks);
    } catch (error) {
      say(this.label, error.message);
    }
  }

  #use(stacks) {
    this.stacks = stacks;
    const s = this.result.sweeps;
    this.spectra.set(stacks.flattened ?? stacks.normalised, stacks.energy);
    this.g2.set(stacks.mean, stacks.radius);
    const x = (s.first_shell_r ?? []).map((_, i) => i + 1);
    this.trend.set({ title: "First shell of each spectrum", xLabel: "spectrum", yLabel: "first shell / Å", x, nothing: "not listed",
      series: [{ label: "first shell", y: s.first_shell_r ?? [], color: "c1" }], errors: { low: s.first_shell_low, high: s.first_shell_high }, shapes: s.colours });
    this.pick(this.index);
  }

  pick(index) {
    if (!this.result) return;
    this.index = Math.min(this.result.sweeps.count - 1, Math.max(0, index));
    this.slider.value = String(this.index);
    this.spectra.cursor(this.index);
    this.g2.cursor(this.index);
    const one = sweepOf(this.result, this.stacks, this.index);
    fill(this.label, `spectrum ${this.index + 1} of ${this.result.sweeps.count}: `, mark(one.colour),
      isNumber(one.r) ? ` ${num(one.r)} Å ${interval(one.low, one.high) && `(${interval(one.low, one.high)})`}` : " no distance");
    this.onPick(one);
  }

  destroy() {
    this.spectra.destroy();
    this.g2.destroy();
  }
}
