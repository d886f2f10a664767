// The frame of the page: header, warnings, routes, keys.

import { fill, h, say } from "./dom.js";
import { scanName, span, when } from "./format.js";
import { Link } from "./link.js";
import { NowView } from "./now.js";
import { OneView } from "./one.js";
import { HistoryView } from "./history.js";
import { takeAway } from "./takeaway.js";

const link = new Link();
const app = { link, form: "flattened" };

const pill = h("span", { class: "pill", testid: "connection" });
const frames = h("span", { testid: "frames", class: "sub", title: "messages drawn" }, "0");
const nav = h("nav", { "aria-label": "Views" },
  h("a", { href: "#/", testid: "nav-now" }, "Now"), h("a", { href: "#/history", testid: "nav-history" }, "History"),
  h("button", { type: "button", testid: "nav-help", title: "Keys (?)", on: { click: () => help.showModal() } }, "?"));
const place = h("span", { class: "place", testid: "beamline" });
fill(document.getElementById("header"), h("h1", {}, "XANES live"), place, nav, pill);
const software = h("span", {});
fill(document.getElementById("footer"), software, h("span", { class: "sub" }, " frame ", frames));

const KEYS = [["n", "now"], ["h", "history"], ["/", "search the history"], ["↑ ↓", "move in the list"], ["space", "select a result"], ["enter", "open a result"], ["← →", "move the cursor of a plot, or the tabs"], ["esc", "back, or the whole plot"], ["?", "these keys"]];
const help = h("dialog", { testid: "help", "aria-label": "Keys" }, h("h2", {}, "Keys"),
  h("dl", { class: "facts" }, KEYS.map(([k, v]) => h("div", {}, h("dt", {}, h("kbd", {}, k)), h("dd", {}, v)))),
  h("h2", {}, "Colours"), h("p", {}, "● green: nothing speaks against the result. ▲ amber: use the distance as a guide, read the first flag. ■ red: do not use it."),
  h("form", { method: "dialog" }, h("button", {}, "Close")));
document.body.append(help);

let view = null;
let searching = false;

function route() {
  const [, name, key] = location.hash.split("/").map(decode);
  const main = document.getElementById("main");
  view?.destroy();
  if (name === "history") view = new HistoryView(app);
  else if (name === "result" && key) view = new OneView(app, key);
  else view = new NowView(app);
  for (const a of nav.querySelectorAll("a")) a.toggleAttribute("aria-current", a.getAttribute("href") === `#/${name ?? ""}`);
  fill(main, view.node);
  document.documentElement.dataset.view = name || "now";
  scrollTo(0, 0);
  if (searching) document.getElementById("search")?.focus();
  searching = false;
  if (link.epoch) view.update(link, new Set([...Object.keys(link.parts), "history"]));
}

/** Go to the search of the history. */
function search(event) {
  event.preventDefault();
  if (view instanceof HistoryView) return document.getElementById("search").focus();
  searching = true;
  location.hash = "#/history";
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

/** What is not current, in one large sentence. */
function warning() {
  const now = link.now();
  if (!link.connected) {
    if (!link.heard) return performance.now() - link.begun > 2000 ? "This page cannot reach its server." : "";
    return `Not current: this page has lost its server since ${when(link.lostAt)} (${span(now - link.lostAt)}).`;
  }
  const notice = link.parts.status?.notices?.[0];
  if (!notice) return "";
  const age = span(now - notice.since);
  if (notice.code === "tiled_down") return `Not current since ${when(notice.since)} (${age}): ${notice.reason}.`;
  if (notice.code === "service_unwell") return `The prediction service needs attention since ${when(notice.since)} (${age}): ${notice.reason}.`;
  const scan = notice.run ? `${scanName(notice.run)}${notice.run.sample ? ` (${notice.run.sample})` : ""}` : "the scan";
  if (notice.code === "service_silent") return `No result: ${scan} ended ${age} ago and the prediction service has said nothing of it.`;
  if (notice.code === "no_data") return `No data: ${scan} is running, but for ${age} no new point has reached Tiled.`;
  return "";
}

const PILL = { live: ["●", "live"], polling: ["●", "live (every second)"], connecting: ["▲", "connecting"], down: ["■", "not current"], lost: ["■", "not current"] };

function status() {
  const banner = document.getElementById("banner");
  const text = warning();
  say(banner, text);
  banner.hidden = !text;
  const s = link.parts.status;
  const state = !link.connected ? (link.heard ? "lost" : "connecting") : s?.tiled?.state ?? "connecting";
  const [sign, word] = PILL[state] ?? PILL.connecting;
  say(pill, `${sign} ${word}`);
  pill.dataset.state = document.documentElement.dataset.link = state;
  document.documentElement.toggleAttribute("data-stale", state === "down" || state === "lost");
  say(frames, String(link.frames));
  if (s) {
    say(place, s.beamline || "");
    say(software, `${s.software} · ${s.loaded} results${s.loading ? ", reading more …" : ""}`);
    takeAway.about = { uri: s.uri ?? "", path: s.path ?? "" };
  }
}

link.addEventListener("change", (event) => {
  view?.update(link, event.detail);
  status();
});
link.addEventListener("tick", () => {
  status();
  view?.tick?.(link.now());
});
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, dialog");
  if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
  const go = { n: "#/", h: "#/history" }[event.key];
  if (go !== undefined) location.hash = go;
  if (event.key === "/") search(event);
  if (event.key === "?") help.showModal();
  if (event.key === "Escape" && view instanceof OneView) history.back();
});
route();
