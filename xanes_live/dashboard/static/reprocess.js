import { h } from "./dom.js";
export class Reprocess { constructor() { this.node = h("section", { class: "card" }); } of() {} allow() {} destroy() {} }
