// The shapes of lines and zones that are edited.

import { svg } from "./dom.js";
import { middleOf } from "./rules.js";

const arrow = 26;
/** Half of the room that a word takes, so that it stays in the picture. */
const word = [20, 9];

/**
 * Return a line or zone.
 * @param {[number, number]} area width and height of the picture in pixels
 * @param {"line"|"zone"} kind
 * @param {number[][]} places its points in pixels
 * @param {string} [key] of the rule that the pointer takes hold of; none while it is drawn
 * @param {boolean} [chosen]
 */
export function shape(area, kind, places, key, chosen = false) {
  const path = places.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
  const d = kind === "zone" && places.length > 2 ? `${path}Z` : path;
  const group = svg("g", { class: `${kind}${chosen ? " chosen" : ""}` });
  group.append(svg("path", { class: "edge", d }), svg("path", { class: "shape", d }));
  if (key) group.append(svg("path", { class: "grab", d, "data-key": key, "data-part": "whole" }));
  if (kind === "line" && places.length > 1) group.append(...sides(area, places));
  return group;
}

/** Return arrows to a line's left and right, with the words. */
function sides(area, places) {
  const { middle, left } = middleOf(places);
  return [
    ["left", left],
    ["right", left.map((each) => -each)],
  ].flatMap(([side, [dx, dy]]) => {
    const tip = [middle[0] + dx * arrow, middle[1] + dy * arrow];
    const wing = (way) => [tip[0] - dx * 8 - dy * 6 * way, tip[1] - dy * 8 + dx * 6 * way];
    const d = `M${middle} L${tip} M${wing(1)} L${tip} L${wing(-1)}`;
    const [x, y] = [tip[0] + dx * 24, tip[1] + dy * 12].map((each, axis) =>
      Math.min(Math.max(each, word[axis]), area[axis] - word[axis]),
    );
    return [svg("path", { class: "edge", d }), svg("path", { class: "shape", d }), svg("text", { x, y }, side)];
  });
}
