// One line or zone in the editor: its name, its classes, and how much it takes to cross, enter, leave and loiter.

import { ClassPicker } from "./class_picker.js";
import { el, setText } from "./dom.js";

/** Numbers of a line or zone: option, label, the daemon's default (empty for null), least value and step. */
const numbers = {
  line: [["min_boxes", "Counts after (boxes)", "1", 1, 1]],
  zone: [
    ["enter_s", "Enters after (s)", "0.3", 0, "any"],
    ["exit_s", "Leaves after (s)", "1", 0, "any"],
    ["loiter_s", "Loiters after (s)", "", 0, "any"],
  ],
};
const hints = {
  line: "An object has crossed once it was seen this often in a row on the other side. Try 2 if boxes jump.",
  zone: "An object has entered or left once it was inside or outside this long. Empty: never loiters.",
};

export class RuleForm {
  /**
   * @param {import("./rule_draft.js").Rule} rule
   * @param {string[]} labels
   * @param {Record<string, (...values: unknown[]) => void>} acts set, rename, select, remove and turn
   */
  constructor(rule, labels, acts) {
    this.rule = rule;
    const id = (name) => `${rule.key}-${name}`;
    this.head = el(
      "button",
      { type: "button", class: "rule-head", "aria-expanded": "false", "aria-controls": id("body"), click: () => acts.select() },
    );
    this.name = el("input", {
      type: "text",
      id: id("name"),
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      maxlength: 64,
      input: () => acts.rename(this.name.value.trim()),
    });
    this.name.value = rule.name;
    this.picker = new ClassPicker(id("classes"), "Empty: all classes of the stream.", () => acts.set("classes", this.picker.value));
    this.picker.suggest(labels);
    this.picker.value = rule.options.classes;
    this.fault = el("p", { class: "bad-text", id: id("fault"), role: "alert", hidden: true });
    const turn = el("button", { type: "button", click: () => acts.turn() }, "Swap left and right");
    this.body = el(
      "div",
      { class: "rule-body", id: id("body"), hidden: true },
      el("label", { for: id("name") }, "Name"),
      this.name,
      this.picker.element,
      ...this.numbers(id, acts),
      el(
        "p",
        { class: "actions" },
        rule.kind === "line" ? turn : null,
        el("button", { type: "button", click: () => acts.removePoint() }, "Remove point"),
        el("button", { type: "button", class: "danger", click: () => acts.remove() }, `Remove ${rule.kind}`),
      ),
    );
    this.element = el("li", { class: `rule ${rule.kind}` }, this.head, this.fault, this.body);
    this.show();
  }

  numbers(id, acts) {
    const { kind, options } = this.rule;
    const fields = numbers[kind].map(([option, label, usual, least, step]) => {
      const input = el("input", {
        type: "number",
        id: id(option),
        min: least,
        step,
        inputmode: "decimal",
        placeholder: usual || "never",
        input: () => acts.set(option, numberOf(input.value, usual ? Number(usual) : null)),
      });
      input.value = options[option] ?? "";
      return el("div", {}, el("label", { for: id(option) }, label), input);
    });
    return [el("div", { class: "rule-numbers" }, ...fields), el("p", { class: "hint" }, hints[kind])];
  }

  /** Show the rule's name and what it has by now. */
  show() {
    this.head.replaceChildren(
      el("span", { class: "swatch" }),
      el("span", { class: "rule-title" }, this.rule.name || "no name"),
      el("span", { class: "kind" }, ` ${this.rule.kind}`),
    );
  }

  open(open) {
    this.body.hidden = !open;
    this.head.setAttribute("aria-expanded", String(open));
    this.element.classList.toggle("chosen", open);
  }

  /** Show what is wrong with it; empty for nothing. */
  tell(text) {
    setText(this.fault, text);
    this.fault.hidden = !text;
    this.element.classList.toggle("faulty", Boolean(text));
    for (const each of [this.head, this.name]) {
      if (text) each.setAttribute("aria-describedby", this.fault.id);
      else each.removeAttribute("aria-describedby");
    }
  }
}

/** Return a field's number; if it is empty, the value that stands for it. */
const numberOf = (text, empty) => (text.trim() === "" ? empty : Number(text));
