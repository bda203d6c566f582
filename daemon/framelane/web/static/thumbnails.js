// Loads snapshots of events when they come into view. They need the token, so they are fetched and not linked.

import { blob } from "./api.js";

const mostAtOnce = 4;
/** Pictures that are held; those that have been out of view the longest are loaded again if need be. */
const mostHeld = 200;

export class Thumbnails {
  constructor() {
    /** @type {Map<HTMLImageElement, string>} images without a picture, and their events */
    this.waiting = new Map();
    /** @type {Map<HTMLImageElement, string>} images that hold a picture, and their events */
    this.held = new Map();
    /** @type {Set<HTMLImageElement>} images near the view */
    this.near = new Set();
    this.loading = 0;
    this.seen = new IntersectionObserver((entries) => this.scrolled(entries), { rootMargin: "300px" });
  }

  /** Show an event's snapshot in an image while that is near the view. */
  watch(image, event) {
    this.waiting.set(image, event);
    // A hidden image has no place: its frame has.
    this.seen.observe(image.parentElement);
  }

  /** Release what an image that is gone holds. */
  forget(image) {
    this.seen.unobserve(image.parentElement);
    this.release(image);
    this.waiting.delete(image);
    this.near.delete(image);
  }

  /** Forget all images; others may follow. */
  close() {
    for (const image of [...this.waiting.keys(), ...this.held.keys()]) this.forget(image);
  }

  scrolled(entries) {
    for (const { target, isIntersecting } of entries) {
      const image = target.querySelector("img");
      this.near.delete(image);
      if (isIntersecting) this.near.add(image);
    }
    this.load();
  }

  load() {
    for (const image of this.near) {
      if (this.loading >= mostAtOnce) return;
      const event = this.waiting.get(image);
      if (event === undefined) continue;
      this.waiting.delete(image);
      this.loading += 1;
      this.fetch(image, event).finally(() => {
        this.loading -= 1;
        this.load();
      });
    }
  }

  async fetch(image, event) {
    // It may have been deleted; its frame stays empty then.
    const picture = await blob(`/api/events/${event}/snapshot.jpg`).catch(() => null);
    if (!picture || !image.isConnected) return;
    image.src = URL.createObjectURL(picture);
    image.hidden = false;
    this.held.set(image, event);
    for (const [each, its] of this.held) {
      if (this.held.size <= mostHeld) return;
      if (this.near.has(each)) continue;
      this.release(each);
      this.waiting.set(each, its);
    }
  }

  release(image) {
    if (!this.held.delete(image)) return;
    URL.revokeObjectURL(image.src);
    image.removeAttribute("src");
    image.hidden = true;
  }
}
