// The websocket: asks for what is newer than this page has, draws it, asks again.

const RETRY_MS = [200, 500, 1000, 2000];
const SILENT_MS = 3500;

/** Everything known, as the server last said it; views read it and never change it. */
export class Link extends EventTarget {
  constructor() {
    super();
    this.parts = {};
    this.versions = {};
    this.rows = new Map();
    this.epoch = "";
    this.fields = [];
    this.history = false;
    this.frames = 0;
    this.heard = 0;
    this.begun = performance.now();
    this.connected = false;
    this.offset = 0;
    this.tries = 0;
    this.#connect();
    setInterval(() => this.#watch(), 500);
  }

  /** Time of the server, s since the epoch. */
  now() {
    return Date.now() / 1000 + this.offset;
  }

  /** Begin to receive the history too. */
  wantHistory() {
    this.history = true;
  }

  #connect() {
    const address = new URL("ws", location.href.replace(/#.*/, ""));
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(address);
    this.socket.onopen = () => { this.tries = 0; this.#pull(); };
    this.socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    this.socket.onclose = () => this.#lost();
  }

  #lost() {
    this.#say(false);
    const wait = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
    setTimeout(() => this.#connect(), wait);
  }

  #pull() {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({
      type: "pull", epoch: this.epoch, have: this.versions, history: this.history, frames: this.frames,
    }));
  }

  #take(message) {
    if (message.epoch !== this.epoch) this.#begin(message.epoch);
    this.heard = performance.now();
    this.offset = message.time - Date.now() / 1000;
    const changed = new Set(Object.keys(message.parts));
    for (const name of changed) {
      this.parts[name] = message.parts[name];
      this.versions[name] = message.versions[name];
    }
    this.fields = this.parts.status?.fields ?? this.fields;
    if (message.history && this.#addRows(message.history)) changed.add("history");
    this.#say(true);
    this.dispatchEvent(new CustomEvent("change", { detail: changed }));
    this.frames += 1;
    // The next state is asked for once this one is on the screen: a slow page gets fewer.
    if (document.hidden) setTimeout(() => this.#pull(), 200);
    else requestAnimationFrame(() => this.#pull());
  }

  #begin(epoch) {
    this.epoch = epoch;
    this.versions = {};
    this.rows.clear();
  }

  #addRows(history) {
    this.versions.history = history.version;
    this.more = history.more;
    for (const values of history.rows) {
      const row = Object.fromEntries(this.fields.map((name, i) => [name, values[i]]));
      this.rows.set(row.key, row);
    }
    const limit = 20500;
    if (this.rows.size > limit) {
      const old = [...this.rows.values()].sort((a, b) => (a.time ?? 0) - (b.time ?? 0));
      for (const row of old.slice(0, this.rows.size - 20000)) this.rows.delete(row.key);
    }
    return history.rows.length > 0;
  }

  #watch() {
    if (performance.now() - this.heard > SILENT_MS) this.#say(false);
    this.dispatchEvent(new Event("tick"));
  }

  #say(connected) {
    if (connected === this.connected) return;
    this.connected = connected;
    if (!connected) this.lostAt = this.now();
    this.dispatchEvent(new Event("tick"));
  }
}

/** A summary as an object, from the values the server sends. */
export function asRow(fields, values) {
  return Object.fromEntries(fields.map((name, i) => [name, values[i]]));
}

/** Fetch JSON; a failure becomes an Error with the server's sentence. */
export async function fetchJson(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Error("The page's own server does not answer.");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(content.error ?? `The server answered ${answer.status}.`), { status: answer.status });
  return content;
}
