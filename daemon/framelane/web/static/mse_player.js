// Plays one stream's video through Media Source Extensions, a little behind its arrival, with boxes on each frame.

import { BoxTimes, ticksOf } from "./boxes.js";
import { json, kinds } from "./socket.js";

const leastDelay = 0.15;
const mostDelay = 1.5;
const margin = 0.06;
const mostError = 2.0;
const mostBack = 1.0;
const deadband = 0.025;
const [slowest, fastest] = [0.5, 2.0];
const keptBehind = 8;
const mostWaited = 0.5;
const boxSpan = 4000;
const offsetSpan = 8000;
const mostFailures = 3;

/** Return whether this browser plays a stream of this codec, by FFmpeg's name. */
export function plays(codec) {
  const examples = { h264: "avc1.64001F", hevc: "hvc1.1.6.L93.B0" };
  const example = examples[codec];
  return Boolean(
    example &&
      "MediaSource" in window &&
      "requestVideoFrameCallback" in HTMLVideoElement.prototype &&
      MediaSource.isTypeSupported(typeOf(example)),
  );
}

const typeOf = (codec) => `video/mp4; codecs="${codec}"`;

/**
 * @typedef {object} Shown a frame that the browser shows now
 * @property {number} media its media time in seconds
 * @property {number} captured Unix time of its capture; 0 if unknown
 * @property {import("./boxes.js").Found[]} found
 * @property {boolean} exact whether the boxes were found in this very frame
 * @property {{image: VideoFrame, size: [number, number]}|null} picture the frame, valid during the call
 */

export class Player {
  /**
   * @param {HTMLVideoElement} video
   * @param {(shown: Shown) => void} onFrame called for each frame when it is shown
   * @param {(why: string) => void} onFail called once, if the video can't be played
   */
  constructor(video, onFrame, onFail) {
    this.video = video;
    this.onFrame = onFrame;
    this.onFail = onFail;
    this.failures = 0;
    this.closed = false;
    video.muted = true;
    video.playsInline = true;
    video.disablePictureInPicture = true;
    this.onError = () => this.broken(video.error?.message || "the browser can't decode it");
    video.addEventListener("error", this.onError);
    this.restart();
    this.timer = setInterval(() => this.steer(), 200);
    this.callback = video.requestVideoFrameCallback((_now, frame) => this.frame(frame));
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.video.cancelVideoFrameCallback(this.callback);
    this.video.removeEventListener("error", this.onError);
    this.detach();
  }

  /** Take a record of the stream's video channel. */
  take(record) {
    if (record.kind === kinds.boxes) {
      this.takeBoxes(record.media, json(record.payload));
    } else if (record.kind === kinds.video) {
      this.takeVideo(record);
    }
  }

  takeBoxes(media, found) {
    // Objects with an id are also drawn on the frames since the last inferred one, which wait for these boxes.
    const gap = media - this.inferred;
    const waits = gap > 0 && gap <= mostWaited && found.boxes.some((box) => box[6] !== null);
    const first = waits ? this.inferred + Math.min(this.interval, gap) : media;
    this.inferred = media;
    this.boxes.add(media, found);
    this.boxDelay.add(performance.now(), this.newest - first + margin);
  }

  takeVideo(record) {
    let data = record.payload;
    // The daemon, or the process with this stream, has started again.
    if (record.key && record.media < this.newest - mostBack) this.restart();
    if (record.key) {
      const end = 1 + data[0];
      const codec = String.fromCharCode(...data.subarray(1, end));
      data = data.subarray(end);
      if (!this.accept(codec)) return;
    } else if (!this.codec) {
      return;
    }
    this.captured.set(ticksOf(record.media), record.captured);
    if (this.captured.size > 1024) this.captured.delete(this.captured.keys().next().value);
    const step = record.media - this.newest;
    if (step > 0 && step < 1) this.interval = step;
    this.newest = Math.max(this.newest, record.media);
    // How far behind its media time it comes: the smallest of late was not delayed.
    const now = performance.now();
    this.offset.add(now, now / 1000 - record.media);
    this.pending.push(data);
    this.append();
  }

  /** Return whether the browser plays this codec; prepare for it if it is new. */
  accept(codec) {
    if (codec === this.codec) return true;
    if (!MediaSource.isTypeSupported(typeOf(codec))) {
      this.fail(`the browser does not play ${codec}`);
      return false;
    }
    const other = this.codec && this.codec.slice(0, 4) !== codec.slice(0, 4);
    if (other) this.reset();
    this.codec = codec;
    return true;
  }

  /** Begin with another time line. */
  restart() {
    this.boxes = new BoxTimes();
    this.newest = 0;
    this.inferred = 0;
    this.interval = 0;
    this.shown = -1;
    this.boxDelay = new Recent(boxSpan, Math.max);
    this.offset = new Recent(offsetSpan, Math.min);
    this.reset();
  }

  /** Begin with a new source. */
  reset() {
    this.detach();
    this.codec = "";
    this.pending = [];
    this.captured = new Map();
    this.buffer = null;
    this.begun = false;
    const source = new MediaSource();
    this.source = source;
    this.url = URL.createObjectURL(source);
    source.addEventListener("sourceopen", () => this.append(), { once: true });
    this.video.src = this.url;
  }

  detach() {
    if (!this.url) return;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.url);
    this.url = "";
  }

  append() {
    if (this.source.readyState !== "open" || !this.codec || !this.pending.length) return;
    try {
      if (!this.buffer) {
        this.buffer = this.source.addSourceBuffer(typeOf(this.codec));
        this.buffer.mode = "segments";
        this.buffer.addEventListener("updateend", () => this.append());
      }
      if (this.buffer.updating) return;
      const data = this.pending.length === 1 ? this.pending[0] : joined(this.pending);
      this.pending = [];
      this.buffer.appendBuffer(data);
    } catch (error) {
      this.broken(error.message);
    }
  }

  /** Keep the playing position at the delay that boxes need. */
  steer() {
    const { video, buffer } = this;
    const now = performance.now();
    const offset = this.offset.of(now);
    if (!buffer || !video.buffered.length || offset === undefined) return;
    const delay = Math.min(Math.max(this.boxDelay.of(now) ?? 0, leastDelay), mostDelay);
    const target = now / 1000 - offset - delay;
    const error = target - video.currentTime;
    const last = video.buffered.length - 1;
    const within = video.currentTime >= video.buffered.start(last) && video.currentTime <= video.buffered.end(last);
    if (!this.begun || Math.abs(error) > mostError || (!within && target >= video.buffered.start(last))) {
      this.seek(target);
    } else {
      video.playbackRate = Math.abs(error) < deadband ? 1 : Math.min(Math.max(1 + error, slowest), fastest);
    }
    if (video.paused && this.begun) video.play().catch(() => {});
    this.forget();
  }

  seek(target) {
    const { video } = this;
    const last = video.buffered.length - 1;
    const [from, to] = [video.buffered.start(last), video.buffered.end(last)];
    const place = Math.min(Math.max(target, from), to - 0.01);
    if (this.begun && Math.abs(place - video.currentTime) < 0.05) return;
    this.begun = true;
    video.currentTime = place;
  }

  /** Remove what has been shown. */
  forget() {
    const { video, buffer } = this;
    const from = video.buffered.start(0);
    if (buffer.updating || this.source.readyState !== "open" || video.currentTime - from < 2 * keptBehind) return;
    buffer.remove(from, video.currentTime - keptBehind);
  }

  /**
   * Show a frame with its boxes.
   *
   * The browser may have gone on to the next frame when it tells about one. So the frame itself is taken, with
   * its own time, and drawn together with the boxes of that time. A browser that can't give it shows the video,
   * and the boxes may follow one refresh of the screen later.
   */
  frame(told) {
    if (this.closed) return;
    this.failures = 0;
    const frame = current(this.video);
    const media = frame ? frame.timestamp / 1e6 : told.mediaTime;
    if (ticksOf(media) !== this.shown) {
      this.shown = ticksOf(media);
      const picture = frame && { image: frame, size: [frame.displayWidth, frame.displayHeight] };
      this.onFrame({ media, captured: this.captured.get(this.shown) ?? 0, picture, ...this.boxes.of(media) });
    }
    frame?.close();
    this.callback = this.video.requestVideoFrameCallback((_now, next) => this.frame(next));
  }

  /** Return the frame on the screen and its boxes; the caller closes the frame. */
  still() {
    const frame = current(this.video);
    const media = frame ? frame.timestamp / 1e6 : this.video.currentTime;
    return { frame, found: this.boxes.of(media).found };
  }

  /** Begin again at the next key frame; give up if that does not help. */
  broken(why) {
    this.failures += 1;
    if (this.failures > mostFailures) this.fail(why);
    else if (!this.closed) this.reset();
  }

  fail(why) {
    if (this.closed) return;
    this.close();
    this.onFail(why);
  }
}

/** Return the frame that a video shows now, with its time; null if the browser does not give it. */
function current(video) {
  try {
    return new VideoFrame(video);
  } catch {
    return null;
  }
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

function joined(pieces) {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
