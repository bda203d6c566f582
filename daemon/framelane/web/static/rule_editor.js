// Edits a stream's lines and zones: on the picture, and in a list beside it; and saves them.

import { Refusal, change, get } from "./api.js";
import { el, setText } from "./dom.js";
import { RuleDraft, called } from "./rule_draft.js";
import { RuleForm } from "./rule_form.js";
import { RulePoints } from "./rule_points.js";

/** What is edited and not saved, by stream: it outlives its view, which is closed while the page is hidden. */
const drafts = new Map();

addEventListener("beforeunload", (event) => {
  if ([...drafts.values()].some((each) => each.draft.changed)) event.preventDefault();
});

export class RuleEditor {
  /**
   * @param {string} stream
   * @param {import("./stage.js").Stage} stage
   * @param {(saved: object|null) => void} onChange called when it opens or closes; with the stream's options if they are saved
   */
  constructor(stream, stage, onChange) {
    this.stream = stream;
    this.onChange = onChange;
    this.draft = null;
    this.forms = new Map();
    this.points = new RulePoints(stage, {
      changed: () => this.changed(),
      selected: (rule) => this.select(rule),
      removed: (rule) => this.remove(rule),
      drawn: (kind, points) => this.drawn(kind, points),
      say: (text) => this.say(text),
    });
    this.button = el("button", { type: "button", click: () => this.begin() }, "Edit lines and zones");
    /** What went wrong before the editor was open. */
    this.trouble = el("p", { class: "bad-text", role: "alert", hidden: true });
    this.list = el("ul", { class: "rule-list" });
    this.empty = el("p", { class: "hint" }, "There are no lines and zones yet.");
    this.untracked = el("p", { class: "hint", hidden: true }, "Objects are not tracked yet. Saving sets “track: true” too.");
    this.said = el("p", { class: "hint", role: "status" });
    this.fault = el("p", { class: "bad-text", role: "alert", hidden: true });
    this.offer = el("div", { class: "offer", hidden: true });
    this.drawLine = el("button", { type: "button", click: () => this.draw("line") }, "Draw a line");
    this.drawZone = el("button", { type: "button", click: () => this.draw("zone") }, "Draw a zone");
    this.endDrawing = el("button", { type: "button", class: "primary", hidden: true, click: () => this.points.finish() }, "Done");
    this.stopDrawing = el("button", { type: "button", hidden: true, click: () => this.points.giveUp() }, "Stop drawing");
    this.saveButton = el("button", { type: "button", class: "primary", click: () => this.save() }, "Save");
    this.cancelButton = el("button", { type: "button", click: () => this.cancel() }, "Cancel");
    this.element = el(
      "section",
      { class: "panel rule-editor", "aria-labelledby": "editor-title", hidden: true },
      el("h2", { id: "editor-title", tabindex: -1 }, "Edit lines and zones"),
      el("p", { class: "actions" }, this.drawLine, this.drawZone, this.endDrawing, this.stopDrawing),
      this.said,
      this.empty,
      this.list,
      this.untracked,
      el("p", { class: "hint" }, "A line or zone that is changed counts from 0 again; the others go on."),
      this.fault,
      this.offer,
      el("p", { class: "actions" }, this.saveButton, this.cancelButton),
    );
  }

  /** Open again with what was not saved, if there is anything. */
  restore() {
    const kept = drafts.get(this.stream);
    if (kept) this.open(kept);
  }

  get isOpen() {
    return this.draft !== null;
  }

  close() {
    this.points.close();
    if (this.draft && !this.draft.changed) drafts.delete(this.stream);
  }

  async begin() {
    this.button.disabled = true;
    try {
      const [options, models] = await Promise.all([
        get(`/api/streams/${encodeURIComponent(this.stream)}`),
        // Without them, labels are typed.
        get("/api/models").catch(() => []),
      ]);
      this.warn("");
      this.open({ draft: new RuleDraft(options), labels: labelsOf(options, models) });
      this.element.querySelector("h2").focus({ preventScroll: true });
    } catch (error) {
      this.warn(`The lines and zones can't be read: ${error.message}`);
    } finally {
      this.button.disabled = false;
    }
  }

  open(kept) {
    drafts.set(this.stream, kept);
    this.draft = kept.draft;
    this.labels = kept.labels;
    /** Whether the user knows that saving replaces what others have changed. */
    this.warned = false;
    this.forms = new Map();
    this.element.hidden = false;
    this.button.hidden = true;
    this.clear();
    this.say("");
    this.points.show(this.draft);
    this.listAll();
    this.onChange(null);
  }

  end(saved) {
    drafts.delete(this.stream);
    this.draft = null;
    this.element.hidden = true;
    this.button.hidden = false;
    this.points.show(null);
    this.onChange(saved);
    this.button.focus({ preventScroll: true });
  }

  cancel() {
    this.end(null);
  }

  warn(text) {
    setText(this.trouble, text);
    this.trouble.hidden = !text;
  }

  say(text) {
    setText(this.said, text);
  }

  listAll() {
    const known = this.forms;
    this.forms = new Map();
    for (const rule of this.draft.rules) {
      const form = known.get(rule.key) ?? this.form(rule);
      this.forms.set(rule.key, form);
    }
    this.list.replaceChildren(...[...this.forms.values()].map((each) => each.element));
    this.empty.hidden = this.forms.size > 0;
    this.changed();
  }

  form(rule) {
    return new RuleForm(rule, this.labels, {
      set: (option, value) => {
        this.draft.set(rule, option, value);
        this.changed();
      },
      rename: (name) => {
        rule.name = name;
        this.forms.get(rule.key)?.show();
        this.points.draw();
        this.changed();
      },
      select: () => {
        const open = this.points.selected === rule;
        this.select(open ? null : rule);
      },
      remove: () => this.remove(rule),
      turn: () => {
        this.draft.turn(rule);
        this.points.draw();
        this.changed();
        this.say("Left and right are swapped.");
      },
      removePoint: () => this.points.removeLast(rule),
    });
  }

  /** Choose a rule in the list and on the picture; null for none. */
  select(rule) {
    for (const [key, form] of this.forms) form.open(key === rule?.key);
    this.points.select(rule);
  }

  changed() {
    this.untracked.hidden = this.draft.track || !this.draft.rules.length;
    this.offer.hidden = true;
  }

  remove(rule) {
    this.draft.remove(rule);
    this.select(null);
    this.listAll();
    this.say(`The ${called(rule)} is removed. Cancel brings it back.`);
    const [next] = this.forms.values();
    (next ? next.head : this.drawLine).focus({ preventScroll: true });
  }

  draw(kind) {
    this.clear();
    this.select(null);
    this.drawingNow(kind);
    this.points.begin(kind);
  }

  drawingNow(kind) {
    for (const each of [this.drawLine, this.drawZone]) each.hidden = kind !== null;
    this.endDrawing.hidden = kind !== "zone";
    this.stopDrawing.hidden = kind === null;
    this.saveButton.disabled = this.cancelButton.disabled = kind !== null;
  }

  drawn(kind, points) {
    this.drawingNow(null);
    if (!points) {
      this.say(`No ${kind} was added.`);
      (kind === "line" ? this.drawLine : this.drawZone).focus({ preventScroll: true });
      return;
    }
    const rule = this.draft.add(kind, points);
    this.listAll();
    this.select(rule);
    this.points.focus(rule);
    const sides = kind === "line" ? " The arrows show its left and right." : "";
    this.say(`The ${called(rule)} is added.${sides} Name it below; its points can be moved.`);
  }

  async save(stored = true) {
    this.clear();
    const faults = this.draft.faults();
    if (faults.size) {
      this.tellAll(faults);
      return;
    }
    const wanted = this.draft.wanted();
    if (!Object.keys(wanted).length) {
      this.end(null);
      return;
    }
    this.say("Saving …");
    this.saveButton.disabled = this.cancelButton.disabled = true;
    try {
      // A map of lines or zones is replaced as a whole.
      if (!this.warned && this.draft.replaces(await get(`/api/streams/${encodeURIComponent(this.stream)}`))) {
        this.warned = true;
        this.say("");
        this.tell("Lines or zones were changed elsewhere meanwhile. Save again to replace them, or cancel and begin again.");
        return;
      }
      const { stream, took_ms: took } = await change(this.stream, wanted, stored);
      const lasts = stream.persisted ? "" : " They last until the configuration is read again, as at a restart.";
      this.end({ stream, text: `Lines and zones are saved, in ${Math.round(took)} ms.${lasts}` });
    } catch (error) {
      this.say("");
      if (error instanceof Refusal) this.refused(error, wanted);
      else this.tell(error.message);
    } finally {
      this.saveButton.disabled = this.cancelButton.disabled = false;
    }
  }

  refused(refusal, wanted) {
    if (refusal.notStored) {
      this.offerForNow(refusal.message, wanted);
      return;
    }
    const faults = new Map();
    const others = [];
    for (const { path, message, file } of refusal.findings) {
      const rule = file ? undefined : this.draft.at(path);
      if (rule) faults.set(rule.key, [faults.get(rule.key), inWords(path, message)].filter(Boolean).join("; "));
      else others.push([file, path, message].filter(Boolean).join(": "));
    }
    if (faults.size) this.tellAll(faults);
    if (others.length || !refusal.findings.length) this.tell(others.join("; ") || refusal.message);
  }

  /** Explain why the stream's file is not changed, and offer to save without it. */
  offerForNow(why, wanted) {
    const lines = Object.entries(wanted).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
    this.offer.replaceChildren(
      el("p", {}, "Framelane can't store this in the stream's file, for example because the file is written by hand."),
      el("p", {}, "You can save it for now: it takes effect at once, and lasts until the files are read again, as at a restart."),
      el("details", {}, el("summary", {}, "Why, and what to write into the file"), el("p", { class: "hint" }, why), el("pre", {}, lines.join("\n"))),
      el("p", { class: "actions" }, el("button", { type: "button", class: "primary", click: () => this.save(false) }, "Save for now")),
    );
    this.offer.hidden = false;
    this.offer.querySelector("button").focus({ preventScroll: true });
  }

  /** Show each fault at its rule, and open the first of them. */
  tellAll(faults) {
    for (const [key, form] of this.forms) form.tell(faults.get(key) ?? "");
    const first = this.draft.rules.find((each) => faults.has(each.key));
    this.select(first);
    this.forms.get(first.key).name.focus();
  }

  tell(text) {
    setText(this.fault, text);
    this.fault.hidden = !text;
  }

  clear() {
    for (const form of this.forms.values()) form.tell("");
    this.tell("");
    this.offer.hidden = true;
  }
}

/** Return a finding about a rule. The daemon counts points from 0, the page from 1. */
function inWords(path, message) {
  const [, index] = /\.(?:points|polygon)\[(\d+)\]/.exec(path) ?? [];
  const text = message.startsWith("crosses itself")
    ? message.replace(/\[(\d+)\]/g, (_, each) => `point ${Number(each) + 1}`)
    : message;
  return index === undefined ? text : `point ${Number(index) + 1} ${text}`;
}

/** Return the labels that a stream can report; empty if they are unknown. */
function labelsOf(options, models) {
  if (options.classes) return options.classes;
  const used = [options.model].flat();
  return [...new Set(models.filter((each) => used.includes(each.name)).flatMap((each) => each.labels ?? []))];
}
