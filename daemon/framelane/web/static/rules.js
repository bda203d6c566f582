// Draws lines and zones, with what they count, over a picture; and asks what they count.

import { get } from "./api.js";
import { apart } from "./label_places.js";
import { fitted } from "./overlay.js";

const every = 1000;
const wordsFrom = 320;
const arrow = 16;
const labelHeight = 18;
const colors = { line: "#ffd84d", zone: "#5ee0ff", unknown: "#b6bec7" };

/**
 * @typedef {object} Rules lines and zones of a stream, as /api/rules has them
 * @property {Record<string, {points: number[][], known: boolean, counts: object[]}>} lines
 * @property {Record<string, {polygon: number[][], known: boolean, counts: object[]}>} zones
 */

/** Asks every second what all lines and zones count, while a view shows them. */
export class RuleCounts {
  /** @param {(streams: Record<string, Rules>|null) => void} onCounts called with null if the daemon does not answer */
  constructor(onCounts) {
    this.onCounts = onCounts;
    this.closed = false;
    this.timer = 0;
    this.ask();
  }

  async ask() {
    clearTimeout(this.timer);
    // The status poll reports what is wrong with the daemon.
    const reply = await get("/api/rules").catch(() => null);
    if (this.closed) return;
    this.onCounts(reply?.streams ?? null);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), every);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }
}

/** Return the same lines and zones with unknown counts. */
export function unknown(rules) {
  const doubt = (group) => Object.fromEntries(Object.entries(group).map(([name, each]) => [name, { ...each, known: false }]));
  return rules && { lines: doubt(rules.lines), zones: doubt(rules.zones) };
}

/** Return what a line counts in one direction, over all labels; null if that is unknown. */
export const crossings = (line, direction) =>
  line.known ? line.counts.reduce((sum, each) => sum + each[direction], 0) : null;

/** Return how many objects are in a zone; null if that is unknown. */
export const inside = (zone) => (zone.known ? zone.counts.reduce((sum, each) => sum + each.count, 0) : null);

/** Return a count in words. */
export const countText = (count) => (count === null ? "–" : String(count));

/**
 * Return the middle of a line, and the unit vector to its left, as seen when walking along it.
 * @param {number[][]} points in pixels, downwards
 */
export function middleOf(points) {
  const lengths = points.slice(1).map(([x, y], index) => Math.hypot(x - points[index][0], y - points[index][1]));
  let rest = lengths.reduce((sum, each) => sum + each, 0) / 2;
  let at = 0;
  while (at < lengths.length - 1 && rest > lengths[at]) {
    rest -= lengths[at];
    at += 1;
  }
  const [[x1, y1], [x2, y2]] = [points[at], points[at + 1]];
  const length = lengths[at] || 1;
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  return { middle: [x1 + dx * rest, y1 + dy * rest], left: [dy, -dx] };
}

export class RuleLayer {
  /** @param {HTMLCanvasElement} canvas as large as the stage that the picture is centered in */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.size = null;
    this.rules = null;
    this.drawn = "";
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(canvas);
  }

  /** Draw over a picture of this width and height; only their proportion matters. */
  fit(width, height) {
    if (!width || !height || (this.size?.[0] === width && this.size[1] === height)) return;
    this.size = [width, height];
    this.draw();
  }

  /** Show these rules; null for none. */
  show(rules) {
    this.rules = rules;
    this.draw();
  }

  close() {
    this.resized.disconnect();
  }

  draw() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const wanted = JSON.stringify([this.rules, this.size, width, height, ratio]);
    if (wanted === this.drawn || !width || !height) return;
    this.drawn = wanted;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (!this.rules || !this.size) return;
    const { context } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineJoin = context.lineCap = "round";
    const [left, top, wide, high] = fitted(this.size, [width, height]);
    const place = ([x, y]) => [left + x * wide, top + y * high];
    const words = width >= wordsFrom;
    const { zones, lines } = this.rules;
    const ofZones = Object.entries(zones).flatMap(([name, zone]) => this.zone(name, zone, zone.polygon.map(place), words));
    const ofLines = Object.entries(lines).flatMap(([name, line]) => this.line(name, line, line.points.map(place), words));
    // Those of lines tell sides, so others make way. All are above all lines, so that every count can be read.
    const labels = [...ofLines, ...ofZones];
    const places = apart(labels.map(([text, at]) => this.room(text, at)), [width, height]);
    for (const [index, [text, , known]] of labels.entries()) this.label(text, places[index], known);
  }

  zone(name, zone, corners, words) {
    const color = zone.known ? colors.zone : colors.unknown;
    this.path(corners, true);
    this.context.fillStyle = `${color}22`;
    this.context.fill();
    this.stroke(color, zone.known);
    const middle = corners.reduce((sum, [x]) => sum + x, 0) / corners.length;
    const top = Math.min(...corners.map(([, y]) => y));
    const count = countText(inside(zone));
    return [[words ? `${name}: ${count}` : count, [middle, top + 11], zone.known]];
  }

  line(name, line, points, words) {
    const color = line.known ? colors.line : colors.unknown;
    this.path(points, false);
    this.stroke(color, line.known);
    const { middle, left } = middleOf(points);
    return ["left", "right"].map((direction) => {
      const way = direction === "left" ? left : left.map((each) => -each);
      this.arrow(middle, way, color);
      const count = countText(crossings(line, direction));
      const text = words ? (direction === "left" ? `${name} ${direction} ${count}` : `${direction} ${count}`) : count;
      const far = arrow + 12 + Math.abs(way[0]) * this.context.measureText(text).width * 0.5;
      return [text, [middle[0] + way[0] * far, middle[1] + way[1] * far], line.known];
    });
  }

  path(points, closed) {
    this.context.beginPath();
    for (const [index, [x, y]] of points.entries()) {
      if (index) this.context.lineTo(x, y);
      else this.context.moveTo(x, y);
    }
    if (closed) this.context.closePath();
  }

  /** Stroke the path with a dark edge, so that it shows on a bright picture too; dashed if it counts nothing. */
  stroke(color, known = true) {
    const { context } = this;
    context.lineWidth = 5;
    context.strokeStyle = "rgb(0 0 0 / 55%)";
    context.stroke();
    context.lineWidth = 2.5;
    context.strokeStyle = color;
    context.setLineDash(known ? [] : [7, 6]);
    context.stroke();
    context.setLineDash([]);
  }

  arrow([x, y], [dx, dy], color) {
    const tip = [x + dx * arrow, y + dy * arrow];
    const wing = (side) => [tip[0] - dx * 6 - dy * 5 * side, tip[1] - dy * 6 + dx * 5 * side];
    this.path([[x, y], tip], false);
    this.stroke(color);
    this.path([wing(1), tip, wing(-1)], false);
    this.stroke(color);
  }

  /** Return the place of a label around a point. */
  room(text, [x, y]) {
    const width = this.context.measureText(text).width + 10;
    return [x - width / 2, y - labelHeight / 2, width, labelHeight];
  }

  label(text, [left, top, width, height], known) {
    const { context } = this;
    context.fillStyle = "rgb(5 8 12 / 82%)";
    context.fillRect(left, top, width, height);
    context.fillStyle = known ? "#ffffff" : colors.unknown;
    context.fillText(text, left + 5, top + height / 2 + 0.5);
  }
}
