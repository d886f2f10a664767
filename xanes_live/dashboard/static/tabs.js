// Tabs with a panel that is made when it is shown.

import { release } from "./chart.js";
import { fill, h } from "./dom.js";

/** Tabs as in the ARIA pattern: arrow keys move, the panel is made when first shown. */
export class Tabs {
  constructor(label, testid) {
    this.list = h("div", { role: "tablist", "aria-label": label, class: "tabs" });
    this.panel = h("div", { role: "tabpanel", tabindex: "0", class: "tabpanel", id: `${testid}-panel` });
    this.node = h("section", { class: "card tabbed", testid }, this.list, this.panel);
    this.list.addEventListener("keydown", (event) => this.#move(event));
    this.items = [];
    this.current = null;
  }

  /** @param {Array<[string, string, () => Node]>} items key, label, what to show */
  set(items) {
    const same = this.list.children.length === items.length && items.every(([key], i) => this.list.children[i].id === `tab-${key}`);
    this.items = items;
    if (!items.some(([key]) => key === this.current)) this.current = null;
    // The same tabs stay: whoever moves along them with the keyboard is not thrown out.
    if (!same) fill(this.list, items.map(([key, label]) => h("button", {
      type: "button", role: "tab", id: `tab-${key}`, testid: `tab-${key}`,
      "aria-controls": this.panel.id, on: { click: () => this.show(key) },
    }, label)));
    if (items.length) this.show(this.current ?? items[0][0]);
    else this.clear();
  }

  /** Show nothing, as long as what there is to show is not known. */
  clear(text = "") {
    release(this.panel);
    fill(this.panel, h("p", { class: "nothing" }, text));
  }

  show(key) {
    this.current = key;
    for (const button of this.list.children) {
      const on = button.id === `tab-${key}`;
      button.setAttribute("aria-selected", on);
      button.tabIndex = on ? 0 : -1;
    }
    this.panel.setAttribute("aria-labelledby", `tab-${key}`);
    const item = this.items.find(([k]) => k === key);
    release(this.panel);
    fill(this.panel, item ? item[2]() : null);
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.list.children];
    const at = buttons.findIndex((b) => b.getAttribute("aria-selected") === "true");
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.click();
    next.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}
