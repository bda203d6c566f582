// Shows one stream: video where the browser plays it, else stills; lines, zones and boxes on top.

import { el } from "./dom.js";
import { Overlay, fitted, paint } from "./overlay.js";
import { Player, plays } from "./player.js";
import { RuleLayer } from "./rules.js";
import { json, kinds } from "./socket.js";

const lostAfter = 8000;

export class Stage {
  /**
   * @param {import("./socket.js").LiveSocket} socket
   * @param {string} stream
   * @param {"tile"|"large"} size of stills
   * @param {(shown: object) => void} [onShown] called with each picture that is shown, and its boxes
   */
  constructor(socket, stream, size, onShown = () => {}) {
    this.socket = socket;
    this.stream = stream;
    this.size = size;
    this.onShown = onShown;
    this.image = el("canvas", { class: "still" });
    this.video = el("video", { class: "video", tabindex: -1, "aria-hidden": "true" });
    this.rules = el("canvas", { class: "rules" });
    this.boxes = el("canvas", { class: "boxes" });
    this.note = el("p", { class: "stage-note" }, "waiting for a picture");
    this.element = el("div", { class: "stage" }, this.video, this.image, this.boxes, this.rules, this.note);
    this.overlay = new Overlay(this.boxes);
    this.layer = new RuleLayer(this.rules);
    this.player = null;
    // The still covers the video until that plays: browsers present no frames of a hidden video.
    this.playing = false;
    this.unplayable = "";
    this.ends = {};
    this.mode = "none";
    this.frameAt = 0;
    this.found = [];
    this.decoding = false;
    this.timer = setInterval(() => this.look(), 1000);
  }

  /**
   * Show video, stills or nothing.
   * @param {"video"|"still"|"none"} mode video falls back to stills
   * @param {string|null} codec FFmpeg's name, if known
   */
  show(mode, codec) {
    const wanted = mode === "video" && (this.unplayable || !plays(codec)) ? "still" : mode;
    if (wanted === this.mode) return;
    this.mode = wanted;
    if (wanted === "video") this.play();
    else this.stopVideo();
    // Stills also fill the time until the first key frame.
    this.watchStills(wanted !== "none");
  }

  close() {
    clearInterval(this.timer);
    this.show("none", null);
    this.overlay.close();
    this.layer.close();
  }

  /** Return what is shown as a picture in its own size, with all that is drawn on it; null if there is none. */
  picture() {
    if (!this.note.hidden) return null;
    const { frame, found } = this.playing ? this.player.still() : { frame: null, found: this.found };
    const image = frame ?? (this.playing ? this.video : this.image);
    const width = frame?.displayWidth ?? image.videoWidth ?? image.width;
    const height = frame?.displayHeight ?? image.videoHeight ?? image.height;
    const canvas = el("canvas", { width, height });
    const size = [width, height];
    const context = canvas.getContext("2d");
    paint(context, size, found, { image, size });
    frame?.close();
    context.drawImage(this.rules, ...fitted(size, [this.rules.width, this.rules.height]), 0, 0, width, height);
    return canvas;
  }

  play() {
    if (this.player) return;
    this.player = new Player(
      this.video,
      (shown) => this.frame(shown),
      (why) => {
        this.unplayable = why;
        this.player = null;
        this.mode = "still";
        this.stopVideo();
        this.watchStills(true);
      },
    );
    this.ends.video = this.socket.watch(this.stream, "video", (record) => this.player?.take(record));
  }

  stopVideo() {
    this.ends.video?.();
    delete this.ends.video;
    this.player?.close();
    this.player = null;
    this.cover();
  }

  /** Show the still, until a frame of the video is shown. */
  cover() {
    this.playing = false;
    this.image.hidden = false;
    this.overlay.clear();
  }

  watchStills(on) {
    if (on && !this.ends.still) {
      this.ends.still = this.socket.watch(this.stream, this.size, (record) => this.still(record));
    } else if (!on && this.ends.still) {
      this.ends.still();
      delete this.ends.still;
    }
  }

  frame(shown) {
    this.frameAt = performance.now();
    if (!this.playing) {
      this.playing = true;
      this.image.hidden = true;
      this.note.hidden = true;
      this.watchStills(false);
    }
    this.layer.fit(this.video.videoWidth, this.video.videoHeight);
    this.overlay.draw(shown.found, shown.picture);
    this.tell({ ...shown, picture: undefined });
  }

  async still(record) {
    if (record.kind !== kinds.still || this.decoding || this.playing) return;
    this.decoding = true;
    try {
      const { payload } = record;
      const length = new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0, true);
      const found = json(payload.subarray(4, 4 + length));
      const image = await createImageBitmap(new Blob([payload.subarray(4 + length)], { type: "image/jpeg" }));
      // The video may have begun meanwhile.
      if (this.playing || this.mode === "none") return;
      this.image.width = image.width;
      this.image.height = image.height;
      this.image.getContext("2d").drawImage(image, 0, 0);
      this.note.hidden = true;
      this.layer.fit(image.width, image.height);
      this.frameAt = performance.now();
      const known = found ? [found] : [];
      this.found = known;
      this.overlay.draw(known);
      this.tell({ media: record.media, captured: record.captured, found: known, exact: found !== null, still: true });
    } finally {
      this.decoding = false;
    }
  }

  tell(shown) {
    this.onShown(shown);
    this.element.dispatchEvent(
      new CustomEvent("framelane:shown", { bubbles: true, detail: { stream: this.stream, ...shown } }),
    );
  }

  /** Ask for stills again if the video has stopped. */
  look() {
    if (this.playing && performance.now() - this.frameAt > lostAfter) {
      this.cover();
      this.watchStills(true);
    }
  }
}
