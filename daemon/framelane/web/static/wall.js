// The wall: a tile for each stream.

import { el, setText } from "./dom.js";
import { milliseconds, rate, total } from "./format.js";
import { codecOf } from "./players.js";
import { RuleCounts, unknown } from "./rules.js";
import { Stage } from "./stage.js";
import { tone, why } from "./states.js";

const mostVideos = 16;
const leastWidth = 200;
const gap = 8;
const barHeight = 48;
const compactBarHeight = 30;
const leastCompactWidth = 140;
const narrowWidth = 320;
const phoneWidth = 480;

export class Wall {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.tiles = new Map();
    this.columns = 1;
    this.list = el("ul", { class: "wall", keydown: (event) => this.move(event) });
    this.empty = el(
      "section",
      { class: "empty", hidden: true },
      el("h2", {}, "No cameras yet"),
      el("p", {}, el("a", { class: "button primary", href: "#/add" }, "Add a camera")),
      el(
        "p",
        {},
        ...["Or add one under ", el("code", {}, "streams:"), " in the configuration, or with "],
        ...[el("code", {}, "POST /api/streams"), "."],
      ),
    );
    this.summary = el("p", { class: "summary", role: "status" });
    this.add = el("a", { class: "button", href: "#/add" }, "Add a camera");
    this.element = el(
      "section",
      { "aria-label": "Cameras" },
      el("h1", { class: "unseen" }, "Wall"),
      el("div", { class: "wall-head" }, this.summary, this.add),
      this.list,
      this.empty,
    );
    this.inView = new IntersectionObserver((entries) => this.scrolled(entries), { rootMargin: "10%" });
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(this.list);
    this.rules = {};
    this.counts = new RuleCounts((streams) => this.count(streams));
  }

  /** Show the newest status. */
  update(status) {
    const { streams, node } = status;
    this.empty.hidden = streams.length > 0;
    this.add.hidden = streams.length === 0;
    setText(this.summary, streams.length ? `${node.streams_live} of ${streams.length} cameras live` : "");
    const ids = new Set(streams.map((stream) => stream.id));
    for (const [id, tile] of this.tiles) if (!ids.has(id)) this.remove(id, tile);
    for (const stream of streams) {
      let tile = this.tiles.get(stream.id);
      if (!tile) {
        tile = new Tile(this.app.socket, stream.id);
        this.tiles.set(stream.id, tile);
        this.list.append(tile.element);
        this.inView.observe(tile.element);
        tile.stage.layer.show(this.rules[stream.id] ?? null);
      }
      tile.update(stream);
    }
    this.fit();
    this.play();
  }

  close() {
    this.inView.disconnect();
    this.resized.disconnect();
    this.counts.close();
    for (const tile of this.tiles.values()) tile.close();
  }

  /** Show what lines and zones count; what was known last is unknown while the daemon does not answer. */
  count(streams) {
    this.rules = streams ?? Object.fromEntries(Object.entries(this.rules).map(([id, rules]) => [id, unknown(rules)]));
    for (const [id, tile] of this.tiles) tile.stage.layer.show(this.rules[id] ?? null);
  }

  remove(id, tile) {
    this.inView.unobserve(tile.element);
    tile.close();
    tile.element.remove();
    this.tiles.delete(id);
  }

  scrolled(entries) {
    for (const entry of entries) {
      const tile = this.tiles.get(entry.target.dataset.stream);
      if (tile) tile.visible = entry.isIntersecting;
    }
    this.play();
  }

  /** Play the tiles in view, if they are few; show stills of many, and nothing of those out of view. */
  play() {
    const visible = [...this.tiles.values()].filter((tile) => tile.visible);
    const mode = visible.length > mostVideos ? "still" : "video";
    for (const tile of this.tiles.values()) tile.show(tile.visible ? mode : "none");
  }

  /** Choose the largest tiles that all fit; without figures if need be; scroll if they would be too small. */
  fit() {
    const count = this.tiles.size;
    const room = this.list.clientWidth;
    if (!count || !room) return;
    const top = this.list.getBoundingClientRect().top + window.scrollY;
    const height = window.innerHeight - top - gap;
    const full = largest(count, room, height, barHeight);
    const compact = largest(count, room, height, compactBarHeight);
    let best = full.width >= leastWidth ? full : compact;
    // A phone is scrolled anyway.
    if (best.width < leastCompactWidth || room < phoneWidth) {
      const columns = Math.min(Math.max(Math.floor((room + gap) / (leastWidth + gap)), 1), count);
      best = { columns, width: Math.floor((room - gap * (columns - 1)) / columns) };
    }
    this.columns = best.columns;
    this.list.classList.toggle("compact", best === compact);
    this.list.classList.toggle("narrow", best.width < narrowWidth);
    this.list.style.gridTemplateColumns = `repeat(${best.columns}, ${best.width}px)`;
  }

  /** Move between tiles with the arrow keys. */
  move(event) {
    const { columns } = this;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const links = [...this.list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (!step || at < 0 || !links[at + step]) return;
    event.preventDefault();
    links[at + step].focus();
  }
}

/** Return the columns that make tiles largest, and the tiles' width. */
function largest(count, room, height, bar) {
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const wide = (room - gap * (columns - 1)) / columns;
    const tall = height / Math.ceil(count / columns) - gap - bar;
    const width = Math.floor(Math.min(wide, (tall * 16) / 9));
    if (width > best.width) best = { columns, width };
  }
  return best;
}

class Tile {
  constructor(socket, stream) {
    this.stream = stream;
    this.visible = false;
    this.mode = "none";
    this.codec = null;
    this.stage = new Stage(socket, stream, "tile");
    this.word = el("span", {});
    this.why = el("span", { class: "why" });
    this.state = el("span", { class: "state" }, this.word, this.why);
    this.rates = el("span", {});
    this.losses = el("span", { class: "losses" });
    this.latency = el("span", {});
    this.reason = el("p", { class: "reason", hidden: true });
    this.stage.element.append(this.reason);
    const link = el(
      "a",
      { href: `#/stream/${encodeURIComponent(stream)}`, class: "tile-link" },
      this.stage.element,
      el(
        "div",
        { class: "tile-bar" },
        el("p", { class: "name" }, stream),
        this.state,
        el("p", { class: "figures" }, this.rates, this.losses, this.latency),
      ),
    );
    this.element = el("li", { class: "tile", "data-stream": stream }, link);
  }

  update(stream) {
    this.state.className = `state ${tone(stream.state, stream.reason)}`;
    setText(this.word, stream.state);
    setText(this.why, why(stream.state, stream.reason));
    setText(this.reason, stream.state === "live" ? "" : stream.text);
    this.reason.hidden = stream.state === "live" || !stream.text;
    const { figures } = stream;
    setText(this.rates, figures ? `${rate(figures.fps_in)} in, ${rate(figures.fps_inferred)} inferred` : "no figures yet");
    setText(this.losses, figures ? `${total(figures.dropped)} dropped` : "");
    setText(this.latency, figures ? `p95 ${milliseconds(figures.latency_ms?.p95)}` : "");
    this.stage.element.classList.toggle("dim", stream.state !== "live");
    this.codec = codecOf(stream);
    this.stage.show(this.mode, this.codec);
  }

  show(mode) {
    this.mode = mode;
    this.stage.show(mode, this.codec);
  }

  close() {
    this.stage.close();
  }
}
