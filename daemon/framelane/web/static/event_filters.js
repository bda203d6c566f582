// Filters of the events view: what they are, in the page's address and in requests.

import { get } from "./api.js";
import { el } from "./dom.js";
import { kindNames } from "./event_item.js";

// What most people do not look for: an object that is still there.
const quiet = ["update", "clip"];
const usual = Object.keys(kindNames).filter((kind) => !quiet.includes(kind));
const names = ["stream", "kind", "rule", "label", "since", "until"];
const wideFrom = 760;

export class EventFilters {
  /**
   * @param {string} query as in the page's address; since and until in RFC 3339
   * @param {() => void} onChange
   */
  constructor(query, onChange) {
    this.onChange = onChange;
    this.known = { stream: new Set(), rule: new Set(), label: new Set() };
    const wanted = new URLSearchParams(query);
    const changed = () => this.changed();
    this.fields = {
      stream: el("select", { id: "events-stream", change: changed }),
      kind: el("select", { id: "events-kind", change: changed }),
      rule: el("select", { id: "events-rule", change: changed }),
      label: el("select", { id: "events-label", change: changed }),
      since: el("input", { type: "datetime-local", id: "events-since", step: 1, change: changed }),
      until: el("input", { type: "datetime-local", id: "events-until", step: 1, change: changed }),
    };
    for (const name of Object.keys(this.known)) this.fill(name, wanted.get(name) ?? "");
    const kinds = [["", "all but updates"], ["all", "all"], ...Object.entries(kindNames)];
    this.fields.kind.append(...kinds.map(([value, text]) => el("option", { value }, text)));
    this.fields.kind.value = wanted.get("kind") ?? "";
    if (this.fields.kind.selectedIndex < 0) this.fields.kind.value = "";
    for (const name of ["since", "until"]) this.fields[name].value = local(wanted.get(name));
    this.summary = el("summary", {});
    this.clearButton = el("button", { type: "button", click: () => this.reset() }, "Clear");
    this.element = el(
      "details",
      { class: "panel events-filters", open: window.innerWidth >= wideFrom },
      this.summary,
      el(
        "form",
        { class: "events-fields", submit: (event) => event.preventDefault() },
        this.field("stream", "Camera"),
        this.field("kind", "What"),
        this.field("rule", "Line or zone"),
        this.field("label", "Label"),
        this.field("since", "From"),
        this.field("until", "Until"),
        el("p", { class: "events-clear" }, this.clearButton),
      ),
    );
    this.tell();
    this.learnRules();
  }

  /** How many filters are set. */
  get count() {
    return names.filter((name) => this.fields[name].value).length;
  }

  /** The address of the page with these filters. */
  get address() {
    const chosen = names.filter((name) => this.fields[name].value).map((name) => [name, this.value(name)]);
    return `#/events${chosen.length ? `/${new URLSearchParams(chosen)}` : ""}`;
  }

  /** Return the query of a request for a page. News of clips come too: they tell that an event has one. */
  query(cursor, limit) {
    const { kind } = this.fields;
    const kinds = kind.value === "all" ? [] : kind.value ? [kind.value, "clip"] : [...usual, "clip"];
    const chosen = names.filter((name) => name !== "kind" && this.fields[name].value);
    return new URLSearchParams([
      ["limit", limit],
      ...(cursor ? [["cursor", cursor]] : []),
      ...[...new Set(kinds)].map((each) => ["kind", each]),
      ...chosen.map((name) => [name, this.value(name)]),
    ]);
  }

  /** Return whether events of this kind are listed. */
  wants(kind) {
    const { value } = this.fields.kind;
    return value === "all" || value === kind;
  }

  /** Offer these streams. */
  knowStreams(streams) {
    this.learn("stream", streams);
  }

  /** Offer what an event has. */
  know(event) {
    this.learn("stream", [event.stream]);
    this.learn("label", [event.object.label]);
    if (event.rule !== null) this.learn("rule", [event.rule]);
  }

  reset() {
    for (const name of names) this.fields[name].value = "";
    this.changed();
  }

  close() {
    this.onChange = () => {};
  }

  field(name, text) {
    const field = this.fields[name];
    return el("p", {}, el("label", { for: field.id }, text), field);
  }

  /** Return a filter as the daemon reads it. */
  value(name) {
    const { value } = this.fields[name];
    return name === "since" || name === "until" ? new Date(value).toISOString() : value;
  }

  changed() {
    this.tell();
    this.onChange();
  }

  tell() {
    this.summary.textContent = this.count ? `Filters: ${this.count}` : "Filters";
    this.clearButton.hidden = this.count === 0;
  }

  /** Offer the lines and zones of all streams. */
  async learnRules() {
    const reply = await get("/api/rules").catch(() => null);
    for (const { lines, zones } of Object.values(reply?.streams ?? {})) {
      this.learn("rule", [...Object.keys(lines), ...Object.keys(zones)]);
    }
  }

  learn(name, values) {
    const known = this.known[name];
    const before = known.size;
    for (const each of values) known.add(each);
    if (known.size > before) this.fill(name, this.fields[name].value);
  }

  fill(name, chosen) {
    const known = this.known[name];
    if (chosen) known.add(chosen);
    const options = [...known].sort((first, second) => first.localeCompare(second));
    const select = this.fields[name];
    select.replaceChildren(el("option", { value: "" }, "all"), ...options.map((value) => el("option", { value }, value)));
    select.value = chosen;
  }
}

/** Return a time in RFC 3339 as a field shows it; empty if it is none. */
function local(text) {
  const at = new Date(text ?? "");
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}
