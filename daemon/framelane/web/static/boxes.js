// Which boxes belong to which frame of a video.

const ticksPerSecond = 90000;
const mostGap = 1.5 * ticksPerSecond;
const kept = 4 * ticksPerSecond;

/** Return the ticks of a media time. Browsers give microseconds, so this is exact. */
export const ticksOf = (seconds) => Math.round(seconds * ticksPerSecond);

/**
 * @typedef {object} Found
 * @property {string} model
 * @property {[number, number]} size width and height of the frame that the boxes refer to
 * @property {Array<[number, number, number, number, number, string, number|null, string[]?, Array<[string, string]>?]>} boxes
 *   sides, confidence, label, track id, the zones that the object is in, and what each second model says of it
 */

export class BoxTimes {
  constructor() {
    /** @type {Map<number, Map<string, Found>>} by ticks, then by model */
    this.at = new Map();
    this.order = [];
  }

  /** Take the boxes of the frame at this media time. */
  add(seconds, found) {
    const ticks = ticksOf(seconds);
    const models = this.at.get(ticks);
    if (models) {
      models.set(found.model, found);
      return;
    }
    this.at.set(ticks, new Map([[found.model, found]]));
    // They come nearly in order.
    let place = this.order.length;
    while (place && this.order[place - 1] > ticks) place -= 1;
    this.order.splice(place, 0, ticks);
    while (this.order.length && this.order[0] < ticks - kept) this.at.delete(this.order.shift());
  }

  /**
   * Return what to draw on the frame at this media time.
   *
   * A frame that was inferred has its own boxes. Between two of those, tracked objects are moved in proportion;
   * all others are left out, because nobody has looked where they are.
   * @returns {{found: Found[], exact: boolean}}
   */
  of(seconds) {
    const ticks = ticksOf(seconds);
    const own = this.at.get(ticks);
    if (own) return { found: [...own.values()], exact: true };
    const after = this.order.findIndex((each) => each > ticks);
    if (after < 1) return { found: [], exact: false };
    const [from, to] = [this.order[after - 1], this.order[after]];
    if (to - from > mostGap) return { found: [], exact: false };
    const share = (ticks - from) / (to - from);
    const found = [];
    for (const [model, first] of this.at.get(from)) {
      const second = this.at.get(to).get(model);
      if (second) found.push({ ...first, boxes: between(first.boxes, second.boxes, share) });
    }
    return { found, exact: false };
  }
}

function between(first, second, share) {
  const later = new Map(second.filter((box) => box[6] !== null).map((box) => [box[6], box]));
  return first.flatMap((box) => {
    const other = box[6] === null ? undefined : later.get(box[6]);
    if (!other) return [];
    const sides = box.slice(0, 4).map((side, index) => side + (other[index] - side) * share);
    return [[...sides, ...box.slice(4)]];
  });
}
