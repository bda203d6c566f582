// Shows one stream: video where the browser plays it, else stills; lines, zones and boxes on top.

import { el, setText } from "./dom.js";
import { Overlay, fitted, paint } from "./overlay.js";
import { playersOf } from "./players.js";
import { RuleLayer } from "./rules.js";
import { json, kinds } from "./socket.js";
import { stateText } from "./states.js";

const lostAfter = 8000;

export class Stage {
  /**
   * @param {import("./socket.js").LiveSocket} socket
   * @param {string} stream
   * @param {"tile"|"large"} size of stills
   * @param {(shown: object) => void} [onShown] called with each picture that is shown, and its boxes
   * @param {(state: {state: string, reason: string, text: string}|null) => void} [onPreview] called with the state
   *   of the camera's sub-stream while that is to be shown, else with null
   */
  constructor(socket, stream, size, onShown = () => {}, onPreview = () => {}) {
    this.socket = socket;
    this.stream = stream;
    this.size = size;
    this.onShown = onShown;
    this.onPreview = onPreview;
    this.image = el("canvas", { class: "still" });
    this.video = el("video", { class: "video", tabindex: -1, "aria-hidden": "true" });
    this.rules = el("canvas", { class: "rules" });
    this.boxes = el("canvas", { class: "boxes" });
    this.note = el("p", { class: "stage-note" }, "waiting for a picture");
    this.preview = el("p", { class: "stage-preview", hidden: true });
    this.element = el("div", { class: "stage" }, this.video, this.image, this.boxes, this.rules, this.note, this.preview);
    this.overlay = new Overlay(this.boxes);
    this.layer = new RuleLayer(this.rules);
    this.player = null;
    // The still covers the video until that plays: browsers present no frames of a hidden video.
    this.playing = false;
    this.codec = null;
    /** Players that could not play the codec. */
    this.failed = new Set();
    this.ends = {};
    this.mode = "none";
    /** Whether the camera's sub-stream is known not to play. */
    this.down = false;
    this.frameAt = 0;
    this.found = [];
    this.decoding = false;
    this.timer = setInterval(() => this.look(), 1000);
  }

  /**
   * Show video, stills or nothing.
   * @param {"video"|"still"|"none"} mode video falls back to stills
   * @param {string|null} codec as `codecOf` returns it
   */
  show(mode, codec) {
    if (codec !== this.codec) {
      this.codec = codec;
      this.failed.clear();
      // The stream may have no sub-stream any more.
      this.previewed(null);
    }
    const wanted = mode === "video" && !this.players().length ? "still" : mode;
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
    const still = { image: this.image, size: [this.image.width, this.image.height], found: this.found, release: () => {} };
    const { image, size, found, release } = (this.playing && this.player.still()) || still;
    const canvas = el("canvas", { width: size[0], height: size[1] });
    const context = canvas.getContext("2d");
    paint(context, size, found, size, image);
    release();
    context.drawImage(this.rules, ...fitted(size, [this.rules.width, this.rules.height]), 0, 0, ...size);
    return canvas;
  }

  /** Return the players that may play the video and have not failed, the best one first. */
  players() {
    return playersOf(this.codec).filter((Player) => !this.failed.has(Player));
  }

  play() {
    const [Player] = this.players();
    this.player = new Player(
      this.video,
      (shown) => this.frame(shown),
      () => this.unplayed(Player),
    );
    this.ends.video ??= this.socket.watch(this.stream, "video", (record) => this.take(record));
  }

  take(record) {
    if (record.kind === kinds.preview) {
      this.previewed(json(record.payload));
      return;
    }
    const { player } = this;
    player?.take(record);
    // If it gave up, another one may begin with the same picture.
    if (this.player !== player) this.player?.take(record);
  }

  /** Go on with the next player, or with stills. */
  unplayed(Player) {
    this.failed.add(Player);
    this.player = null;
    this.cover();
    this.watchStills(true);
    if (this.players().length) {
      this.play();
      return;
    }
    this.mode = "still";
    this.stopVideo();
  }

  /** Show why the camera's sub-stream does not play; stills of the stream itself take its place. */
  previewed(state) {
    this.onPreview(state);
    // Another attempt is no news.
    if (this.down && state?.state === "connecting") return;
    const down = state?.state === "down";
    this.preview.hidden = !down;
    setText(this.preview, down ? `Preview ${stateText(state.state, state.reason)}` : "");
    if (down && !this.down) {
      this.cover();
      this.watchStills(true);
    }
    this.down = down;
  }

  stopVideo() {
    this.ends.video?.();
    delete this.ends.video;
    this.player?.close();
    this.player = null;
    this.previewed(null);
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
    // What was under way.
    if (this.down) return;
    this.frameAt = performance.now();
    if (!this.playing) {
      this.playing = true;
      this.image.hidden = true;
      this.note.hidden = true;
      this.watchStills(false);
    }
    this.layer.fit(...shown.size);
    this.overlay.draw(shown.found, shown.size, shown.image);
    this.tell({ ...shown, image: undefined });
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
      this.overlay.draw(known, [image.width, image.height], null);
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
