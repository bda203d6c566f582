// One stream: a large picture, what is found, figures over time, and its options.

import { change, get } from "./api.js";
import { el, headings, setText, terms } from "./dom.js";
import { ago, milliseconds, percent, rate, timeOfDay, total } from "./format.js";
import { ObjectPlot } from "./object_plot.js";
import { colorOf } from "./overlay.js";
import { codecOf } from "./players.js";
import { Plot } from "./plot.js";
import { RuleEditor } from "./rule_editor.js";
import { RuleTable } from "./rule_table.js";
import { RuleCounts, unknown } from "./rules.js";
import { Stage } from "./stage.js";
import { stateText, tone } from "./states.js";

const historyEvery = 10000;
const listEvery = 500;

export class StreamView {
  /**
   * @param {import("./app.js").App} app
   * @param {string} stream
   */
  constructor(app, stream) {
    this.app = app;
    this.stream = stream;
    this.listedAt = 0;
    this.rules = null;
    this.preview = null;
    this.stage = new Stage(
      app.socket,
      stream,
      "large",
      (shown) => this.shown(shown),
      (state) => {
        this.preview = state;
      },
    );
    this.state = el("span", { class: "state" });
    this.text = el("p", { class: "reason-text", role: "status" });
    this.facts = el("dl", { class: "facts" });
    this.found = el("tbody");
    this.plots = [
      new Plot("Frames", "per s", [
        ["fps_in", "received"],
        ["fps_inferred", "inferred"],
      ]),
      new Plot("Latency", "ms", [
        ["p50_ms", "median"],
        ["p95_ms", "p95"],
      ]),
      new Plot("Dropped", "per s", [["dropped_per_s", "dropped"]]),
    ];
    this.objects = new ObjectPlot();
    this.ruleTable = new RuleTable();
    this.editor = new RuleEditor(stream, this.stage, (saved) => this.edited(saved));
    this.changes = el("ol", { class: "changes" });
    this.options = new Options(stream);
    this.saved = el("p", { class: "hint", role: "status" });
    this.element = el(
      "article",
      { class: "stream" },
      el("header", { class: "stream-head" }, el("h1", {}, stream), this.state),
      this.text,
      el(
        "div",
        { class: "stream-grid" },
        el(
          "div",
          { class: "stream-main" },
          this.stage.element,
          el(
            "p",
            { class: "actions" },
            el("button", { type: "button", click: () => this.save() }, "Save this picture"),
            this.editor.button,
            el("a", { href: `#/events/${new URLSearchParams({ stream })}` }, "Events of this camera"),
            this.saved,
          ),
          this.editor.trouble,
        ),
        el(
          "div",
          { class: "stream-side" },
          this.editor.element,
          el(
            "section",
            { class: "panel", "aria-labelledby": "found-title" },
            el("h2", { id: "found-title" }, "In the picture"),
            el("table", { class: "found" }, headings("Label", "Count", "Best"), this.found),
            this.facts,
          ),
          this.ruleTable.element,
        ),
      ),
      el("section", { class: "plots", "aria-label": "Last 15 minutes" }, this.objects.element, ...this.plots.map((plot) => plot.element)),
      el(
        "div",
        { class: "stream-grid" },
        this.options.element,
        el(
          "section",
          { class: "panel", "aria-labelledby": "changes-title" },
          el("h2", { id: "changes-title" }, "Changes of state"),
          this.changes,
        ),
      ),
    );
    this.counts = new RuleCounts((streams) => this.count(streams));
    this.timer = setInterval(() => this.load(), historyEvery);
    this.load();
    this.options.load();
    this.editor.restore();
  }

  update(status) {
    const stream = status.streams.find((each) => each.id === this.stream);
    if (!stream) {
      this.state.className = "state off";
      setText(this.state, "unknown");
      setText(this.text, "There is no such stream.");
      this.stage.show("none", null);
      return;
    }
    this.state.className = `state ${tone(stream.state, stream.reason)}`;
    setText(this.state, stateText(stream.state, stream.reason));
    setText(this.text, stream.text);
    this.showFacts(stream);
    this.stage.show("video", codecOf(stream));
  }

  close() {
    clearInterval(this.timer);
    this.counts.close();
    this.editor.close();
    this.stage.close();
  }

  /** Show lines and zones either as they are in effect or as they are edited. */
  edited(saved) {
    this.stage.layer.show(this.editor.isOpen ? null : this.rules);
    if (!saved) return;
    setText(this.saved, saved.text);
    this.options.show(saved.stream);
    this.counts.ask();
  }

  /** Show what lines and zones count; what was known last is unknown while the daemon does not answer. */
  count(streams) {
    if (streams) this.rules = streams[this.stream] ?? null;
    else this.rules = unknown(this.rules);
    if (!this.editor.isOpen) this.stage.layer.show(this.rules);
    this.ruleTable.show(this.rules);
  }

  showFacts(stream) {
    const { figures } = stream;
    const size = stream.width ? `${stream.width} × ${stream.height}` : "–";
    const facts = [
      ["In this state for", ago(Date.parse(stream.since))],
      ["Video", [stream.codec, size, stream.fps && `${rate(stream.fps)} fps`].filter(Boolean).join(", ")],
      ...(stream.preview ? [["Preview", previewText(this.preview)]] : []),
      ["Decoder", stream.decoder ?? "–"],
      ["Clock", stream.clock ?? "–"],
      ["Received", `${rate(figures?.fps_in)} per s`],
      ["Inferred", `${rate(figures?.fps_inferred)} per s`],
      ["Dropped", figures ? `${total(figures.dropped)} in ${Math.round(figures.window_s)} s${reasons(figures.dropped)}` : "–"],
      ["Latency p95", milliseconds(figures?.latency_ms?.p95)],
      ["Reconnects", String(stream.reconnects)],
    ];
    this.facts.replaceChildren(...terms(facts));
  }

  /** List what is found, a few times per second. */
  shown({ found }) {
    const now = performance.now();
    if (now - this.listedAt < listEvery) return;
    this.listedAt = now;
    const labels = new Map();
    for (const box of found.flatMap((each) => each.boxes)) {
      const [count, best] = labels.get(box[5]) ?? [0, 0];
      labels.set(box[5], [count + 1, Math.max(best, box[4])]);
    }
    const rows = [...labels].sort().map(([label, [count, best]]) => {
      const swatch = el("span", { class: "swatch" });
      swatch.style.backgroundColor = colorOf(label);
      return el("tr", {}, el("th", { scope: "row" }, swatch, label), el("td", {}, count), el("td", {}, percent(best)));
    });
    if (!rows.length) rows.push(el("tr", {}, el("td", { colspan: 3, class: "hint" }, "nothing")));
    this.found.replaceChildren(...rows);
  }

  async load() {
    try {
      const history = await get(`/api/streams/${encodeURIComponent(this.stream)}/history`);
      for (const plot of this.plots) plot.update(history.samples);
      this.objects.show(history);
      const changes = history.changes.reverse().map((each) =>
        el(
          "li",
          {},
          el("time", { datetime: new Date(each.at * 1000).toISOString() }, timeOfDay(each.at)),
          " ",
          el("span", { class: `state ${tone(each.state, each.reason)}` }, stateText(each.state, each.reason)),
          " ",
          each.text,
        ),
      );
      this.changes.replaceChildren(...changes);
    } catch (error) {
      this.app.failed(error);
    }
  }

  save() {
    const picture = this.stage.picture();
    if (!picture) {
      setText(this.saved, "There is no picture yet.");
      return;
    }
    picture.toBlob((blob) => {
      const url = URL.createObjectURL(blob);
      const time = new Date().toISOString().replaceAll(":", "-").slice(0, 19);
      el("a", { href: url, download: `${this.stream}-${time}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
      setText(this.saved, "Saved.");
    });
  }
}

/** Return the state of a sub-stream in words. */
function previewText(state) {
  if (!state) return "not shown";
  return state.state === "down" ? `${stateText(state.state, state.reason)} (${state.text})` : state.state;
}

function reasons(dropped) {
  const some = Object.entries(dropped).filter(([, count]) => count);
  return some.length ? ` (${some.map(([reason, count]) => `${reason} ${count}`).join(", ")})` : "";
}

/** Return how long a stream's options last, if that is not forever. */
function lasting({ source, persisted }) {
  if (source === "http") return "This stream is in no file: it is gone after a restart. With “streams_dir” it would be kept.";
  return persisted === false ? "Its file has other options, which come back when it is read again, as at a restart." : "";
}

/** The stream's options, some of which can be changed. */
class Options {
  constructor(stream) {
    this.stream = stream;
    this.confidence = el("input", { type: "number", id: "confidence", min: 0, max: 1, step: 0.01, inputmode: "decimal" });
    this.classes = el("input", { type: "text", id: "classes", autocomplete: "off", spellcheck: "false" });
    this.pause = el("button", { type: "button", click: () => this.toggle() }, "Pause");
    this.said = el("p", { class: "hint", role: "status" });
    this.kept = el("p", { class: "hint" });
    this.all = el("dl", { class: "facts" });
    this.form = el(
      "form",
      { submit: (event) => this.submit(event), hidden: true },
      el("label", { for: "confidence" }, "Lowest confidence, 0 to 1"),
      this.confidence,
      el("p", { class: "hint", id: "confidence-hint" }, "Empty: the model's own, or one per class as configured."),
      el("label", { for: "classes" }, "Classes, separated by commas"),
      this.classes,
      el("p", { class: "hint", id: "classes-hint" }, "Empty: all."),
      el("p", { class: "actions" }, el("button", { type: "submit", class: "primary" }, "Apply"), this.pause),
    );
    this.confidence.setAttribute("aria-describedby", "confidence-hint");
    this.classes.setAttribute("aria-describedby", "classes-hint");
    this.element = el(
      "section",
      { class: "panel", "aria-labelledby": "options-title" },
      el("h2", { id: "options-title" }, "Options"),
      this.form,
      this.said,
      this.kept,
      el("details", {}, el("summary", {}, "All options"), this.all),
    );
  }

  async load() {
    try {
      this.show(await get(`/api/streams/${encodeURIComponent(this.stream)}`));
    } catch (error) {
      setText(this.said, error.message);
    }
  }

  show(options) {
    this.form.hidden = false;
    this.perClass = options.confidence !== null && typeof options.confidence === "object";
    this.confidence.value = typeof options.confidence === "number" ? options.confidence : "";
    this.classes.value = (options.classes ?? []).join(", ");
    this.enabled = options.enabled;
    setText(this.pause, options.enabled ? "Pause" : "Resume");
    setText(this.kept, lasting(options));
    const texts = Object.entries(options).map(([name, value]) => [
      name,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
    this.all.replaceChildren(...terms(texts));
  }

  submit(event) {
    event.preventDefault();
    const classes = this.classes.value.split(",").map((each) => each.trim()).filter(Boolean);
    const wanted = { classes: classes.length ? classes : null };
    // Thresholds per class are edited in the configuration; an empty field leaves them as they are.
    if (this.confidence.value !== "") wanted.confidence = Number(this.confidence.value);
    else if (!this.perClass) wanted.confidence = null;
    this.apply(wanted);
  }

  toggle() {
    this.apply({ enabled: !this.enabled });
  }

  async apply(wanted) {
    setText(this.said, "Applying …");
    try {
      const outcome = await change(this.stream, wanted);
      if (outcome.stream) this.show(outcome.stream);
      setText(this.said, `Applied in ${Math.round(outcome.took_ms)} ms.`);
    } catch (error) {
      setText(this.said, error.message);
    }
  }
}
