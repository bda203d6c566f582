// A line or zone while it is drawn, point by point.

import { limits } from "./rule_draft.js";

/** Pixels within which two places of a pointer are the same. */
export const near = 6;

export class Drawing {
  /** @param {"line"|"zone"} kind */
  constructor(kind) {
    this.kind = kind;
    /** @type {number[][]} from 0 to 1 */
    this.points = [];
    /** Where the cross is. */
    this.at = [0.5, 0.5];
  }

  /** Whether there are as many points as it needs. */
  get enough() {
    return this.points.length >= limits[this.kind][0];
  }

  /**
   * Set the next point where the cross is, unless the last one is there; return whether it is complete.
   *
   * A line is complete with its second point, since more can be added between; a zone at its first point.
   * @param {(first: number[], second: number[]) => number} apart pixels between two places
   */
  set(apart) {
    const { kind, points, at } = this;
    if (kind === "zone" && this.enough && apart(points[0], at) <= 2 * near) return true;
    const last = points.at(-1);
    if (!last || apart(last, at) > near) points.push(at);
    return points.length === (kind === "line" ? limits.line[0] : limits.zone[1]);
  }
}
