// What an operator takes home: files, a permanent address, three lines of Python.

import { h } from "./dom.js";
import { scanName } from "./format.js";

const FILES = [["csv", "CSV"], ["json", "JSON"], ["h5", "NeXus/HDF5"], ["xdi", "XDI"]];

/** The lines that fetch a result; `uri` is where this page reads. */
export function python(r, about) {
  const quoted = (s) => JSON.stringify(s);
  return [
    "from xanes_live.client import connect",
    `results = connect(${quoted(about.uri)}, path=${quoted(about.path)})`,
    `data = results.dataset(${quoted(r.key)})`,
  ].join("\n");
}

/** Files, permalink and code of one result. */
export function takeAway(r) {
  const link = `${location.href.replace(/#.*/, "")}#/result/${encodeURIComponent(r.key)}`;
  const code = python(r, takeAway.about);
  return h("div", { class: "take", testid: "take-away" },
    h("p", {}, "Files: ", FILES.map(([ending, label]) => [h("a", {
      href: `api/export/${encodeURIComponent(r.key)}.${ending}`, download: "", testid: `export-${ending}`, class: "button",
    }, label), " "]), " Plots: SVG and PNG beside each of them."),
    h("p", {}, "Permalink: ", h("a", { href: `#/result/${encodeURIComponent(r.key)}`, testid: "permalink" }, link), " ", copy(link, "copy-link")),
    h("p", {}, `In Python, ${scanName(r)}: `, copy(code, "copy-code")),
    h("pre", { testid: "python" }, code));
}
takeAway.about = { uri: "", path: "" };

function copy(text, testid) {
  const button = h("button", { type: "button", testid, on: { click: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      button.textContent = "select and copy by hand";
    }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  } } }, "copy");
  return button;
}
