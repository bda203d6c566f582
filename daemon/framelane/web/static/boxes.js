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
 * @property {boolean} [near] whether they were found in another video of the camera, near a frame of this one
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
   * all others are left out, because nobody has looked where they are. If another video of the camera is
   * inferred, all others are drawn on the frame that is nearest to theirs.
   * @param {number} seconds
   * @param {number} interval seconds from one frame to the next
   * @returns {{found: Found[], exact: boolean}}
   */
  of(seconds, interval) {
    const ticks = ticksOf(seconds);
    const own = this.at.get(ticks);
    if (own) {
      const found = [...own.values()];
      return { found, exact: !found.some((each) => each.near) };
    }
    const later = this.order.findIndex((each) => each > ticks);
    const after = later < 0 ? this.order.length : later;
    // Either is undefined beyond an end, and no comparison with it is true.
    const [from, to] = [this.order[after - 1], this.order[after]];
    const models = to - from <= mostGap ? this.moved(from, to, (ticks - from) / (to - from)) : new Map();
    const nearest = to - ticks < ticks - from ? to : (from ?? to);
    if (Math.abs(nearest - ticks) <= ticksOf(interval) / 2) this.addNear(nearest, models);
    return { found: [...models.values()], exact: false };
  }

  /** Return the tracked objects between two frames, by model. */
  moved(from, to, share) {
    const models = new Map();
    for (const [model, first] of this.at.get(from)) {
      const second = this.at.get(to).get(model);
      if (second) models.set(model, { ...first, boxes: between(first.boxes, second.boxes, share) });
    }
    return models;
  }

  /** Add the objects of another video's frame that are not there yet. */
  addNear(ticks, models) {
    for (const [model, each] of this.at.get(ticks)) {
      if (!each.near) continue;
      const boxes = models.get(model)?.boxes ?? [];
      const known = new Set(boxes.map((box) => box[6]));
      models.set(model, { ...each, boxes: [...boxes, ...each.boxes.filter((box) => box[6] === null || !known.has(box[6]))] });
    }
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
