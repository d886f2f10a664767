// A matrix as an image on a canvas, rows from top to bottom, with a cursor on one row.

import { h } from "./dom.js";
import { ink, isNumber, sig } from "./format.js";
import { download, ticks } from "./svg.js";

// Anchors of viridis (CC0), evenly spaced from dark to light: also good in grey.
const VIRIDIS = ["440154", "482475", "414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26", "fde725"]
  .map((c) => [0, 2, 4].map((i) => parseInt(c.slice(i, i + 2), 16)));

export function shade(t) {
  const at = Math.min(0.9999, Math.max(0, t)) * (VIRIDIS.length - 1);
  const i = Math.floor(at), f = at - i;
  return VIRIDIS[i].map((c, k) => c + f * (VIRIDIS[i + 1][k] - c));
}

const LEFT = 46, BOTTOM = 40, TOP = 8, RIGHT = 8, HEIGHT = 240;

export class Raster {
  constructor(testid, xLabel, yLabel, onPick) {
    Object.assign(this, { xLabel, yLabel, onPick, at: 0 });
    this.canvas = h("canvas", { class: "raster", tabindex: "0", role: "img", testid, "aria-label": `image: ${xLabel} against ${yLabel}` });
    this.canvas.addEventListener("pointerdown", (e) => { this.canvas.setPointerCapture(e.pointerId); this.#point(e); });
    this.canvas.addEventListener("pointermove", (e) => e.buttons && this.#point(e));
    this.canvas.addEventListener("keydown", (e) => this.#key(e));
    this.node = h("figure", { class: "chart" }, this.canvas, h("div", { class: "tools" },
      h("button", { type: "button", testid: `${testid}-png`, on: { click: () => this.canvas.toBlob((b) => download(b, `${testid}.png`)) } }, "PNG")));
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.canvas);
  }

  /** @param {Array<Array<number|null>>} rows @param {Array<number>} x */
  set(rows, x) {
    this.rows = rows ?? [];
    this.x = x ?? [];
    this.picture = this.rows.length && this.x.length ? this.#paint() : null;
    this.#draw();
  }

  cursor(index) {
    this.at = index;
    this.#draw();
  }

  destroy() {
    this.observer.disconnect();
  }

  /** Pixels of the matrix on its own canvas; columns evenly spaced in x. */
  #paint() {
    const columns = Math.min(600, this.x.length), n = this.rows.length;
    const values = this.rows.flat().filter(isNumber).sort((a, b) => a - b);
    const low = values[Math.floor(values.length * 0.005)] ?? 0, high = values[Math.floor(values.length * 0.995)] ?? 1;
    const [x0, x1] = [this.x[0], this.x[this.x.length - 1]];
    const pick = Array.from({ length: columns }, (_, c) => nearest(this.x, x0 + ((c + 0.5) / columns) * (x1 - x0)));
    const picture = new OffscreenCanvas(columns, n);
    const context = picture.getContext("2d");
    const pixels = context.createImageData(columns, n);
    for (let r = 0; r < n; r++) for (let c = 0; c < columns; c++) {
      const v = this.rows[r][pick[c]], o = 4 * (r * columns + c);
      if (!isNumber(v)) continue;
      pixels.data.set([...shade((v - low) / (high - low || 1)), 255], o);
    }
    context.putImageData(pixels, 0, 0);
    return picture;
  }

  #draw() {
    const ratio = devicePixelRatio, width = this.canvas.clientWidth;
    if (!width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = HEIGHT * ratio;
    const g = this.canvas.getContext("2d");
    g.scale(ratio, ratio);
    if (!this.picture) return;
    const w = width - LEFT - RIGHT, hgt = HEIGHT - TOP - BOTTOM, n = this.rows.length;
    g.imageSmoothingEnabled = false;
    g.drawImage(this.picture, LEFT, TOP, w, hgt);
    g.font = "12px system-ui, sans-serif";
    g.fillStyle = ink("muted");
    const [x0, x1] = [this.x[0], this.x[this.x.length - 1]];
    g.textAlign = "center";
    for (const t of ticks(x0, x1, 5)) g.fillText(sig(t, 6), LEFT + ((t - x0) / (x1 - x0)) * w, HEIGHT - BOTTOM + 15);
    g.fillText(this.xLabel, LEFT + w / 2, HEIGHT - 6);
    g.textAlign = "right";
    for (const t of ticks(0.5, n + 0.5, 5)) if (Number.isInteger(t)) g.fillText(String(t), LEFT - 6, TOP + ((t - 0.5) / n) * hgt + 4);
    const y = TOP + ((this.at + 0.5) / n) * hgt;
    for (const [style, thick] of [["#000000", 3], ["#ffffff", 1.5]]) {
      g.strokeStyle = style;
      g.lineWidth = thick;
      g.strokeRect(LEFT, y - Math.max(2, hgt / n / 2), w, Math.max(4, hgt / n));
    }
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const part = (event.clientY - box.top - TOP) / (HEIGHT - TOP - BOTTOM);
    if (this.rows?.length) this.onPick(Math.floor(part * this.rows.length));
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (!step) return;
    this.onPick(this.at + step);
    event.preventDefault();
  }
}

function nearest(x, value) {
  let low = 0, high = x.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= value) low = middle;
    else high = middle;
  }
  return value - x[low] < x[high] - value ? low : high;
}
