// Elements made one by one: whatever comes from a document ends up as text, never as markup.

/**
 * Make an element.
 * @param {string} tag
 * @param {object} props `class`, `testid`, `on` ({event: handler}), properties and attributes
 * @param {...(Node|string|number|null|undefined|Array)} children
 */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined) continue;
    if (name === "class") node.className = value;
    else if (name === "testid") node.dataset.testid = value;
    else if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else if (name in node && typeof value !== "string") node[name] = value;
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...flat(children));
  return node;
}

/** Put `children` in place of what is in `node`. */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

/** Set the text of a node if it differs (a screen reader hears of changes only). */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function flat(children) {
  return children.flat(3).filter((c) => c !== null && c !== undefined && c !== false)
    .map((c) => (c instanceof Node ? c : document.createTextNode(String(c))));
}

/** Radio buttons that look like one switch; arrow keys work as in any radio group. */
export function choice(legend, name, options, value, onChange) {
  const group = h("fieldset", { class: "choice", testid: `choice-${name}` }, h("legend", {}, legend));
  for (const [key, label] of options) {
    const input = h("input", {
      type: "radio", name, value: key, checked: key === value,
      on: { change: () => onChange(key) },
    });
    group.append(h("label", {}, input, h("span", {}, label)));
  }
  return group;
}

/** What stands where there is nothing to show. */
export const nothing = (text) => h("p", { class: "nothing" }, text);

/** A heading with its value below, for lists of numbers. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, v]) => v !== null && v !== "" && v !== undefined)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
