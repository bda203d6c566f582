// Finds places for labels, so that none covers another.

/** @typedef {[number, number, number, number]} Place left, top, width and height in pixels */

const gap = 2;

/**
 * Return places near the wanted ones; the first labels stay where they are.
 *
 * A label moves as little as possible, beside, above or below others. Without any room it stays.
 * @param {Place[]} wanted
 * @param {[number, number]} area
 * @returns {Place[]}
 */
export function apart(wanted, area) {
  const places = [];
  for (const each of wanted) {
    const label = within(each, area);
    const free = (some) => some.filter((place) => fits(place, area) && !places.some((other) => overlaps(place, other)));
    const near = free(candidates(label, places));
    places.push(nearest(label, near.length ? near : free(grid(label, area))) ?? label);
  }
  return places;
}

/** Return the label's own place, and those beside, above and below others. */
function candidates(label, others) {
  const [left, top, width, height] = label;
  const columns = [left, ...others.flatMap(([x, , wide]) => [x - width - gap, x + wide + gap])];
  const rows = [top, ...others.flatMap(([, y, , high]) => [y - height - gap, y + high + gap])];
  return [...columns.map((x) => [x, top, width, height]), ...rows.map((y) => [left, y, width, height])];
}

/** Return places all over the area. */
function grid([, , width, height], area) {
  const places = [];
  for (let top = 0; top + height <= area[1]; top += height + gap) {
    for (let left = 0; left + width <= area[0]; left += width / 4) places.push([left, top, width, height]);
  }
  return places;
}

/** Return the place that is nearest to a label; undefined if there is none. */
function nearest(label, places) {
  const distance = ([left, top]) => Math.hypot(left - label[0], top - label[1]);
  return places.reduce((best, each) => (best && distance(best) <= distance(each) ? best : each), undefined);
}

function within([left, top, width, height], area) {
  const inside = (at, size, room) => Math.max(Math.min(at, room - size), 0);
  return [inside(left, width, area[0]), inside(top, height, area[1]), width, height];
}

const fits = ([left, top, width, height], area) =>
  left >= 0 && top >= 0 && left + width <= area[0] && top + height <= area[1];

const overlaps = (one, other) =>
  one[0] < other[0] + other[2] && other[0] < one[0] + one[2] && one[1] < other[1] + other[3] && other[1] < one[1] + one[3];
