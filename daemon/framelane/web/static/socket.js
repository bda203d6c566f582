// One WebSocket for all streams that the page shows. A message is a sequence of records; see live/records.py.

import { protocols } from "./api.js";

const headerBytes = 24;
export const kinds = { video: 1, boxes: 2, still: 3, preview: 4 };
const firstWait = 500;
const mostWait = 15000;

/**
 * @typedef {object} Picture
 * @property {number} kind one of `kinds`
 * @property {boolean} key whether it is a key frame
 * @property {number} media media time in seconds
 * @property {number} captured Unix time of its capture in seconds; 0 if unknown
 * @property {Uint8Array} payload
 */

export class LiveSocket {
  /** @param {(connected: boolean) => void} onState called when the connection comes and goes. */
  constructor(onState) {
    this.onState = onState;
    this.channels = new Map();
    this.next = 0;
    this.wait = firstWait;
    this.socket = null;
    this.timer = 0;
    this.closed = false;
  }

  /** Connect, again and again until closed. */
  open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/live`, protocols());
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      this.wait = firstWait;
      for (const [number, channel] of this.channels) this.send({ op: "watch", channel: number, ...channel.what });
      this.onState(true);
    });
    socket.addEventListener("message", (event) => this.take(event.data));
    socket.addEventListener("close", () => this.lost());
    this.socket = socket;
  }

  /** End it for good. */
  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  /**
   * Show something of a stream until the returned function is called.
   * @param {string} stream
   * @param {"video"|"tile"|"large"} want
   * @param {(picture: Picture) => void} handler
   * @returns {() => void}
   */
  watch(stream, want, handler) {
    // Numbers are not used again soon: records of an ended channel may be under way.
    while (this.channels.has(this.next)) this.next = (this.next + 1) % 65536;
    const number = this.next;
    this.next = (this.next + 1) % 65536;
    const what = { stream, want };
    this.channels.set(number, { what, handler });
    this.send({ op: "watch", channel: number, ...what });
    return () => {
      if (this.channels.delete(number)) this.send({ op: "unwatch", channel: number });
    };
  }

  send(command) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(command));
  }

  take(message) {
    const view = new DataView(message);
    let at = 0;
    while (at + headerBytes <= message.byteLength) {
      const length = view.getUint32(at, true);
      const picture = {
        kind: view.getUint8(at + 4),
        key: (view.getUint8(at + 5) & 1) === 1,
        media: view.getFloat64(at + 8, true),
        captured: view.getFloat64(at + 16, true),
        payload: new Uint8Array(message, at + headerBytes, length),
      };
      this.channels.get(view.getUint16(at + 6, true))?.handler(picture);
      at += headerBytes + length;
    }
  }

  lost() {
    this.onState(false);
    if (this.closed) return;
    this.timer = setTimeout(() => this.open(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, mostWait);
  }
}

/** Return the JSON in bytes. */
export const json = (bytes) => JSON.parse(new TextDecoder().decode(bytes));
