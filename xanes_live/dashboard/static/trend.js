// First shell, e0 or edge step of the results found, against time, scan number or a number of the run.

import { Chart } from "./chart.js";
import { choice, fill, h, say } from "./dom.js";
import { isNumber } from "./format.js";
import { fetchJson } from "./link.js";

const VALUES = [["r", "first shell"], ["e0", "e0"], ["edge_step", "edge step"], ["probability", "probability"]];
const UNITS = { r: "first shell / Å", e0: "e0 / eV", edge_step: "edge step", probability: "probability within 0.1 Å" };
const MAX = 5000;

export class Trend {
  constructor(app) {
    this.app = app;
    this.rows = [];
    this.value = "r";
    this.chart = new Chart("trend", { height: 340 });
    this.note = h("p", { class: "sub", testid: "trend-note" });
    this.axis = h("select", { testid: "trend-x", on: { change: () => this.#axis(), focus: () => this.#offer() } },
      h("option", { value: "time" }, "time"), h("option", { value: "scan_id" }, "scan number"), h("option", { value: "more" }, "from the run's metadata …"));
    this.node = h("div", {}, h("div", { class: "row" }, choice("Show", "trendvalue", VALUES, this.value, (v) => { this.value = v; this.refresh(); }),
      h("label", {}, "against ", this.axis)), this.chart.node, this.note);
  }

  of(rows) {
    this.rows = rows;
    if (this.node.isConnected) this.refresh();
  }

  /** Numbers of the start documents are read when somebody asks for one. */
  async #offer() {
    if (this.asked) return;
    this.asked = true;
    say(this.note, "reading the runs' metadata …");
    try {
      this.runs = await fetchJson("api/context");
      const names = new Set(Object.values(this.runs).flatMap((run) => Object.keys(run)));
      const chosen = this.axis.value;
      fill(this.axis, [...this.axis.options].slice(0, 2), [...names].sort().map((n) => h("option", { value: `run:${n}` }, n)));
      this.axis.value = [...this.axis.options].some((o) => o.value === chosen) ? chosen : this.axis.options[2]?.value ?? "time";
      say(this.note, names.size ? "" : "the runs' metadata hold no numbers");
    } catch (error) {
      this.asked = false;
      say(this.note, error.message);
    }
    this.refresh();
  }

  #axis() {
    if (this.axis.value === "more") this.#offer();
    else this.refresh();
  }

  #x(row) {
    const name = this.axis.value;
    return name.startsWith("run:") ? this.runs?.[row.raw_uid]?.[name.slice(4)] : row[name];
  }

  refresh() {
    const points = this.rows.slice(0, MAX).map((row) => [this.#x(row), row]).filter(([x, row]) => isNumber(x) && isNumber(row[this.value])).sort((a, b) => a[0] - b[0]);
    const rows = points.map(([, row]) => row);
    const name = this.axis.selectedOptions[0]?.textContent ?? "";
    this.chart.set({
      title: `${UNITS[this.value]} of ${rows.length} results`, xLabel: name, yLabel: UNITS[this.value], time: this.axis.value === "time",
      x: points.map(([x]) => x), series: [{ label: UNITS[this.value], y: rows.map((r) => r[this.value]), color: "grid", width: 1 }],
      shapes: rows.map((r) => r.colour), errors: this.value === "r" ? { low: rows.map((r) => r.low), high: rows.map((r) => r.high) } : undefined,
      nothing: "no numbers to draw",
    });
    if (this.rows.length > MAX) say(this.note, `the newest ${MAX} are drawn`);
  }
}
