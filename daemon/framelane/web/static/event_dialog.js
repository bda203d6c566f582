// All of one event: its snapshot, its clip and its figures.

import { blob } from "./api.js";
import { el, setText, terms } from "./dom.js";
import { kindNames, moment, sentence, spell } from "./event_item.js";
import { percent } from "./format.js";

export class EventDialog {
  /** @param {() => import("./event_item.js").EventItem[]} items returns those that can be stepped through */
  constructor(items) {
    this.items = items;
    this.item = null;
    this.turn = 0;
    this.addresses = [];
    this.title = el("h2", { id: "event-title", tabindex: -1 });
    this.image = el("img", { class: "event-picture", alt: "", hidden: true });
    this.note = el("p", { class: "event-note" });
    this.video = el("video", { class: "event-picture", controls: true, playsinline: true, hidden: true });
    // Clips have no sound. A muted video may start although loading it took longer than a click counts.
    this.video.muted = true;
    this.play = el("button", { type: "button", class: "primary", click: () => this.playClip() }, "Play the clip");
    this.save = el("a", { class: "button", hidden: true }, "Save the picture");
    this.facts = el("dl", { class: "facts" });
    this.previous = el("button", { type: "button", click: () => this.step(-1) }, "Newer");
    this.next = el("button", { type: "button", click: () => this.step(1) }, "Older");
    this.element = el(
      "dialog",
      {
        class: "event-dialog",
        "aria-labelledby": "event-title",
        close: () => this.closed(),
        keydown: (event) => this.pressed(event),
        click: (event) => event.target === this.element && this.element.close(),
      },
      el(
        "div",
        { class: "event-dialog-inner" },
        el(
          "header",
          { class: "event-dialog-head" },
          this.title,
          el("button", { type: "button", class: "quiet", click: () => this.element.close() }, "Close"),
        ),
        el("div", { class: "event-stage" }, this.image, this.video, this.note),
        el("p", { class: "actions" }, this.previous, this.next, this.play, this.save),
        this.facts,
      ),
    );
  }

  show(item) {
    this.release();
    this.item = item;
    const { event } = item;
    setText(this.title, sentence(event));
    this.play.hidden = !event.clip_url;
    this.facts.replaceChildren(...terms(factsOf(event)));
    const at = this.items().indexOf(item);
    this.previous.disabled = at <= 0;
    this.next.disabled = at < 0 || at >= this.items().length - 1;
    if (!this.element.open) this.element.showModal();
    this.title.focus();
    this.showPicture(event);
  }

  close() {
    this.element.close();
    this.release();
  }

  closed() {
    const { item } = this;
    this.release();
    // The list goes on where it was left.
    item?.button.focus();
    this.item = null;
  }

  step(by) {
    const items = this.items();
    const next = items[items.indexOf(this.item) + by];
    if (next) this.show(next);
  }

  pressed(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    // The video has these keys for itself.
    if (!by || event.target === this.video) return;
    event.preventDefault();
    this.step(by);
  }

  async showPicture(event) {
    if (!event.snapshot_url) {
      setText(this.note, "There is no snapshot of this event.");
      return;
    }
    setText(this.note, "Loading …");
    const { turn } = this;
    const path = `/api/events/${event.event}/snapshot.jpg`;
    const picture = await blob(`${path}?view=whole&annotated=true`)
      .catch(() => blob(`${path}?annotated=true`))
      .catch((error) => error);
    if (turn !== this.turn) return;
    if (picture instanceof Error) {
      setText(this.note, picture.status === 404 ? "The snapshot has been deleted." : `${picture.message}.`);
      return;
    }
    setText(this.note, "");
    this.image.src = this.address(picture);
    this.image.alt = `${sentence(event)}, seen by ${event.stream}`;
    this.image.hidden = false;
    this.save.href = this.image.src;
    this.save.download = `${event.stream}-${event.at.slice(0, 19).replaceAll(":", "-")}.jpg`;
    this.save.hidden = false;
  }

  async playClip() {
    const { turn } = this;
    const owner = this.item.event.of ?? this.item.event.event;
    this.play.disabled = true;
    setText(this.note, "Loading the clip …");
    const clip = await blob(`/api/events/${owner}/clip.mp4`).catch((error) => error);
    this.play.disabled = false;
    if (turn !== this.turn) return;
    if (clip instanceof Error) {
      setText(this.note, clip.status === 404 ? "The clip has been deleted." : `${clip.message}.`);
      return;
    }
    setText(this.note, "");
    this.image.hidden = this.play.hidden = true;
    this.video.hidden = false;
    this.video.onerror = () => setText(this.note, "This browser can't play the clip: H.265 needs a device that decodes it.");
    this.video.src = this.address(clip);
    this.video.play().catch(() => {});
    this.video.focus();
  }

  address(data) {
    const address = URL.createObjectURL(data);
    this.addresses.push(address);
    return address;
  }

  /** Let go of pictures and video. */
  release() {
    this.turn += 1;
    this.video.onerror = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.image.removeAttribute("src");
    this.image.hidden = this.video.hidden = this.save.hidden = true;
    setText(this.note, "");
    for (const each of this.addresses.splice(0)) URL.revokeObjectURL(each);
  }
}

function factsOf(event) {
  const { object } = event;
  const camera = el("a", { href: `#/stream/${encodeURIComponent(event.stream)}` }, event.stream);
  const facts = [
    ["Time", el("time", { datetime: event.at }, new Date(event.at).toLocaleString(undefined, { dateStyle: "full", timeStyle: "medium" }))],
    ["Camera", camera],
    ["What", kindNames[event.kind] ?? event.kind],
    ["Line or zone", event.rule],
    ["Direction", event.direction],
    ["Label", `${object.label}, ${percent(object.confidence)}`],
    ["Since", event.since && moment(event.since)],
    ["For", event.dwell_s === undefined ? null : spell(event.dwell_s)],
    ["Why", event.reason],
    ["In zones", object.zones.join(", ")],
    ["Counter", event.total === null ? null : `${event.total} since ${moment(event.epoch)}`],
    ["Object", object.id],
  ];
  return facts.filter(([, value]) => value);
}
