import { h } from "./dom.js";
export class HistoryView { constructor(app) { this.app = app; app.link.wantHistory(); this.node = h("div", {}, "…"); } update() {} destroy() {} }
