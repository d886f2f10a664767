// The scan in progress and the latest result.

import { Chart, release } from "./chart.js";
import { fill, h, say } from "./dom.js";
import { isNumber, mark, num, scanName, span, when } from "./format.js";
import { asRow } from "./link.js";
import { liveModel } from "./models.js";
import { ResultView } from "./result.js";

const STATES = {
  running: "scan in progress", processing: "ended, result is being computed", done: "ended, result shown",
  ignored: "ended; not an absorption scan", abandoned: "never ended", idle: "no scan seen yet",
};

export class NowView {
  constructor(app) {
    this.app = app;
    this.live = new Chart("live", { height: 210, tools: false });
    this.state = h("p", { class: "livestate", testid: "scan-state", "aria-live": "polite" });
    this.progress = h("progress", { max: "1", value: "0", hidden: true, "aria-label": "points taken" });
    this.liveText = h("p", { class: "sub", testid: "scan-progress" });
    this.recent = h("ul", { class: "recent", testid: "recent" });
    this.empty = h("p", { class: "nothing card", testid: "no-result" }, "No result yet.");
    this.result = new ResultView(app, "");
    this.result.node.hidden = true;
    this.result.verdict.node.hidden = true;
    this.node = h("div", { class: "now" },
      h("div", { class: "top" }, this.empty, this.result.verdict.node,
        h("section", { class: "card livecard", "aria-label": "Scan in progress" }, this.state, this.live.node, this.progress, this.liveText)),
      this.result.node,
      h("section", { class: "card", "aria-label": "Recent results" }, h("h3", {}, "Recent"), this.recent));
  }

  update(link, changed) {
    if (changed.has("result") && link.parts.result) {
      this.empty.hidden = true;
      this.result.node.hidden = this.result.verdict.node.hidden = false;
      this.result.set(link.parts.result);
      document.documentElement.dataset.drawn = link.parts.result.key;
    }
    if ((changed.has("scan") || changed.has("result")) && link.parts.scan) this.#scan(link.parts.scan);
    if (changed.has("recent")) this.#recent(link);
  }

  #scan(said) {
    // Whoever sees the result is not to read that its scan still runs: its end reaches Tiled later.
    const shown = this.app.link.parts.result?.raw_uid === said.uid;
    const scan = this.scan = shown && said.state !== "done" ? { ...said, state: "done" } : said;
    // A service may be ahead of the writer of the raw runs by more than one scan.
    const behind = scan.state === "done" && this.app.link.parts.result?.raw_uid !== scan.uid;
    say(this.state, behind ? "ended, result in the history" : STATES[scan.state] ?? scan.state);
    this.state.dataset.state = scan.state;
    this.live.set(liveModel(scan));
    this.progress.hidden = !(scan.state === "running" && isNumber(scan.of) && scan.of > 0);
    if (!this.progress.hidden) this.progress.value = Math.min(1, scan.points / scan.of);
    this.#describe();
  }

  #describe() {
    const scan = this.scan;
    if (!scan || scan.state === "idle") return;
    const now = this.app.link.now();
    const points = scan.points ? `${scan.points}${isNumber(scan.of) && scan.of >= scan.points ? ` of ${scan.of}` : ""} points` : "";
    // A result may be there before the raw run's own end has reached Tiled.
    const ended = isNumber(scan.ended) ? `ended ${span(now - scan.ended)} ago` : "";
    const time = scan.state === "running" ? `for ${span(now - scan.started)}` : ended;
    const age = scan.state === "running" && isNumber(scan.moved) && now - scan.moved > 5 ? `last point ${span(now - scan.moved)} ago (the raw run's writer may hold points back)` : "";
    say(this.liveText, [scanName(scan), scan.sample, scan.plan, points, time, age].filter(Boolean).join(" · "));
  }

  #recent(link) {
    fill(this.recent, (link.parts.recent ?? []).map((values) => {
      const r = asRow(link.fields, values);
      return h("li", {}, h("a", { href: `#/result/${encodeURIComponent(r.key)}` }, mark(r.colour), ` ${r.sample || "no name"} `,
        h("b", {}, isNumber(r.r) ? `${num(r.r)} Å` : "–"), h("span", { class: "sub" }, ` ${scanName(r)}, ${when(r.stop_time ?? r.time)}`)));
    }));
  }

  tick(now) {
    this.#describe();
    this.result.tick(now);
  }

  destroy() {
    this.result.destroy();
    release(this.node);
  }
}
