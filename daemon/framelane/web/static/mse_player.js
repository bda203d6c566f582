// Plays one stream's video through Media Source Extensions, a little behind its arrival, with boxes on each frame.

import { ticksOf } from "./boxes.js";
import { examples, headed } from "./fragments.js";
import { Pacing, rateFor } from "./pacing.js";
import { Player } from "./player.js";

const keptBehind = 8;
// iPhones have only the managed kind, which may drop what it holds when memory is short.
const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource;

/** Return whether this browser plays a stream of this codec, by FFmpeg's name. */
export function plays(codec) {
  const example = examples[codec];
  return Boolean(
    example && Source && "requestVideoFrameCallback" in HTMLVideoElement.prototype && Source.isTypeSupported(typeOf(example)),
  );
}

const typeOf = (codec) => `video/mp4; codecs="${codec}"`;

export class MsePlayer extends Player {
  /**
   * @param {HTMLVideoElement} video
   * @param {(shown: import("./pacing.js").Shown) => void} onFrame called for each frame when it is shown
   * @param {(why: string) => void} onFail called once, if the video can't be played
   */
  constructor(video, onFrame, onFail) {
    super(onFrame, onFail);
    this.video = video;
    video.muted = true;
    video.playsInline = true;
    video.disablePictureInPicture = true;
    // A managed source needs it.
    video.disableRemotePlayback = true;
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

  takeVideo(record) {
    if (this.pacing.isOver(record)) this.restart();
    let data = record.payload;
    if (record.key) {
      const head = headed(data);
      if (!this.accept(head.codec)) return;
      data = head.data;
    } else if (!this.codec) {
      return;
    }
    this.pacing.takePicture(record);
    this.pending.push(data);
    this.append();
  }

  /** Return whether the browser plays this codec; prepare for it if it is new. */
  accept(codec) {
    if (codec === this.codec) return true;
    if (!Source.isTypeSupported(typeOf(codec))) {
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
    this.pacing = new Pacing();
    this.shown = -1;
    this.reset();
  }

  /** Begin with a new source. */
  reset() {
    this.detach();
    this.codec = "";
    this.pending = [];
    this.buffer = null;
    this.begun = false;
    const source = new Source();
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
    const target = this.pacing.due(performance.now());
    if (!buffer || !video.buffered.length || target === undefined) return;
    const rate = rateFor(target - video.currentTime);
    const last = video.buffered.length - 1;
    const within = video.currentTime >= video.buffered.start(last) && video.currentTime <= video.buffered.end(last);
    if (!this.begun || rate === null || (!within && target >= video.buffered.start(last))) {
      this.seek(target);
    } else {
      video.playbackRate = rate;
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
      this.onFrame({ ...this.pacing.shown(media), size: sizeOf(frame ?? this.video), image: frame });
    }
    frame?.close();
    this.callback = this.video.requestVideoFrameCallback((_now, next) => this.frame(next));
  }

  /** Return the frame on the screen and its boxes; the caller releases it. */
  still() {
    const frame = current(this.video);
    const media = frame ? frame.timestamp / 1e6 : this.video.currentTime;
    const image = frame ?? this.video;
    return { image, size: sizeOf(image), found: this.pacing.shown(media).found, release: () => frame?.close() };
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

const sizeOf = (image) => [image.displayWidth ?? image.videoWidth, image.displayHeight ?? image.videoHeight];

function joined(pieces) {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
