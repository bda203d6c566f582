// The newest lines of the log. It follows them, unless the reader has scrolled up.

import { get } from "./api.js";
import { el, setText } from "./dom.js";

const every = 3000;
const mostLines = 400;
const nearEnd = 24;

export class LogTail {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.closed = false;
    this.last = 0;
    this.run = null;
    this.unread = 0;
    this.turn = 0;
    this.level = el(
      "select",
      { id: "log-level", change: () => this.begin() },
      el("option", { value: "info" }, "all"),
      el("option", { value: "warning" }, "warnings and errors"),
    );
    this.list = el("div", {
      class: "log-lines",
      role: "log",
      "aria-live": "off",
      "aria-labelledby": "log-title",
      tabindex: 0,
      scroll: () => this.scrolled(),
    });
    this.resume = el("button", { type: "button", hidden: true, click: () => this.toEnd() });
    this.said = el("p", { class: "hint", role: "status" });
    this.element = el(
      "section",
      { class: "panel log", "aria-labelledby": "log-title" },
      el(
        "div",
        { class: "log-head" },
        el("h2", { id: "log-title" }, "Log"),
        el("p", { class: "check" }, el("label", { for: "log-level" }, "Show"), this.level),
      ),
      this.list,
      el("p", { class: "log-foot" }, this.said, this.resume),
    );
    this.begin();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }

  begin() {
    this.last = 0;
    this.unread = 0;
    this.list.replaceChildren();
    this.load();
  }

  async load() {
    clearTimeout(this.timer);
    this.turn += 1;
    const { turn } = this;
    try {
      const reply = await get(`/api/log?level=${this.level.value}&after=${this.last}`);
      if (this.closed || turn !== this.turn) return;
      const again = this.run !== null && reply.run !== this.run;
      this.run = reply.run;
      if (again) {
        // The daemon was started again, and so were the numbers.
        this.begin();
        return;
      }
      this.add(reply.lines);
    } catch (error) {
      if (this.closed || turn !== this.turn) return;
      this.app.failed(error);
      // The app closes this view if it asks for the token.
      if (this.closed) return;
    }
    this.timer = setTimeout(() => this.load(), every);
  }

  add(lines) {
    const follows = this.atEnd;
    this.last = lines.at(-1)?.number ?? this.last;
    this.list.append(...lines.map(row));
    if (follows) {
      while (this.list.childElementCount > mostLines) this.list.firstChild.remove();
      this.list.scrollTop = this.list.scrollHeight;
    } else {
      this.unread += lines.length;
    }
    this.tell();
  }

  /** Whether the newest line can be seen. */
  get atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.list;
    return scrollHeight - scrollTop - clientHeight < nearEnd;
  }

  scrolled() {
    if (this.atEnd) this.unread = 0;
    this.tell();
  }

  toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
    this.list.focus();
  }

  tell() {
    const paused = !this.atEnd;
    this.resume.hidden = !paused;
    setText(this.resume, this.unread ? `${this.unread} new: go to the end` : "Go to the end");
    const empty = this.list.childElementCount === 0;
    setText(this.said, empty ? "No lines yet." : paused ? "Paused while you read." : "");
  }
}

const tones = { warning: "warn", error: "bad", critical: "bad" };

function row({ at, level, logger, text }) {
  return el(
    "p",
    { class: `log-line ${tones[level] ?? ""}` },
    el("time", { datetime: at, title: at }, new Date(at).toLocaleTimeString()),
    el("span", { class: "log-level" }, level),
    el("span", { class: "log-text", title: logger }, text),
  );
}
