// One plot: a plain description drawn with uPlot on the screen and with svg.js on paper.

import { h, fill } from "./dom.js";
import { ink, isNumber, sig } from "./format.js";
import { savePng, saveSvg } from "./svg.js";

/** Dashes of a line as the border of its square in the legend, for those who see no colours. */
const BORDERS = { "": "solid", "2,3": "dotted", "8,3,2,3": "double" };
const charts = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of charts) chart.redraw();
});

/**
 * A model is {title, xLabel, yLabel, x, series: [{label, y, color, width, dash, points, band: [low, high]}],
 * marks: [{x, label}], shade: {from, label}, range: [xmin, xmax], errors: {low, high}, shapes: [colour of each point]}.
 */
export class Chart {
  constructor(testid, { height = 300, tools = true } = {}) {
    this.height = height;
    this.box = h("div", { class: "plot", testid, tabindex: "0", role: "img" });
    this.caption = h("figcaption", {});
    this.node = h("figure", { class: "chart" }, this.caption, this.box);
    if (tools) {
      this.node.append(h("div", { class: "tools" },
        h("button", { type: "button", title: "Save as SVG", testid: `${testid}-svg`, on: { click: () => this.model && saveSvg(this.model) } }, "SVG"),
        h("button", { type: "button", title: "Save as PNG", testid: `${testid}-png`, on: { click: () => this.model && savePng(this.model) } }, "PNG")));
    }
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.chart = this;
    this.observer = new ResizeObserver(() => this.#resize());
    this.frames = 0;
  }

  set(model) {
    const shape = model && JSON.stringify([model.title, model.xLabel, model.yLabel, model.series.map((s) => [s.label, s.color, s.dash, s.width, s.points, !!s.band]), model.range, model.shade, !!model.errors, !!model.shapes]);
    const same = this.plot && shape === this.shape;
    this.model = model;
    this.shape = shape;
    if (!charts.has(this)) {
      charts.add(this);
      this.observer.observe(this.box);
    }
    fill(this.caption, model?.title ?? "");
    this.box.setAttribute("aria-label", describe(model));
    if (!model || model.x.length < 1) this.#empty(model);
    else if (same) this.plot.setData(data(model));
    else this.redraw();
    this.frames += 1;
    this.box.dataset.frames = this.frames;
    this.box.dataset.points = model ? model.x.length : 0;
  }

  redraw() {
    if (!this.model || this.model.x.length < 1 || !this.box.isConnected) return;
    this.plot?.destroy();
    fill(this.box);
    this.plot = new uPlot(this.#options(), data(this.model), this.box);
  }

  /** Let go of everything; `set` begins again. */
  destroy() {
    this.observer.disconnect();
    this.plot?.destroy();
    this.plot = null;
    fill(this.box);
    charts.delete(this);
  }

  #empty(model) {
    this.plot?.destroy();
    this.plot = null;
    fill(this.box, h("p", { class: "nothing" }, model?.nothing ?? "nothing to show"));
  }

  #resize() {
    const width = this.box.clientWidth;
    if (!width || !this.model) return;
    if (!this.plot) this.redraw();
    else if (Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: this.#height() });
  }

  #height() {
    return Math.round(this.height * Math.max(1, parseFloat(getComputedStyle(document.documentElement).fontSize) / 16));
  }

  #options() {
    const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const font = `${Math.round(12 * scale)}px system-ui, sans-serif`;
    const axis = { stroke: ink("muted"), font, labelFont: font, grid: { stroke: ink("grid"), width: 1 }, ticks: { stroke: ink("grid"), width: 1 } };
    const { series, bands } = seriesOf(this.model);
    return {
      width: this.box.clientWidth || 300,
      height: this.#height(),
      padding: [10 * scale, 12 * scale, 0, 0],
      scales: {
        x: { time: !!this.model.time, ...(this.model.range ? { range: () => this.model.range } : {}) },
        y: this.model.errors ? { range: (u, low, high) => this.#withErrors(low, high) } : {},
      },
      axes: [
        { ...axis, label: this.model.xLabel, size: (this.model.time ? 52 : 38) * scale, labelSize: 20 * scale, ...(this.model.time ? {} : { values: (u, ticks) => ticks.map((t) => sig(t, 6)) }) },
        { ...axis, label: this.model.yLabel, size: 58 * scale, labelSize: 20 * scale, values: (u, ticks) => ticks.map((t) => sig(t, 6)) },
      ],
      series, bands,
      cursor: { points: { size: 7 }, drag: { x: true, y: false } },
      legend: { live: true, markers: { dash: (u, i) => BORDERS[String(u.series[i].dash ?? "")] ?? "dashed" } },
      hooks: { draw: [(u) => this.#marks(u)] },
    };
  }

  /** Vertical lines with a word, error bars, and points whose shape says their colour. */
  #marks(u) {
    const { ctx } = u;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.fillStyle = ctx.strokeStyle = ink("muted");
    if (this.model.shade) this.#shade(u, ctx, ratio);
    ctx.lineWidth = ratio;
    let end = -Infinity, line = 0;
    for (const mark of this.model.marks ?? []) {
      const x = u.valToPos(mark.x, "x", true);
      if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
      ctx.setLineDash([4 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, u.bbox.top);
      ctx.lineTo(x, u.bbox.top + u.bbox.height);
      ctx.stroke();
      // Labels that would meet go one below the other.
      line = x < end ? line + 1 : 0;
      end = x + ctx.measureText(mark.label).width + 8 * ratio;
      ctx.fillText(mark.label, x + 4 * ratio, u.bbox.top + (12 + 14 * line) * ratio);
    }
    ctx.setLineDash([]);
    if (this.model.errors) this.#errors(u, ctx);
    if (this.model.shapes) this.#shapes(u, ctx, ratio);
    ctx.restore();
  }

  /** What lies beyond `shade.from` is hatched, with a word: it is not to be relied on. */
  #shade(u, ctx, ratio) {
    const { left, top, width, height } = u.bbox;
    const x = Math.min(left + width, Math.max(left, u.valToPos(this.model.shade.from, "x", true)));
    ctx.save();
    ctx.beginPath();
    ctx.rect(x, top, left + width - x, height);
    ctx.clip();
    ctx.globalAlpha = 0.1;
    ctx.fillRect(x, top, left + width - x, height);
    ctx.globalAlpha = 0.35;
    ctx.lineWidth = ratio;
    for (let at = x - height; at < left + width; at += 12 * ratio) {
      ctx.beginPath();
      ctx.moveTo(at, top + height);
      ctx.lineTo(at + height, top);
      ctx.stroke();
    }
    ctx.restore();
    ctx.textAlign = "right";
    ctx.fillText(this.model.shade.label, left + width - 6 * ratio, top + height - 8 * ratio);
    ctx.textAlign = "left";
  }

  /** The range of y, wide enough for the error bars. */
  #withErrors(low, high) {
    const { errors } = this.model;
    const bars = [...errors.low, ...errors.high].filter(isNumber);
    let a = low ?? 0, b = high ?? 1;
    for (const v of bars) { a = Math.min(a, v); b = Math.max(b, v); }
    const pad = (b - a || 1) * 0.05;
    return [a - pad, b + pad];
  }

  #errors(u, ctx) {
    const { low, high } = this.model.errors;
    this.model.x.forEach((x, i) => {
      if (!isNumber(low[i]) || !isNumber(high[i])) return;
      const at = u.valToPos(x, "x", true);
      ctx.beginPath();
      ctx.moveTo(at, u.valToPos(low[i], "y", true));
      ctx.lineTo(at, u.valToPos(high[i], "y", true));
      ctx.stroke();
    });
  }

  #shapes(u, ctx, ratio) {
    const size = (this.model.x.length > 500 ? 2.5 : 4) * ratio;
    const y = this.model.series[0].y;
    this.model.shapes.forEach((colour, i) => {
      if (!isNumber(y[i])) return;
      const px = u.valToPos(this.model.x[i], "x", true), py = u.valToPos(y[i], "y", true);
      ctx.fillStyle = ink(colour || "muted");
      ctx.beginPath();
      if (colour === "amber") { ctx.moveTo(px, py - 1.3 * size); ctx.lineTo(px + 1.2 * size, py + size); ctx.lineTo(px - 1.2 * size, py + size); }
      else if (colour === "red") ctx.rect(px - size, py - size, 2 * size, 2 * size);
      else ctx.arc(px, py, size, 0, 7);
      ctx.fill();
    });
  }

  /** Arrow keys move the cursor from point to point, Escape shows everything again. */
  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (event.key === "Escape" && this.plot) this.plot.setData(this.plot.data, true);
    if (!step || !this.plot) return;
    const x = this.plot.data[0];
    this.index = Math.min(x.length - 1, Math.max(0, (this.index ?? 0) + step));
    const y = this.plot.data[1]?.[this.index] ?? 0;
    this.plot.setCursor({ left: this.plot.valToPos(x[this.index], "x"), top: this.plot.valToPos(y, "y") });
    event.preventDefault();
    event.stopPropagation();
  }
}

/** The node of a plot that is drawn once. */
export function shown(testid, model, height = 200) {
  const chart = new Chart(testid, { height });
  chart.set(model);
  return chart.node;
}

/** Destroy all plots inside `node`, which is about to leave the page. */
export function release(node) {
  for (const box of node.querySelectorAll(".plot")) box.chart?.destroy();
}

/** Columns for uPlot: a band is two invisible lines and what is between them. */
function data(model) {
  const columns = [model.x];
  for (const s of model.series) {
    if (s.band) columns.push(s.band[1], s.band[0]);
    if (s.y) columns.push(s.y);
  }
  return columns;
}

function seriesOf(model) {
  const series = [{ label: model.xLabel, value: (u, v) => (model.time ? (v ? new Date(v * 1000).toLocaleString() : "–") : sig(v, 6)) }];
  const bands = [];
  for (const s of model.series) {
    const color = ink(s.color);
    if (s.band) {
      const at = series.length;
      series.push({ label: `${s.label} upper`, stroke: color, width: s.outline ? 1 : 0, dash: [2, 3], points: { show: false }, value: (u, v) => sig(v, 4) });
      series.push({ label: `${s.label} lower`, stroke: color, width: s.outline ? 1 : 0, dash: [2, 3], points: { show: false }, value: (u, v) => sig(v, 4) });
      if (!s.outline) bands.push({ series: [at, at + 1], fill: `${color}33` });
    }
    if (s.y) series.push({ label: s.label, stroke: color, width: s.width ?? 2, dash: s.dash, points: { show: !!s.points && !model.shapes, size: 5 }, spanGaps: true, value: (u, v) => sig(v, 5) });
  }
  return { series, bands };
}

function describe(model) {
  if (!model || !model.x.length) return "empty plot";
  const names = model.series.map((s) => s.label).join(", ");
  return `${model.title}: ${names} against ${model.xLabel}, ${model.x.length} points${model.shade ? `; ${model.shade.label}` : ""}`;
}
