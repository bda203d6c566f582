// The lines and zones of a stream while they are edited.

const precision = 1e5;
const fieldOf = { line: "points", zone: "polygon" };
const groupOf = { line: "lines", zone: "zones" };
const name = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const nameRule = "Give it a name of 1 to 64 letters, digits, “.”, “_” or “-”, the first a letter or a digit.";

/** The fewest and most points of a line or zone; the daemon checks them too. */
export const limits = { line: [2, 32], zone: [3, 64] };

/**
 * @typedef {object} Rule
 * @property {"line"|"zone"} kind
 * @property {string} name
 * @property {string} key the same while it is edited
 * @property {Record<string, unknown>} options as configured; its points too
 */

/** Return a place in the picture, from 0 to 1 with five decimals. */
export const within = (place) => place.map((each) => Math.round(Math.min(Math.max(each, 0), 1) * precision) / precision);

/** Return the points of a line or zone. */
export const pointsOf = (rule) => rule.options[fieldOf[rule.kind]];

/** Return what a rule is called in a sentence. */
export const called = (rule) => `${rule.kind} ${rule.name || "without a name"}`;

export class RuleDraft {
  /** @param {object} options of the stream, as the daemon has them */
  constructor(options) {
    this.keys = 0;
    this.track = options.track;
    /** @type {Rule[]} */
    this.rules = ["line", "zone"].flatMap((kind) =>
      Object.entries(options[groupOf[kind]] ?? {}).map(([each, own]) => this.rule(kind, each, structuredClone(own))),
    );
    this.stored = { lines: JSON.stringify(this.group("line")), zones: JSON.stringify(this.group("zone")) };
  }

  rule(kind, name_, options) {
    this.keys += 1;
    return { kind, name: name_, key: `rule-${this.keys}`, options };
  }

  /** Add a line or zone with the next free name, and return it. */
  add(kind, points) {
    let number = 1;
    while (this.rules.some((each) => each.name === `${kind}-${number}`)) number += 1;
    const added = this.rule(kind, `${kind}-${number}`, { [fieldOf[kind]]: points.map(within) });
    this.rules.push(added);
    return added;
  }

  remove(rule) {
    this.rules = this.rules.filter((each) => each !== rule);
  }

  /** Set all points. */
  put(rule, points) {
    rule.options[fieldOf[rule.kind]] = points;
  }

  move(rule, index, place) {
    this.put(rule, pointsOf(rule).with(index, within(place)));
  }

  /** Move the whole rule, as far as it stays in the picture. */
  shift(rule, [dx, dy]) {
    const points = pointsOf(rule);
    const [right, down] = [0, 1].map((axis) => {
      const sides = points.map((each) => each[axis]);
      return Math.min(Math.max([dx, dy][axis], -Math.min(...sides)), 1 - Math.max(...sides));
    });
    this.put(
      rule,
      points.map(([x, y]) => within([x + right, y + down])),
    );
  }

  /** Insert a point before another; return whether there may be so many. */
  insert(rule, index, place) {
    if (pointsOf(rule).length >= limits[rule.kind][1]) return false;
    this.put(rule, pointsOf(rule).toSpliced(index, 0, within(place)));
    return true;
  }

  /** Remove a point; return whether there may be so few. */
  removePoint(rule, index) {
    if (pointsOf(rule).length <= limits[rule.kind][0]) return false;
    this.put(rule, pointsOf(rule).toSpliced(index, 1));
    return true;
  }

  /** Swap the left and the right of a line. */
  turn(rule) {
    this.put(rule, pointsOf(rule).toReversed());
  }

  /** Set an option; null for the daemon's default if it was never set. */
  set(rule, option, value) {
    if (value === null && !(option in rule.options)) return;
    rule.options[option] = value;
  }

  /** Return what is wrong by key; names are unique, or one rule would replace the other. */
  faults() {
    const found = new Map();
    const seen = new Map();
    for (const rule of this.rules) {
      const first = seen.get(rule.name);
      if (!name.test(rule.name)) found.set(rule.key, nameRule);
      else if (first) found.set(rule.key, `There is a ${first.kind} of this name already; choose another.`);
      else seen.set(rule.name, rule);
    }
    return found;
  }

  /** Return the options to send; empty if nothing has changed. */
  wanted() {
    const wanted = {};
    for (const kind of ["line", "zone"]) {
      const group = groupOf[kind];
      if (JSON.stringify(this.group(kind)) !== this.stored[group]) wanted[group] = this.group(kind);
    }
    if (Object.keys(wanted).length && this.rules.length && !this.track) wanted.track = true;
    return wanted;
  }

  /** Return whether what is to be sent would replace what others have changed since the draft began. */
  replaces(options) {
    return Object.entries(this.stored).some(([group, own]) => group in this.wanted() && JSON.stringify(options[group]) !== own);
  }

  get changed() {
    return Object.keys(this.wanted()).length > 0;
  }

  /** Return the rule that a key path such as `lines.street.points[1]` leads to. */
  at(path) {
    const [group, own] = [...path.matchAll(/([\w-]+)|\[(\d+)\]|\["(.*?)"\]/g)].map((each) => each[3] ?? each[2] ?? each[1]);
    return this.rules.find((each) => groupOf[each.kind] === group && each.name === own);
  }

  group(kind) {
    return Object.fromEntries(this.rules.filter((each) => each.kind === kind).map((each) => [each.name, each.options]));
  }
}
