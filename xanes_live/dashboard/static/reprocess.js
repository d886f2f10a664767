// Other settings of the reduction for one result or several: preview, then publish beside the old.

import { Chart, release } from "./chart.js";
import { fill, h, say } from "./dom.js";
import { interval, isNumber, mark, num, scanName } from "./format.js";
import { fetchJson } from "./link.js";
import { overlay } from "./models.js";

const FIELDS = [
  ["e0", "e0 / eV", 0.1], ["pre1", "pre-edge from / eV", 1], ["pre2", "to", 1],
  ["norm1", "post-edge from / eV", 1], ["norm2", "to", 1], ["nnorm", "order of the post-edge", 1],
];
const WAIT_MS = 350;
const AGAIN_MS = 3000;

export class Reprocess {
  constructor(app, keys) {
    this.app = app;
    this.keys = keys;
    this.note = h("p", { class: "sub", testid: "reprocess-note", "aria-live": "polite" });
    this.inputs = {};
    const fields = FIELDS.map(([name, label, step]) => {
      this.inputs[name] = h("input", { type: "number", step: "any", name, testid: `re-${name}`, "data-step": String(step), on: { input: () => this.#later() } });
      return h("label", {}, `${label} `, this.inputs[name]);
    });
    this.inputs.align = h("select", { testid: "re-align", on: { change: () => this.#later() } },
      [["", "as configured"], ["off", "off"], ["foil", "to the foil"], ["fixed", "fixed shift"]].map(([v, l]) => h("option", { value: v }, l)));
    this.inputs.energy_shift = h("input", { type: "number", step: "any", testid: "re-energy_shift", on: { input: () => this.#later() } });
    this.publish = h("button", { type: "submit", class: "primary", testid: "publish", disabled: true }, "Publish as new result");
    this.out = h("ul", { class: "previews", testid: "previews" });
    this.chart = new Chart("preview", { height: 230, tools: false });
    this.form = h("form", { class: "reform", on: { submit: (e) => { e.preventDefault(); this.#ask(true); } } }, fields,
      h("label", {}, "alignment ", this.inputs.align), h("label", {}, "shift / eV ", this.inputs.energy_shift),
      h("div", {}, this.publish, " ", h("button", { type: "button", testid: "re-reset", on: { click: () => this.#reset() } }, "Reset")));
    this.node = h("section", { class: "card reprocess", "aria-label": "Reprocess", testid: "reprocess" },
      h("h3", {}, "Reprocess"), this.note, this.form, this.out, this.chart.node);
    this.allow(app.link.parts.status?.reprocess);
  }

  /** Take note of whether this page may write. */
  allow(about) {
    const possible = !!about?.possible, known = JSON.stringify([possible, about?.reason]);
    if (this.known === known) return;
    this.known = known;
    this.form.hidden = !possible;
    this.chart.node.hidden = true;
    say(this.note, possible ? "Empty fields stay as they were. The old result stays." : `Not possible: ${about?.reason ?? "not known yet"}.`);
  }

  /** Show the settings of a result as hints. */
  of(r) {
    this.old = r;
    const hints = { e0: r.e0, ...(r.ranges ?? {}) };
    for (const [name, input] of Object.entries(this.inputs)) if (isNumber(hints[name])) input.placeholder = String(Number(hints[name].toFixed(2)));
  }

  #changes() {
    const changes = {};
    for (const [name, input] of Object.entries(this.inputs)) {
      if (input.value === "") continue;
      changes[name] = name === "align" ? input.value : Number(input.value);
    }
    if (changes.energy_shift !== undefined && !changes.align) changes.align = "fixed";
    return changes;
  }

  #later() {
    clearTimeout(this.timer);
    this.publish.disabled = true;
    this.timer = setTimeout(() => this.#ask(false), WAIT_MS);
  }

  #reset() {
    this.form.reset();
    clearTimeout(this.timer);
    this.wish = null;
    this.publish.disabled = true;
    fill(this.out);
    this.chart.node.hidden = true;
  }

  async #ask(publish) {
    const changes = this.#changes();
    const keys = this.keys.slice(0, 20);
    if (!keys.length) return say(this.note, "Select results in the list first.");
    if (!Object.keys(changes).length) return this.#reset();
    const wish = this.wish = Symbol("wish");
    this.publish.disabled = true;
    say(this.note, publish ? "publishing …" : "computing the preview …");
    try {
      const answer = await fetchJson("api/reprocess", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ keys, changes, publish }) });
      if (this.wish === wish) this.#show(answer, publish);
    } catch (error) {
      if (this.wish !== wish) return;
      const again = !publish && error.status === 503;
      say(this.note, `${error.message}${again ? " The preview is tried again." : ""}`);
      if (again) this.timer = setTimeout(() => this.wish === wish && this.#ask(false), AGAIN_MS);
    }
  }

  #show({ results }, published) {
    say(this.note, published ? "Published; the old results stay." : `Preview of ${results.length} result${results.length > 1 ? "s" : ""}${this.keys.length > results.length ? ` (of ${this.keys.length} selected; 20 at a time)` : ""}.`);
    fill(this.out, results.map((r) => h("li", { testid: published ? "published" : "preview-item" }, mark(r.colour), " ",
      h("b", {}, isNumber(r.r) ? `${num(r.r)} Å` : "–"), ` ${interval(r.low, r.high)} · ${r.sample || "no name"} ${scanName(r)}, e0 ${num(r.e0, 2)} eV `,
      r.same ? "(the same settings as before)" : published ? h("a", { href: `#/result/${encodeURIComponent(r.key)}`, testid: "new-result" }, "open the new result") : "")));
    this.publish.disabled = published || results.every((r) => r.same);
    this.#draw(results);
  }

  #draw(results) {
    const curves = [];
    const add = (r, label, color, dash) => r?.spectrum && curves.push({ label, x: r.spectrum.energy, y: r.spectrum.flattened ?? [], color, dash });
    if (results.length === 1) add(this.old, "before", "muted", [6, 4]);
    results.slice(0, 8).forEach((r, i) => add(r, results.length === 1 ? "now" : scanName(r), `c${i + 1}`));
    this.chart.node.hidden = false;
    this.chart.set(overlay("Flattened μ(E), before and now", "energy / eV", "flattened μ(E)", curves));
  }

  destroy() {
    clearTimeout(this.timer);
    this.wish = null;
    release(this.node);
  }
}
