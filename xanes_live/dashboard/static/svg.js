// The same plot as a file: SVG built element by element, PNG drawn from it.

import { ink, isNumber, sig } from "./format.js";

const NS = "http://www.w3.org/2000/svg";
const W = 720, H = 460, LEFT = 74, RIGHT = 18, TOP = 40, BOTTOM = 56;

function el(name, attributes, text) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Ticks at 1, 2 or 5 times a power of ten. */
export function ticks(low, high, count = 6) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) ?? raw;
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return found;
}

function extent(lists) {
  let low = Infinity, high = -Infinity;
  for (const list of lists) for (const v of list) if (isNumber(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  if (low > high) return [0, 1];
  const pad = (high - low || Math.abs(high) || 1) * 0.04;
  return [low - pad, high + pad];
}

function path(xs, ys, sx, sy) {
  let d = "", pen = "M";
  for (let i = 0; i < xs.length; i++) {
    if (!isNumber(xs[i]) || !isNumber(ys[i])) { continue; }
    d += `${pen}${sx(xs[i]).toFixed(2)} ${sy(ys[i]).toFixed(2)}`;
    pen = "L";
  }
  return d;
}

/** Build the SVG element of a chart's model. */
export function toSvg(model) {
  const [x0, x1] = model.range ?? (model.x.length > 1 ? [Math.min(...model.x), Math.max(...model.x)] : extent([model.x]));
  const inside = (list) => list.filter((_, i) => model.x[i] >= x0 && model.x[i] <= x1);
  const [y0, y1] = extent(model.series.flatMap((s) => [s.y ?? [], ...(s.band ?? [])]).map(inside));
  const sx = (v) => LEFT + ((v - x0) / (x1 - x0 || 1)) * (W - LEFT - RIGHT);
  const sy = (v) => H - BOTTOM - ((v - y0) / (y1 - y0 || 1)) * (H - TOP - BOTTOM);
  const root = el("svg", { xmlns: NS, viewBox: `0 0 ${W} ${H}`, width: W, height: H, "font-family": "system-ui, sans-serif", "font-size": 13 });
  root.append(el("rect", { width: W, height: H, fill: ink("panel") }));
  root.append(el("text", { x: LEFT, y: 22, "font-size": 15, "font-weight": 600, fill: ink("text") }, model.title));
  axes(root, model, [x0, x1], [y0, y1], sx, sy);
  const clip = el("clipPath", { id: "inside" });
  clip.append(el("rect", { x: LEFT, y: TOP, width: W - LEFT - RIGHT, height: H - TOP - BOTTOM }));
  const body = el("g", { "clip-path": "url(#inside)" });
  root.append(clip, body);
  for (const s of model.series) drawSeries(body, model, s, sx, sy);
  if (model.shade) {
    const x = Math.max(LEFT, sx(model.shade.from));
    body.append(el("rect", { x, y: TOP, width: Math.max(0, W - RIGHT - x), height: H - TOP - BOTTOM, fill: ink("muted"), "fill-opacity": 0.15 }));
    body.append(el("text", { x: W - RIGHT - 6, y: H - BOTTOM - 8, "text-anchor": "end", fill: ink("muted") }, model.shade.label));
  }
  for (const m of model.marks ?? []) {
    body.append(el("line", { x1: sx(m.x), x2: sx(m.x), y1: TOP, y2: H - BOTTOM, stroke: ink("muted"), "stroke-dasharray": "4 4" }));
    body.append(el("text", { x: sx(m.x) + 4, y: TOP + 13, fill: ink("muted") }, m.label));
  }
  legend(root, model);
  return root;
}

function axes(root, model, xr, yr, sx, sy) {
  const label = model.time ? (t) => new Date(t * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" }) : (t) => sig(t, 6);
  for (const t of ticks(...xr, model.time ? 4 : 7)) {
    root.append(el("line", { x1: sx(t), x2: sx(t), y1: TOP, y2: H - BOTTOM, stroke: ink("grid") }));
    root.append(el("text", { x: sx(t), y: H - BOTTOM + 18, "text-anchor": "middle", fill: ink("muted") }, label(t)));
  }
  for (const t of ticks(...yr)) {
    root.append(el("line", { x1: LEFT, x2: W - RIGHT, y1: sy(t), y2: sy(t), stroke: ink("grid") }));
    root.append(el("text", { x: LEFT - 8, y: sy(t) + 4, "text-anchor": "end", fill: ink("muted") }, sig(t, 6)));
  }
  root.append(el("text", { x: (LEFT + W - RIGHT) / 2, y: H - 14, "text-anchor": "middle", fill: ink("text") }, model.xLabel));
  root.append(el("text", { transform: `translate(18 ${(TOP + H - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle", fill: ink("text") }, model.yLabel));
}

function drawSeries(body, model, s, sx, sy) {
  const color = ink(s.color);
  if (s.band) {
    const [low, high] = s.band;
    if (s.outline) for (const edge of s.band) body.append(el("path", { d: path(model.x, edge, sx, sy), fill: "none", stroke: color, "stroke-dasharray": "2 3" }));
    else {
      const there = path(model.x, high, sx, sy), back = path([...model.x].reverse(), [...low].reverse(), sx, sy);
      body.append(el("path", { d: `${there}${back.replace("M", "L")}Z`, fill: color, "fill-opacity": 0.2 }));
    }
  }
  if (s.y && !model.shapes) body.append(el("path", { d: path(model.x, s.y, sx, sy), fill: "none", stroke: color, "stroke-width": s.width ?? 2, ...(s.dash ? { "stroke-dasharray": s.dash.join(" ") } : {}) }));
  if (s.y && (s.points || model.shapes)) s.y.forEach((v, i) => isNumber(v) && body.append(el("circle", { cx: sx(model.x[i]), cy: sy(v), r: 3, fill: model.shapes ? ink(model.shapes[i] || "muted") : color })));
}

function legend(root, model) {
  const shown = model.series.slice(0, 12);
  shown.forEach((s, i) => {
    const y = TOP + 16 + 17 * i;
    root.append(el("line", { x1: W - 190, x2: W - 166, y1: y - 4, y2: y - 4, stroke: ink(s.color), "stroke-width": s.band ? 8 : 2, "stroke-opacity": s.band && !s.y ? 0.3 : 1, ...(s.dash ? { "stroke-dasharray": s.dash.join(" ") } : {}) }));
    root.append(el("text", { x: W - 160, y, fill: ink("text"), "font-size": 12 }, s.label.slice(0, 24)));
  });
}

/** Offer `blob` as a download. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const fileName = (model) => `${model.title.replace(/[^\w.-]+/g, "_").slice(0, 80) || "plot"}`;
const text = (model) => new XMLSerializer().serializeToString(toSvg(model));

export function saveSvg(model) {
  download(new Blob([text(model)], { type: "image/svg+xml" }), `${fileName(model)}.svg`);
}

/** Draw the SVG at twice its size and save the pixels. */
export async function savePng(model) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([text(model)], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * W;
  canvas.height = 2 * H;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  canvas.toBlob((blob) => download(blob, `${fileName(model)}.png`), "image/png");
}
