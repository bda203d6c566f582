// Plays one stream's video through WebCodecs: decodes each picture itself and hands it on when it is due.

import { examples, keyFrame, sample } from "./fragments.js";
import { Pacing, rateFor } from "./pacing.js";
import { Player } from "./player.js";

/** Decoded frames that are held at once: some decoders have few surfaces. */
const mostAhead = 4;
/** Coded pictures that wait: more than the longest delay, also of a camera with many per second. */
const mostWaiting = 512;
const mostWaitingSeconds = 3;
const mostLate = 1;

/** @type {Set<string>} the codecs that this browser decodes, by FFmpeg's names */
const decoded = new Set();

/** Find out what this browser decodes; `VideoDecoder` exists in secure contexts only. */
export async function learnDecoders() {
  for (const [name, codec] of Object.entries(examples)) {
    const answer = await globalThis.VideoDecoder?.isConfigSupported({ codec }).catch(() => null);
    if (answer?.supported) decoded.add(name);
  }
}

/** Return whether this browser decodes a codec, by FFmpeg's name. */
export const decodes = (codec) => decoded.has(codec);

export class FramePlayer extends Player {
  /**
   * @param {HTMLVideoElement} _video not used: frames are handed on
   * @param {(shown: import("./pacing.js").Shown) => void} onFrame called for each frame when it is due
   * @param {(why: string) => void} onFail called once, if the video can't be played
   */
  constructor(_video, onFrame, onFail) {
    super(onFrame, onFail);
    /** @type {VideoFrame[]} in the order in which they are shown */
    this.frames = [];
    /** @type {VideoFrame|null} */
    this.current = null;
    this.restart();
    this.request = requestAnimationFrame((now) => this.tick(now));
  }

  close() {
    this.closed = true;
    cancelAnimationFrame(this.request);
    this.reset();
    this.current?.close();
    this.current = null;
  }

  takeVideo(record) {
    if (this.pacing.isOver(record)) this.restart();
    if (!record.key && !this.begun) return;
    try {
      const head = record.key ? keyFrame(record.payload) : null;
      this.begun = true;
      // A decoder that need not sort pictures returns each at once.
      this.sorts ||= record.media < this.pacing.newest;
      this.pacing.takePicture(record);
      this.waiting.push({ media: record.media, head, data: head?.sample ?? sample(record.payload) });
    } catch (error) {
      this.broken(error.message);
      return;
    }
    const long = record.media - this.waiting[0].media > mostWaitingSeconds;
    // As in a hidden tab, which shows no frames.
    if ((long || this.waiting.length > mostWaiting) && !this.skip(Infinity)) this.reset();
    this.decode();
  }

  /** Begin with another time line. */
  restart() {
    this.pacing = new Pacing();
    this.sorts = false;
    this.position = null;
    this.ticked = 0;
    this.shownMedia = -Infinity;
    this.reset();
  }

  /** Begin with a new decoder, at the next key frame. */
  reset() {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    for (const frame of this.frames) frame.close();
    this.frames = [];
    this.decoder = null;
    this.configured = null;
    this.waiting = [];
    this.begun = false;
  }

  /** Drop what waits before the last key frame that is due at this media time; return whether there was one. */
  skip(media) {
    const to = this.waiting.findLastIndex((each) => each.head && each.media <= media);
    if (to > 0) this.waiting.splice(0, to);
    return to > 0;
  }

  /** Decode what waits, as far ahead as there is room for frames. */
  decode() {
    const due = this.pacing.due(performance.now());
    if (this.waiting.length && this.waiting[0].media < due - mostLate) this.skip(due);
    try {
      while (this.waiting.length && (this.decoder?.decodeQueueSize ?? 0) + this.frames.length < mostAhead) {
        const { media, head, data } = this.waiting.shift();
        if (head) this.configure(head);
        const type = head ? "key" : "delta";
        this.decoder.decode(new EncodedVideoChunk({ type, timestamp: Math.round(media * 1e6), data }));
      }
    } catch (error) {
      this.broken(error.message);
    }
  }

  /** Prepare for a key frame, if it needs another configuration than the one before. */
  configure({ codec, description }) {
    const config = { codec, description, optimizeForLatency: !this.sorts };
    if (this.configured && equal(this.configured, config)) return;
    this.decoder ??= this.newDecoder();
    this.decoder.configure(config);
    this.configured = config;
  }

  newDecoder() {
    const decoder = new VideoDecoder({
      output: (frame) => {
        if (decoder === this.decoder) this.keep(frame);
        else frame.close();
      },
      error: (error) => {
        if (decoder !== this.decoder) return;
        if (error.name === "NotSupportedError") this.fail(error.message);
        else this.broken(error.message);
      },
    });
    return decoder;
  }

  /** Keep a decoded frame until it is due. */
  keep(frame) {
    let place = this.frames.length;
    while (place && this.frames[place - 1].timestamp > frame.timestamp) place -= 1;
    this.frames.splice(place, 0, frame);
  }

  tick(now) {
    if (this.closed) return;
    this.request = requestAnimationFrame((next) => this.tick(next));
    this.advance(now);
    let due = null;
    while (this.frames.length && this.frames[0].timestamp / 1e6 <= this.position) {
      due?.close();
      due = this.frames.shift();
    }
    if (due) this.show(due);
    if (!this.closed) this.decode();
  }

  /** Move on, a little faster or slower if the delay has changed. */
  advance(now) {
    const due = this.pacing.due(now);
    if (due === undefined) return;
    const passed = (now - this.ticked) / 1000;
    this.ticked = now;
    const rate = this.position === null ? null : rateFor(due - this.position - passed);
    this.position = rate === null ? due : this.position + passed * rate;
  }

  show(frame) {
    const media = frame.timestamp / 1e6;
    // It came too late to be shown in its turn.
    if (media <= this.shownMedia) {
      frame.close();
      return;
    }
    this.failures = 0;
    this.shownMedia = media;
    this.current?.close();
    this.current = frame;
    this.onFrame({ ...this.pacing.shown(media), size: [frame.displayWidth, frame.displayHeight], image: frame });
  }

  /** Return the frame on the screen and its boxes; null if there is none. */
  still() {
    const image = this.current;
    if (!image) return null;
    const size = [image.displayWidth, image.displayHeight];
    return { image, size, found: this.pacing.shown(image.timestamp / 1e6).found, release: () => {} };
  }
}

function equal(one, other) {
  const [first, second] = [one.description, other.description];
  return (
    one.codec === other.codec &&
    one.optimizeForLatency === other.optimizeForLatency &&
    first.length === second.length &&
    first.every((byte, index) => byte === second[index])
  );
}
