// Events: what happened lately, the newest first, with snapshots and clips.

import { get } from "./api.js";
import { el, setText } from "./dom.js";
import { EventDialog } from "./event_dialog.js";
import { EventFilters } from "./event_filters.js";
import { EventItem } from "./event_item.js";
import { Thumbnails } from "./thumbnails.js";

const every = 3000;
const againAfter = 5000;
const perPage = 50;
const mostShown = 1000;
const mostWaiting = 200;
/** Pages without a match that are asked for in a row before the user has to ask. */
const mostSearches = 20;

export class EventsView {
  /**
   * @param {import("./app.js").App} app
   * @param {string} query the filters, as in the page's address
   */
  constructor(app, query) {
    this.app = app;
    this.closed = false;
    this.timer = 0;
    this.turn = 0;
    this.dialog = new EventDialog(() => this.items);
    this.thumbnails = new Thumbnails();
    this.filters = new EventFilters(query, () => this.begin());
    this.follow = el("input", { type: "checkbox", id: "events-follow", change: () => this.follow.checked && this.reveal() });
    this.said = el("p", { class: "summary", role: "status" });
    this.trouble = el("p", { class: "events-trouble", role: "alert", hidden: true });
    this.fresh = el("button", { type: "button", class: "primary events-new", hidden: true, click: () => this.reveal(true) });
    this.list = el("ol", { class: "events", "aria-label": "Events, the newest first", keydown: (event) => this.move(event) });
    this.clear = el("button", { type: "button", click: () => this.filters.reset() }, "Clear the filters");
    this.emptyTitle = el("h2", {});
    this.emptyText = el(
      "p",
      {},
      ...["Streams with ", el("code", {}, "track: true"), " and ", el("code", {}, "events"), ", lines or zones have them."],
    );
    this.empty = el("section", { class: "empty", hidden: true }, this.emptyTitle, this.emptyText, this.clear);
    this.more = el("button", { type: "button", hidden: true, click: () => this.older() }, "Show older ones");
    this.hint = el("p", { class: "hint", hidden: true });
    this.element = el(
      "article",
      { class: "events-view" },
      el("h1", {}, "Events"),
      this.filters.element,
      el(
        "p",
        { class: "events-bar" },
        this.said,
        el("span", { class: "check" }, this.follow, el("label", { for: "events-follow" }, "Show new ones at once")),
      ),
      this.trouble,
      this.hint,
      el("div", { class: "events-fresh", role: "status" }, this.fresh),
      this.list,
      this.empty,
      el("p", { class: "events-more" }, this.more),
      this.dialog.element,
    );
    this.begin();
  }

  update({ streams }) {
    this.filters.knowStreams(streams.map((each) => each.id));
  }

  close() {
    this.closed = true;
    this.turn += 1;
    clearTimeout(this.timer);
    this.dialog.close();
    this.thumbnails.close();
    this.filters.close();
  }

  /** Show the newest events that the filters let through. */
  async begin() {
    this.turn += 1;
    clearTimeout(this.timer);
    history.replaceState(null, "", this.filters.address);
    /** @type {EventItem[]} the newest first */
    this.items = [];
    this.known = new Map();
    this.waiting = [];
    this.gap = false;
    this.cursors = { older: null, newer: null };
    this.list.replaceChildren();
    this.thumbnails.close();
    this.fresh.hidden = this.empty.hidden = this.more.hidden = this.hint.hidden = true;
    if (this.trouble.hidden) setText(this.said, "Looking …");
    const page = await this.search(null);
    if (!page) return;
    this.cursors = { older: page.older, newer: page.newer };
    this.append(page.events);
    this.tell();
    this.timer = setTimeout(() => this.poll(), every);
  }

  /** Show the events before those that are shown. */
  async older() {
    this.more.disabled = true;
    const before = this.items.length;
    const page = await this.search(this.cursors.older);
    this.more.disabled = false;
    if (!page) return;
    this.cursors.older = page.older;
    this.append(page.events);
    this.tell();
    // The button moves away from under the focus.
    this.items[before]?.button.focus({ preventScroll: true });
  }

  /** Ask for what has come since, and go on asking. */
  async poll() {
    const page = await this.ask(this.cursors.newer);
    if (!page) return;
    this.cursors.newer = page.newer;
    this.waiting = [...page.events.filter((each) => this.isNew(each)), ...this.waiting];
    // More than one page has come: the list begins again when the user wants to see them.
    this.gap ||= page.older !== null || this.waiting.length > mostWaiting;
    if (this.gap) this.waiting.length = Math.min(this.waiting.length, mostWaiting);
    if (this.follow.checked) this.reveal();
    this.tell();
    this.timer = setTimeout(() => this.poll(), every);
  }

  /** Put the events that wait on top. */
  reveal(byHand = false) {
    if (this.gap) {
      this.gap = false;
      this.begin();
      return;
    }
    const items = this.waiting.map((each) => this.item(each));
    this.waiting = [];
    this.items.unshift(...items);
    this.list.prepend(...items.map((each) => each.element));
    while (this.items.length > mostShown) this.forget(this.items.pop());
    this.tell();
    if (!byHand) return;
    items[0]?.button.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  }

  /** Return the next page that has any event, or the last one; null if that failed or is no longer wanted. */
  async search(cursor) {
    let page = null;
    for (let left = mostSearches; left > 0; left -= 1) {
      page = await this.ask(cursor);
      if (!page || page.events.some((each) => this.isNew(each)) || page.older === null) break;
      cursor = page.older;
    }
    return page;
  }

  async ask(cursor) {
    const { turn } = this;
    try {
      const page = await get(`/api/events?${this.filters.query(cursor, perPage)}`);
      if (turn !== this.turn) return null;
      this.complain(page.trouble ? `The newest events may be missing: ${page.trouble}.` : "");
      for (const each of page.events) this.filters.know(each);
      return page;
    } catch (error) {
      if (turn === this.turn) this.failed(error);
      return null;
    }
  }

  /** Say what is wrong, and try again. */
  failed(error) {
    const gone = error.status === 410;
    if (!error.status) this.app.failed(error);
    else if (!gone) this.complain(`${error.message}.`);
    // Without a valid token, the page asks for one.
    if (this.closed) return;
    if (!this.items.length) setText(this.said, "");
    // A page that is shown goes on where it was.
    const again = gone || this.cursors.newer === null ? () => this.begin() : () => this.poll();
    this.timer = setTimeout(again, gone ? 0 : againAfter);
  }

  complain(text) {
    setText(this.trouble, text);
    this.trouble.hidden = !text;
  }

  append(events) {
    const items = events.filter((each) => this.isNew(each)).map((each) => this.item(each));
    this.items.push(...items);
    this.list.append(...items.map((each) => each.element));
  }

  /** Return whether an event is to be listed. News of a clip belong to the event that it shows. */
  isNew(event) {
    if (event.kind === "clip" && !this.filters.wants("clip")) {
      this.known.get(event.of)?.hasClip(event);
      return false;
    }
    return !this.known.has(event.event) && !this.waiting.some((each) => each.event === event.event);
  }

  item(event) {
    const item = new EventItem(event, this.thumbnails, () => this.dialog.show(item));
    this.known.set(event.event, item);
    return item;
  }

  forget(item) {
    this.known.delete(item.event.event);
    this.thumbnails.forget(item.image);
    item.element.remove();
    this.cursors.older = null;
  }

  tell() {
    const count = this.waiting.length;
    setText(this.fresh, count ? `${count}${this.gap ? " or more" : ""} new` : "");
    this.fresh.hidden = !count;
    const shown = this.items.length;
    setText(this.said, shown ? `${shown} ${shown === 1 ? "event" : "events"}` : "");
    this.more.hidden = this.cursors.older === null || shown >= mostShown;
    this.list.classList.toggle("pictureless", !this.items.some((each) => each.event.snapshot_url));
    this.tellEmpty(shown);
  }

  tellEmpty(shown) {
    const narrow = this.filters.count > 0;
    this.empty.hidden = shown > 0 || !this.trouble.hidden;
    this.clear.hidden = !narrow;
    setText(this.emptyTitle, narrow ? "No event fits these filters" : "No events yet");
    this.emptyText.hidden = narrow;
    const pictureless = shown > 0 && this.list.classList.contains("pictureless");
    this.hint.hidden = !pictureless && shown < mostShown;
    setText(
      this.hint,
      pictureless
        ? "No pictures: set media.folder, and snapshots of a stream, to see what happened."
        : `The newest ${mostShown} are shown. Choose an earlier time to see others.`,
    );
  }

  /** Move between events with the arrow keys. */
  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = this.items.findIndex((each) => each.button === document.activeElement);
    const next = this.items[at + step];
    if (!step || at < 0 || !next) return;
    event.preventDefault();
    next.button.focus();
  }
}
