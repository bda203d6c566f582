// Asks for the token.

import { keepToken } from "./api.js";
import { el } from "./dom.js";

export class Login {
  /** @param {import("./app.js").App} app */
  constructor(app, why) {
    this.input = el("input", {
      type: "password",
      id: "token",
      required: true,
      autocomplete: "current-password",
      spellcheck: "false",
    });
    this.keep = el("input", { type: "checkbox", id: "keep" });
    this.element = el(
      "form",
      {
        class: "panel login",
        submit: (event) => {
          event.preventDefault();
          keepToken(this.input.value.trim(), this.keep.checked);
          app.begin();
        },
      },
      el("h1", {}, "Token needed"),
      el("p", {}, "Enter the token of this node, as set by http.token or http.token_file."),
      el("label", { for: "token" }, "Token"),
      this.input,
      el("p", { class: "check" }, this.keep, el("label", { for: "keep" }, "Keep it on this device")),
      el("p", { class: "bad-text", role: "alert" }, why),
      el("p", { class: "actions" }, el("button", { type: "submit", class: "primary" }, "Show the cameras")),
    );
  }

  update() {}

  close() {}

  focus() {
    this.input.focus();
  }
}
