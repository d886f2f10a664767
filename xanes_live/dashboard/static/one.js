// One result by its permanent address.

import { fill, h } from "./dom.js";
import { fetchJson } from "./link.js";
import { Reprocess } from "./reprocess.js";
import { ResultView } from "./result.js";

export class OneView {
  constructor(app, key) {
    this.app = app;
    this.key = key;
    this.result = new ResultView(app, "");
    this.reprocess = new Reprocess(app, [key]);
    this.node = h("div", { class: "one", testid: "one" }, h("p", { class: "nothing card" }, "reading the result …"));
    this.#load();
  }

  async #load() {
    try {
      const r = await fetchJson(`api/result/${encodeURIComponent(this.key)}`);
      fill(this.node, h("div", { class: "top" }, this.result.verdict.node, this.reprocess.node), this.result.node);
      this.result.set(r);
      this.reprocess.of(r);
      document.title = `${r.sample || "result"} · XANES live`;
    } catch (error) {
      fill(this.node, h("p", { class: "nothing card", testid: "one-error" }, error.message));
      // Tiled may be back soon; the address stays good.
      this.timer = setTimeout(() => this.#load(), 2000);
    }
  }

  update(link) {
    this.reprocess.allow(link.parts.status?.reprocess);
  }

  tick(now) {
    this.result.tick(now);
  }

  destroy() {
    clearTimeout(this.timer);
    document.title = "XANES live";
    this.result.destroy();
    this.reprocess.destroy();
  }
}
