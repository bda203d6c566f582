// One event in the list, and how it reads.

import { el, setText } from "./dom.js";

/**
 * Return what happened in a few words.
 * @param {object} event as in /api/events
 */
export function sentence({ kind, object, rule, direction, dwell_s: dwell, reason }) {
  const label = named(object);
  const seconds = dwell === undefined ? "" : spell(dwell);
  const words = {
    new: `${label} came`,
    update: `${label}: update`,
    end: `${label} gone${reason ? `: ${reason}` : ""}`,
    line: `${label} crossed ${rule} to the ${direction}`,
    zone_enter: `${label} entered ${rule}`,
    zone_exit: `${label} left ${rule}${seconds && ` after ${seconds}`}`,
    loiter: `${label} loiters in ${rule}${seconds && `, ${seconds} so far`}`,
    clip: `clip of ${label} ready`,
  };
  return words[kind] ?? `${label}: ${kind}`;
}

/** Return an object's label with what second models say of it, such as `car (red)`. */
function named({ label, attributes = {} }) {
  const said = Object.values(attributes).map((each) => each.label);
  return said.length ? `${label} (${said.join(", ")})` : label;
}

/** The kinds of events, in words. */
export const kindNames = {
  new: "came",
  update: "update",
  end: "gone",
  line: "line crossed",
  zone_enter: "zone entered",
  zone_exit: "zone left",
  loiter: "loitering",
  clip: "clip ready",
};

/** Return a time as people here read it, with its date unless that is today. */
export function moment(text) {
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString() : at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** Return a number of seconds in its largest unit. */
export function spell(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export class EventItem {
  /**
   * @param {object} event as in /api/events
   * @param {import("./thumbnails.js").Thumbnails} thumbnails
   * @param {() => void} open called to show all of it
   */
  constructor(event, thumbnails, open) {
    this.event = event;
    this.image = el("img", { alt: "", hidden: true });
    // It has its size before the picture is there, so that nothing moves.
    const frame = el("span", { class: "event-frame" }, el("span", { class: "event-blank", "aria-hidden": "true" }, "–"), this.image);
    this.clip = el("span", { class: "event-tag", hidden: true }, "clip");
    this.button = el(
      "button",
      { type: "button", class: "event-open", click: open },
      frame,
      el(
        "span",
        { class: "event-words" },
        el("span", { class: "event-what" }, sentence(event)),
        el(
          "span",
          { class: "event-meta" },
          el("span", {}, event.stream),
          el("time", { datetime: event.at }, moment(event.at)),
          el("span", { class: "event-kind" }, kindNames[event.kind] ?? event.kind),
          this.clip,
        ),
      ),
    );
    this.element = el("li", { class: "event", "data-event": event.event }, this.button);
    this.clip.hidden = !event.clip_url;
    if (event.snapshot_url) thumbnails.watch(this.image, event.event);
  }

  /** Note that the event's clip is ready. */
  hasClip({ clip_url: address }) {
    if (!address) return;
    this.event.clip_url = address;
    this.clip.hidden = false;
    setText(this.clip, "clip");
  }
}
