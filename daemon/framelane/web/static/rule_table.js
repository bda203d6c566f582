// The lines and zones of a stream as a table: what they count, by label.

import { el, headings } from "./dom.js";
import { countText, crossings, inside } from "./rules.js";

export class RuleTable {
  constructor() {
    this.shown = "";
    this.body = el("tbody");
    this.element = el(
      "section",
      { class: "panel", "aria-labelledby": "rules-title", hidden: true },
      el("h2", { id: "rules-title" }, "Lines and zones"),
      el("table", { class: "rule-table" }, headings("Name", "Count", "Of"), this.body),
    );
  }

  /** @param {import("./rules.js").Rules|null} rules null if the stream has none */
  show(rules) {
    const text = JSON.stringify(rules);
    if (text === this.shown) return;
    this.shown = text;
    this.element.hidden = rules === null;
    if (rules === null) return;
    this.body.replaceChildren(
      ...Object.entries(rules.lines).map(([name, line]) => {
        const count = `${countText(crossings(line, "left"))} left, ${countText(crossings(line, "right"))} right`;
        return row(name, "line", line.known, count, (each) => `${each.label} ${each.left}, ${each.right}`, line.counts);
      }),
      ...Object.entries(rules.zones).map(([name, zone]) =>
        row(name, "zone", zone.known, `${countText(inside(zone))} inside`, (each) => `${each.label} ${each.count}`, zone.counts),
      ),
    );
  }
}

function row(name, kind, known, count, text, counts) {
  return el(
    "tr",
    { class: known ? "" : "unknown" },
    el("th", { scope: "row" }, name, el("span", { class: "kind" }, ` ${kind}`)),
    el("td", {}, count),
    el("td", {}, known ? counts.map(text).join("; ") : "not known now"),
  );
}
