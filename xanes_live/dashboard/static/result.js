// Everything about one result: verdict, spectrum, G2, and what stands behind it.

import { Chart, release } from "./chart.js";
import { choice, facts, fill, h, say } from "./dom.js";
import { behind } from "./behind.js";
import { COLOURS, SEVERITIES, edgeName, interval, isNumber, mark, num, scanName, sig, span, when } from "./format.js";
import { FORMS, g2Model, spectrumModel } from "./models.js";
import { Sweeps } from "./sweeps.js";
import { Tabs } from "./tabs.js";

/** Large number, colour, flags. */
export class Verdict {
  constructor() {
    this.head = h("h2", { class: "sample", testid: "sample" });
    this.sub = h("p", { class: "sub", testid: "scan-line" });
    this.colour = h("p", { class: "colour", testid: "colour", "aria-live": "polite" });
    this.number = h("p", { class: "number", testid: "distance" });
    this.range = h("p", { class: "range", testid: "interval" });
    this.chance = h("p", { class: "chance", testid: "probability" });
    this.flags = h("ol", { class: "flags", testid: "flags" });
    this.node = h("section", { class: "verdict card", "aria-label": "Verdict" },
      h("div", { class: "title" }, this.head, this.sub),
      h("div", { class: "big" }, this.colour, this.number, this.range, this.chance),
      h("div", { class: "why" }, this.flags));
  }

  set(r, now) {
    const c = COLOURS[r.colour] ?? COLOURS[""];
    this.node.dataset.colour = r.colour || "none";
    this.node.dataset.key = r.key;
    say(this.head, r.sample || "no name");
    this.describe(r, now);
    if (this.shown !== `${r.key}${r.colour}`) fill(this.colour, mark(r.colour, "colour-word"), h("small", {}, c.advice));
    this.shown = `${r.key}${r.colour}`;
    fill(this.number, isNumber(r.r) ? [num(r.r), h("small", {}, " Å")] : "–");
    const range = interval(r.low, r.high);
    say(this.range, range ? `first shell, 95 % between ${range} Å` : isNumber(r.r) ? "first shell, no interval" : "no first-shell distance");
    // rounded down, as the flags are: 92 % beside amber would contradict a green from 92 % on
    say(this.chance, isNumber(r.probability) ? `right within 0.1 Å with probability ${Math.floor(100 * r.probability)} %${rival(r)}` : "");
    fill(this.flags, (r.flags ?? []).length ? r.flags.map(flagItem) : h("li", { class: "flag none" }, "No flags."));
  }

  describe(r, now) {
    const time = r.stop_time ?? r.time;
    const ago = isNumber(time) && now ? `, ${span(now - time)} ago` : "";
    const parts = [scanName(r), edgeName(r), r.mode, isNumber(time) ? `${when(time)}${ago}` : "", r.n_spectra > 1 ? `${r.n_spectra} spectra` : ""];
    say(this.sub, parts.filter(Boolean).join(" · "));
  }
}

/** The likeliest other distance, if the network holds one likely enough to be told. */
function rival(r) {
  const { r: at, probability } = r.rival ?? {};
  return isNumber(at) && isNumber(probability) ? `; if not, rather ${num(at)} Å (${Math.round(100 * probability)} % by the network's own count)` : "";
}

function flagItem(flag) {
  const s = SEVERITIES[flag.severity] ?? SEVERITIES.warning;
  return h("li", { class: `flag ${flag.severity}`, testid: `flag-${flag.code}` },
    h("span", { class: "sign", "aria-hidden": "true" }, s.sign), h("span", { class: "sr" }, `${s.word}: `),
    h("span", {}, h("b", {}, flag.message), flag.remedy ? h("span", { class: "remedy" }, ` ${flag.remedy}`) : null));
}

/** A result with its plots; used for the latest one and for a permalink. */
export class ResultView {
  constructor(app, prefix) {
    this.app = app;
    this.form = app.form;
    this.verdict = new Verdict();
    this.spectrum = new Chart(`${prefix}spectrum`, { height: 320 });
    this.g2 = new Chart(`${prefix}g2`, { height: 320 });
    this.tabs = new Tabs("Behind the result", "behind");
    this.sweeps = new Sweeps(app, (r) => this.draw(r));
    const forms = choice("Show", `${prefix}form`, FORMS, this.form, (form) => { this.form = app.form = form; this.draw(this.drawn); });
    this.numbers = h("div", { class: "card numbers", testid: "numbers" });
    this.node = h("div", { class: "result" },
      this.sweeps.node,
      h("section", { class: "card plotcard", "aria-label": "Spectrum" }, forms, this.spectrum.node),
      h("section", { class: "card plotcard", "aria-label": "G2" }, h("p", { class: "legendline" }, "G2 against distance: mean, calibrated 95 % band, dashed ±2σ of the members"), this.g2.node),
      this.numbers, this.tabs.node);
  }

  set(r) {
    const other = this.result?.key !== r.key;
    this.result = r;
    this.verdict.set(r, this.app.link.now());
    this.sweeps.set(r);
    if (!this.sweeps.active) this.draw(r);
    fill(this.numbers, numbers(r));
    if (other) this.#later(r);
  }

  /** What stands behind a result is read once results stop following one another quickly. */
  #later(r) {
    clearTimeout(this.timer);
    this.tabs.clear("…");
    this.timer = setTimeout(() => this.tabs.set(behind(this.app, r)), this.tabs.items.length ? 400 : 50);
  }

  /** Draw the plots of `r`, which may be one sweep of the result. */
  draw(r) {
    if (!r) return;
    this.drawn = r;
    const form = r.spectrum && !r.spectrum[this.form] && this.form === "mu" ? "normalised" : this.form;
    this.spectrum.set(spectrumModel(r, form));
    this.g2.set(g2Model(r));
  }

  tick(now) {
    if (this.result) this.verdict.describe(this.result, now);
  }

  destroy() {
    clearTimeout(this.timer);
    this.sweeps.destroy();
    release(this.node);
  }
}

function numbers(r) {
  return facts([
    ["e0", isNumber(r.e0) ? `${num(r.e0, 2)} eV` : null],
    ["edge step", isNumber(r.edge_step) ? `${sig(r.edge_step)}${isNumber(r.edge_step_sigma) ? ` ± ${sig(r.edge_step_sigma, 2)}` : ""}` : null],
    ["energy shift", isNumber(r.energy_shift) && r.energy_shift !== 0 ? `${num(r.energy_shift, 2)} eV` : null],
    ["noise", isNumber(r.noise) ? sig(r.noise, 2) : null],
    ["σ of the members", isNumber(r.shell?.sigma) ? `${num(r.shell.sigma, 3)} Å` : null],
    ["pre-edge range", isNumber(r.ranges?.pre1) ? `${num(r.ranges.pre1, 0)} … ${num(r.ranges.pre2, 0)} eV` : null],
    ["post-edge range", isNumber(r.ranges?.norm1) ? `${num(r.ranges.norm1, 0)} … ${num(r.ranges.norm2, 0)} eV` : null],
    ["channels", Object.entries(r.quality ?? {}).map(([k, v]) => `${k} ${v}`).join(", ")],
    ["model", r.model], ["configuration", r.config],
  ]);
}
