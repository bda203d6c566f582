// A small plot of figures over the last minutes.

import { el, setText, svg } from "./dom.js";
import { timeOfDay } from "./format.js";

const width = 600;
const height = 120;
const spanSeconds = 900;

export class Plot {
  /**
   * @param {string} title
   * @param {string} unit
   * @param {Array<[string, string]>} lines key and name of each line
   */
  constructor(title, unit, lines) {
    this.unit = unit;
    this.curves = svg("g");
    this.keys = el("span", { class: "keys" });
    this.image = svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "plot-image", "aria-hidden": "true" },
      ...[0.25, 0.5, 0.75].map((share) =>
        svg("line", { class: "grid", x1: 0, x2: width, y1: height * share, y2: height * share }),
      ),
      this.curves,
    );
    this.top = el("span", { class: "plot-top" });
    this.from = el("span", {});
    this.said = el("p", { class: "plot-said" });
    this.element = el(
      "figure",
      { class: "plot" },
      el(
        "figcaption",
        {},
        el("strong", {}, title),
        this.keys,
      ),
      el("div", { class: "plot-frame" }, this.top, this.image),
      el("div", { class: "plot-times" }, this.from, el("span", {}, "now")),
      this.said,
    );
    this.draw(lines);
  }

  /** Draw these lines from now on; see the constructor. */
  draw(lines) {
    this.lines = lines;
    this.paths = lines.map((_, index) => svg("path", { class: `line line-${index}`, fill: "none" }));
    this.curves.replaceChildren(...this.paths);
    this.keys.replaceChildren(...lines.map(([, name], index) => el("span", { class: `key key-${index}` }, name)));
  }

  /** Draw samples, the oldest first. */
  update(samples) {
    const end = samples.at(-1)?.at ?? 0;
    const values = samples.flatMap((each) => this.lines.map(([key]) => each[key] ?? 0));
    const top = nice(Math.max(...values, 0));
    this.lines.forEach(([key], index) => {
      let path = "";
      for (const sample of samples) {
        const value = sample[key];
        if (value === null) continue;
        const x = width * (1 - (end - sample.at) / spanSeconds);
        path += `${path ? "L" : "M"}${x.toFixed(1)} ${(height * (1 - value / top)).toFixed(1)}`;
      }
      this.paths[index].setAttribute("d", path);
    });
    setText(this.top, samples.length ? `${top} ${this.unit}` : "");
    setText(this.from, end ? timeOfDay(end - spanSeconds) : "");
    const last = samples.at(-1);
    setText(this.said, this.say(last));
  }

  /** Return the newest figures in words. */
  say(last) {
    if (!last) return "No figures yet.";
    const said = this.lines.map(([key, name]) => `${name} ${last[key]?.toFixed(1) ?? "–"}`);
    return `${said.join(", ")} ${this.unit}`;
  }
}

/** Return a round number of at least this value. */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value) ?? value;
}
