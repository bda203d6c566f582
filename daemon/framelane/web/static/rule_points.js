// The points of lines and zones on the picture: moved, added and removed with mouse, finger or keyboard.

import { el, setText, svg } from "./dom.js";
import { fitted } from "./overlay.js";
import { called, limits, pointsOf, within } from "./rule_draft.js";
import { Drawing, near } from "./rule_drawing.js";
import { shape } from "./rule_shapes.js";

const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const farStep = 10;
const unknownSize = [16, 9];
const hint =
  "Arrow keys move by one pixel, with Shift by ten. Delete removes. Enter on a plus adds a point there.";

/**
 * @typedef {object} Listeners
 * @property {() => void} changed after each change of the draft
 * @property {(rule: import("./rule_draft.js").Rule) => void} selected
 * @property {(rule: import("./rule_draft.js").Rule) => void} removed when Delete is pressed on a name
 * @property {(kind: "line"|"zone", points: number[][]|null) => void} drawn with null if drawing was given up
 * @property {(text: string) => void} say
 */

export class RulePoints {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {Listeners} listeners
   */
  constructor(stage, listeners) {
    this.stage = stage;
    this.listeners = listeners;
    this.draft = null;
    this.selected = null;
    this.drawing = null;
    this.dragging = null;
    /** The point that had the focus last. */
    this.point = null;
    /** @type {Map<string, HTMLElement>} what can be focused, by rule and part */
    this.handles = new Map();
    this.shapes = svg("svg", { class: "rule-shapes", "aria-hidden": "true" });
    this.hint = el("p", { id: "rule-points-hint", class: "unseen" }, hint);
    this.cross = el("span", { class: "rule-cross", role: "slider", tabindex: 0, hidden: true });
    this.element = el(
      "div",
      {
        class: "rule-points",
        role: "group",
        "aria-label": "Lines and zones on the picture",
        hidden: true,
        pointerdown: (event) => this.down(event),
        pointermove: (event) => this.moved(event),
        pointerup: (event) => this.up(event),
        pointercancel: () => this.let(),
        keydown: (event) => this.key(event),
        focusin: (event) => this.focused(event),
      },
      this.shapes,
      this.cross,
      this.hint,
    );
    stage.element.append(this.element);
    this.resized = new ResizeObserver(() => this.place());
    this.resized.observe(stage.element);
    // The picture's size is known from the first one on.
    stage.element.addEventListener("framelane:shown", () => {
      if (this.size !== this.stage.layer.size) this.place();
    });
  }

  /** Show a draft; null for none. */
  show(draft) {
    this.draft = draft;
    this.selected = this.drawing = this.dragging = this.point = null;
    this.element.hidden = draft === null;
    this.place();
  }

  close() {
    this.resized.disconnect();
  }

  select(rule) {
    this.selected = rule;
    this.draw();
  }

  /** Move the focus to a part of a rule: the number of a point, or its name. */
  focus(rule, part = 0) {
    this.handles.get(`${rule.key} ${part}`)?.focus({ preventScroll: true });
  }

  /** Begin to draw a line or zone, point by point. */
  begin(kind) {
    this.drawing = new Drawing(kind);
    this.selected = null;
    this.draw();
    this.cross.focus({ preventScroll: true });
    this.listeners.say(
      kind === "line"
        ? "Drag over the picture, or click its two ends. Keys: arrows move the cross, Enter sets a point."
        : "Click each corner, and the first one again to close the zone. Keys: arrows move the cross, Enter sets a corner.",
    );
  }

  /** End drawing: with what is drawn if that is enough, else with nothing. */
  finish() {
    this.endDrawing((drawing) => (drawing.enough ? drawing.points : null));
  }

  giveUp() {
    this.endDrawing(() => null);
  }

  endDrawing(points) {
    const { drawing } = this;
    if (!drawing) return;
    this.drawing = null;
    this.draw();
    this.listeners.drawn(drawing.kind, points(drawing));
  }

  /** Lay the area over the picture, which is centered in the stage. */
  place() {
    if (!this.draft) return;
    const { clientWidth, clientHeight } = this.stage.element;
    this.size = this.stage.layer.size;
    const [left, top, width, height] = fitted(this.size ?? unknownSize, [clientWidth, clientHeight]);
    this.area = [width, height];
    Object.assign(this.element.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    this.draw();
  }

  draw() {
    if (!this.draft || !this.area) return;
    this.element.classList.toggle("drawing", this.drawing !== null);
    this.shapes.setAttribute("viewBox", `0 0 ${this.area[0]} ${this.area[1]}`);
    const drawn = this.drawing;
    const others = this.draft.rules.filter((rule) => rule !== this.selected);
    const rules = this.selected ? [...others, this.selected] : others;
    const places = (points) => points.map((each) => this.pixels(each));
    const shapes = rules.map((rule) => shape(this.area, rule.kind, places(pointsOf(rule)), rule.key, rule === this.selected));
    if (drawn) shapes.push(shape(this.area, drawn.kind, places([...drawn.points, drawn.at])));
    this.shapes.replaceChildren(...shapes);
    this.cross.hidden = drawn === null;
    if (drawn) {
      this.put(this.cross, drawn.at);
      this.describe(this.cross, `Point ${drawn.points.length + 1} of the new ${drawn.kind}`, drawn.at);
    }
    this.drawHandles();
  }

  pixels([x, y]) {
    return [x * this.area[0], y * this.area[1]];
  }

  /** Show a handle for each point and name; between the points of the chosen rule, one that adds a point. */
  drawHandles() {
    const wanted = new Map();
    for (const rule of this.drawing ? [] : this.draft.rules) {
      const points = pointsOf(rule);
      wanted.set(`${rule.key} name`, [rule, "name", top(points)]);
      for (const [index, point] of points.entries()) {
        wanted.set(`${rule.key} ${index}`, [rule, index, point]);
        const next = points[index + 1] ?? (rule.kind === "zone" ? points[0] : null);
        if (rule === this.selected && next) {
          wanted.set(`${rule.key} after ${index}`, [rule, `after ${index}`, [0, 1].map((axis) => (point[axis] + next[axis]) / 2)]);
        }
      }
    }
    for (const [key, handle] of this.handles) {
      if (wanted.has(key)) continue;
      handle.remove();
      this.handles.delete(key);
    }
    let before = this.cross;
    for (const [key, [rule, part, at]] of wanted) {
      const handle = this.handles.get(key) ?? this.handle(rule, part);
      this.handles.set(key, handle);
      // The order of the focus; moving an element that has the focus would lose it.
      if (before.nextSibling !== handle) before.after(handle);
      before = handle;
      this.fill(handle, rule, part, at);
    }
  }

  handle(rule, part) {
    const own = { "data-key": rule.key, "data-part": part, "aria-describedby": this.hint.id };
    if (String(part).startsWith("after")) return el("button", { ...own, type: "button", class: "rule-middle" }, "+");
    return el("span", { ...own, role: "slider", tabindex: 0, class: part === "name" ? "rule-name" : "rule-point" });
  }

  fill(handle, rule, part, at) {
    handle.classList.toggle("chosen", rule === this.selected);
    handle.classList.toggle("zone", rule.kind === "zone");
    handle.classList.toggle("current", this.point?.rule === rule && this.point.index === part);
    this.put(handle, at);
    if (part === "name") {
      setText(handle, rule.name);
      this.describe(handle, `Whole ${called(rule)}`, at);
    } else if (typeof part === "number") {
      this.describe(handle, `Point ${part + 1} of ${pointsOf(rule).length} of ${called(rule)}`, at);
    } else {
      handle.setAttribute("aria-label", `Add a point after point ${Number(part.slice(6)) + 1} of ${called(rule)}`);
    }
  }

  put(element, at) {
    const [x, y] = this.pixels(at);
    Object.assign(element.style, { left: `${x}px`, top: `${y}px` });
  }

  describe(element, label, [x, y]) {
    const percent = (value) => `${(value * 100).toFixed(1)} %`;
    const values = { label, valuemin: 0, valuemax: 100, valuenow: Math.round(x * 100) };
    for (const [name, value] of Object.entries(values)) element.setAttribute(`aria-${name}`, value);
    element.setAttribute("aria-valuetext", `${percent(x)} from the left, ${percent(y)} from the top`);
  }

  /** Return the rule and the part that an event is about. */
  target(event) {
    const { key, part } = event.target.closest("[data-key]")?.dataset ?? {};
    const rule = this.draft?.rules.find((each) => each.key === key);
    return rule ? { rule, part: /^\d+$/.test(part) ? Number(part) : part } : null;
  }

  at(event) {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  /** Return how far two places are apart, in pixels. */
  apart(first, second) {
    const [from, to] = [this.pixels(first), this.pixels(second)];
    return Math.hypot(from[0] - to[0], from[1] - to[1]);
  }

  focused(event) {
    const found = this.target(event);
    if (!found) return;
    const { rule, part } = found;
    if (typeof part === "number") this.point = { rule, index: part };
    if (rule !== this.selected) this.listeners.selected(rule);
    else this.draw();
  }

  down(event) {
    if (event.button || this.dragging) return;
    const at = this.at(event);
    if (this.drawing) {
      event.preventDefault();
      this.hold(event, { drawing: true });
      this.drawing.at = within(at);
      if (!this.drawing.points.length) this.drawing.points.push(this.drawing.at);
      this.cross.focus({ preventScroll: true });
      this.draw();
      return;
    }
    const found = this.target(event);
    if (!found) return;
    event.preventDefault();
    let { part } = found;
    if (typeof part === "string" && part.startsWith("after")) part = this.insert(found.rule, Number(part.slice(6)));
    if (part === null) return;
    this.hold(event, { ...found, part, from: at, points: pointsOf(found.rule), begun: typeof part === "number" });
    if (found.rule !== this.selected) this.listeners.selected(found.rule);
    this.focus(found.rule, part === "whole" ? "name" : part);
  }

  hold(event, dragging) {
    this.dragging = { ...dragging, pointer: event.pointerId };
    this.element.setPointerCapture(event.pointerId);
  }

  moved(event) {
    const at = this.at(event);
    if (this.drawing) {
      this.drawing.at = within(at);
      this.draw();
      return;
    }
    const drag = this.dragging;
    if (!drag || drag.pointer !== event.pointerId) return;
    // A click that trembles moves nothing.
    drag.begun ||= this.apart(drag.from, at) > near;
    if (!drag.begun) return;
    this.draft.put(drag.rule, drag.points);
    this.nudge(drag.rule, drag.part, [at[0] - drag.from[0], at[1] - drag.from[1]]);
  }

  up(event) {
    const drag = this.dragging;
    this.let();
    if (!this.drawing || !drag) return;
    this.drawing.at = within(this.at(event));
    this.set();
  }

  let() {
    this.dragging = null;
  }

  /** Set the next point of what is drawn where the cross is; that may end it. */
  set() {
    const { drawing } = this;
    const count = drawing.points.length;
    if (drawing.set((first, second) => this.apart(first, second))) {
      this.finish();
      return;
    }
    if (drawing.points.length > count) this.listeners.say(`Point ${drawing.points.length} is set.`);
    this.draw();
  }

  nudge(rule, part, [dx, dy]) {
    if (typeof part === "number") {
      const [x, y] = pointsOf(rule)[part];
      this.draft.move(rule, part, [x + dx, y + dy]);
    } else {
      this.draft.shift(rule, [dx, dy]);
    }
    this.draw();
    this.listeners.changed();
  }

  key(event) {
    const step = steps[event.key]?.map((each) => each * (event.shiftKey ? farStep : 1));
    const by = step && [step[0] / this.area[0], step[1] / this.area[1]];
    const acts = this.drawing ? this.keyOfCross(event.key, by) : this.keyOfRule(event, by);
    if (acts) event.preventDefault();
  }

  keyOfCross(key, by) {
    const { points, at } = this.drawing;
    if (by) {
      this.drawing.at = within([at[0] + by[0], at[1] + by[1]]);
      this.draw();
    } else if (key === "Enter" || key === " ") this.set();
    else if (key === "Escape") this.giveUp();
    else if ((key === "Delete" || key === "Backspace") && points.length) {
      points.pop();
      this.draw();
      this.listeners.say(`Point ${points.length + 1} is removed.`);
    } else return false;
    return true;
  }

  keyOfRule(event, by) {
    const found = this.target(event);
    if (!found) return false;
    const { rule, part } = found;
    const middle = typeof part === "string" && part.startsWith("after");
    if (by && !middle) this.nudge(rule, part, by);
    else if (middle && (event.key === "Enter" || event.key === " ")) {
      const index = this.insert(rule, Number(part.slice(6)));
      if (index !== null) this.focus(rule, index);
    } else if ((event.key === "Delete" || event.key === "Backspace") && !middle) {
      if (part === "name") this.listeners.removed(rule);
      else this.remove(rule, part);
    } else return false;
    return true;
  }

  /** Add a point in the middle between one and the next; return its number, or null. */
  insert(rule, after) {
    const points = pointsOf(rule);
    const [from, to] = [points[after], points[after + 1] ?? points[0]];
    if (!this.draft.insert(rule, after + 1, [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2])) {
      this.listeners.say(`A ${rule.kind} has at most ${limits[rule.kind][1]} points.`);
      return null;
    }
    this.draw();
    this.listeners.changed();
    this.listeners.say(`Point ${after + 2} of ${pointsOf(rule).length} is added.`);
    return after + 1;
  }

  /** Remove the point that had the focus last; for fingers, which have no Delete. */
  removeLast(rule) {
    const last = pointsOf(rule).length - 1;
    this.remove(rule, this.point?.rule === rule ? Math.min(this.point.index, last) : last);
  }

  /** Remove a point, unless too few would be left. */
  remove(rule, index) {
    if (!this.draft.removePoint(rule, index)) {
      this.listeners.say(`A ${rule.kind} needs ${limits[rule.kind][0]} points; remove the whole ${rule.kind} instead.`);
      return;
    }
    const here = this.element.contains(document.activeElement);
    this.draw();
    this.listeners.changed();
    if (here) this.focus(rule, Math.min(index, pointsOf(rule).length - 1));
    this.listeners.say(`Point ${index + 1} of ${called(rule)} is removed.`);
  }
}

/** Return the place of a rule's name: its topmost point. */
const top = (points) => points.reduce((best, each) => (each[1] < best[1] ? each : best));
