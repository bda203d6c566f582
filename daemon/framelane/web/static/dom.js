// Builds elements. Text becomes text nodes only, so that no name or label can become markup.

/**
 * Return a new element.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] attributes; functions become listeners, false and null are left out.
 * @param {...(Node|string|number|null|undefined)} children
 * @returns {HTMLElement}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((each) => each !== null && each !== undefined).map(node));
  return element;
}

/** Set an element's text, if it differs: screen readers announce every change. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a table's head with these columns. */
export const headings = (...names) =>
  el("thead", {}, el("tr", {}, ...names.map((each) => el("th", { scope: "col" }, each))));

/** Return the names and values of a description list. */
export const terms = (pairs) => pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);

/** Return an SVG element with attributes. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

function node(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}
