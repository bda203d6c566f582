// When each frame of a video is due: a little behind its arrival, so that its boxes are there.

import { BoxTimes, ticksOf } from "./boxes.js";
import { json, kinds } from "./socket.js";

const leastDelay = 0.15;
const mostDelay = 1.5;
const margin = 0.06;
const mostError = 2.0;
const mostBack = 1.0;
const deadband = 0.025;
const [slowest, fastest] = [0.5, 2.0];
const mostWaited = 0.5;
const boxSpan = 4000;
const offsetSpan = 8000;
const mostKnown = 1024;

/**
 * @typedef {object} Shown a frame that is shown now
 * @property {number} media its media time in seconds
 * @property {number} captured Unix time of its capture; 0 if unknown
 * @property {import("./boxes.js").Found[]} found
 * @property {boolean} exact whether the boxes were found in this very frame
 * @property {[number, number]} size its width and height
 * @property {CanvasImageSource|null} image the frame, valid during the call; null if the browser shows it itself
 */

/** What is known of one time line: the arrival of its pictures, and its boxes. */
export class Pacing {
  constructor() {
    this.boxes = new BoxTimes();
    this.captured = new Map();
    /** The latest media time so far. */
    this.newest = 0;
    this.inferred = 0;
    this.interval = 0;
    this.boxDelay = new Recent(boxSpan, Math.max);
    this.offset = new Recent(offsetSpan, Math.min);
  }

  /** Return whether a picture begins another time line: the daemon, or the process with the stream, is new. */
  isOver(record) {
    return record.kind === kinds.video && record.key && record.media < this.newest - mostBack;
  }

  /** Note a picture that has come. */
  takePicture(record) {
    this.captured.set(ticksOf(record.media), record.captured);
    if (this.captured.size > mostKnown) this.captured.delete(this.captured.keys().next().value);
    const step = record.media - this.newest;
    if (step > 0 && step < 1) this.interval = step;
    this.newest = Math.max(this.newest, record.media);
    // How far behind its media time it comes: the smallest of late was not delayed.
    const now = performance.now();
    this.offset.add(now, now / 1000 - record.media);
  }

  /** Take boxes that have come. */
  takeBoxes(record) {
    const { media } = record;
    const found = json(record.payload);
    // Objects with an id are also drawn on the frames since the last inferred one, which wait for these boxes.
    const gap = media - this.inferred;
    const waits = gap > 0 && gap <= mostWaited && found.boxes.some((box) => box[6] !== null);
    // Boxes of another video lie between frames.
    const early = found.near ? 0 : this.interval;
    const first = waits ? this.inferred + Math.min(early, gap) : media - (found.near ? this.interval / 2 : 0);
    this.inferred = media;
    this.boxes.add(media, found);
    this.boxDelay.add(performance.now(), this.newest - first + margin);
  }

  /** Return the media time that is due now; undefined before the first picture. */
  due(now) {
    const offset = this.offset.of(now);
    if (offset === undefined) return undefined;
    const delay = Math.min(Math.max(this.boxDelay.of(now) ?? 0, leastDelay), mostDelay);
    return now / 1000 - offset - delay;
  }

  /** Return capture time and boxes of a frame. */
  shown(media) {
    return { media, captured: this.captured.get(ticksOf(media)) ?? 0, ...this.boxes.of(media, this.interval) };
  }
}

/** Return how fast to play to get rid of an error in seconds; null if it takes a jump. */
export function rateFor(error) {
  if (Math.abs(error) > mostError) return null;
  return Math.abs(error) < deadband ? 1 : Math.min(Math.max(1 + error, slowest), fastest);
}

/** The largest or smallest of recent values. */
class Recent {
  constructor(span, choose) {
    this.span = span;
    this.choose = choose;
    this.values = [];
  }

  add(now, value) {
    // What is older and will never be chosen again.
    while (this.values.length && this.choose(this.values.at(-1).value, value) === value) this.values.pop();
    this.values.push({ now, value });
    this.of(now);
  }

  of(now) {
    while (this.values.length > 1 && this.values[0].now < now - this.span) this.values.shift();
    return this.values[0]?.value;
  }
}
