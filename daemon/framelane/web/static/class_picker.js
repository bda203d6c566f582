// Chooses labels: those chosen as buttons that remove them, and a field that suggests the others.

import { el } from "./dom.js";

export class ClassPicker {
  /**
   * @param {string} id of the field
   * @param {string} hint what an empty list means
   * @param {() => void} [onChange]
   */
  constructor(id, hint, onChange = () => {}) {
    this.onChange = onChange;
    this.chosen = [];
    this.known = [];
    this.list = el("ul", { class: "chips", "aria-label": "Chosen classes" });
    this.suggestions = el("datalist", { id: `${id}-known` });
    this.input = el("input", {
      type: "text",
      id,
      list: `${id}-known`,
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      "aria-describedby": `${id}-hint`,
      keydown: (event) => this.key(event),
      input: (event) => this.typed(event),
      change: () => this.take(),
    });
    this.element = el(
      "div",
      { class: "picker" },
      el("label", { for: id }, "Classes"),
      this.list,
      this.input,
      this.suggestions,
      el("p", { class: "hint", id: `${id}-hint` }, hint),
    );
  }

  /** The chosen labels, with what is typed; null if there are none. */
  get value() {
    const all = [...new Set([...this.chosen, ...this.parts()])];
    return all.length ? all : null;
  }

  set value(labels) {
    this.chosen = [...(labels ?? [])];
    this.input.value = "";
    this.draw();
  }

  /** Suggest these labels. */
  suggest(labels) {
    this.known = labels;
    this.draw();
  }

  key(event) {
    if (event.key === "Enter" && this.input.value.trim()) {
      event.preventDefault();
      this.take();
    } else if (event.key === "Backspace" && !this.input.value && this.chosen.length) {
      this.drop(this.chosen.at(-1));
    }
  }

  /** A comma ends a label, and so does the choice of a suggestion. */
  typed(event) {
    if (this.input.value.endsWith(",") || event.inputType === "insertReplacementText") this.take();
  }

  parts() {
    return this.input.value.split(",").map((each) => each.trim()).filter(Boolean);
  }

  take() {
    const parts = this.parts();
    if (!parts.length) return;
    this.chosen = [...new Set([...this.chosen, ...parts])];
    this.input.value = "";
    this.draw();
    this.onChange();
  }

  drop(label) {
    this.chosen = this.chosen.filter((each) => each !== label);
    this.draw();
    this.input.focus();
    this.onChange();
  }

  draw() {
    this.list.hidden = !this.chosen.length;
    this.list.replaceChildren(
      ...this.chosen.map((label) =>
        el(
          "li",
          {},
          el("button", { type: "button", class: "chip", "aria-label": `Remove ${label}`, click: () => this.drop(label) }, label),
        ),
      ),
    );
    const left = this.known.filter((label) => !this.chosen.includes(label));
    this.suggestions.replaceChildren(...left.map((label) => el("option", { value: label })));
  }
}
