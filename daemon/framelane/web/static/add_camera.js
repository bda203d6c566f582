// Adds a camera: its address, what is in it, its name, model and classes.

import { Refusal, TokenError, add, get, probe } from "./api.js";
import { suggestedName } from "./camera_name.js";
import { ClassPicker } from "./class_picker.js";
import { el, setText, terms } from "./dom.js";
import { rate } from "./format.js";

const every = 1000;

export class AddCamera {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    /** The view is kept while the page is hidden: it watches nothing, and holds what has been entered. */
    this.stays = true;
    this.taken = new Set();
    this.models = [];
    this.running = null;
    this.picture = null;
    this.url = el("input", {
      type: "text",
      id: "camera-url",
      required: true,
      autocomplete: "off",
      autocapitalize: "none",
      inputmode: "url",
      spellcheck: "false",
      placeholder: "rtsp://192.168.1.64/stream1",
      "aria-describedby": "camera-url-hint camera-url-fault",
      input: () => this.stale(),
    });
    this.user = this.field("text", "camera-user", { input: () => this.stale() });
    this.password = this.field("password", "camera-password", { input: () => this.stale(), autocomplete: "new-password" });
    this.transport = el(
      "select",
      { id: "camera-transport", change: () => this.stale() },
      el("option", { value: "tcp" }, "TCP"),
      el("option", { value: "udp" }, "UDP"),
    );
    this.preview = el("button", { type: "submit", class: "primary" }, "Preview");
    this.stop = el("button", { type: "button", hidden: true, click: () => this.running?.abort() }, "Stop");
    this.waiting = el("p", { class: "hint", role: "status" });
    this.result = el("section", { class: "panel", "aria-labelledby": "camera-result", hidden: true });
    this.name = this.field("text", "camera-name", { required: true, maxlength: 64, input: () => (this.named = true) });
    this.named = false;
    this.model = el("select", { id: "camera-model", change: () => this.suggest() });
    this.modelField = el("div", { hidden: true }, el("label", { for: "camera-model" }, "Model"), this.model);
    this.picker = new ClassPicker("camera-classes", "Empty: all that the model knows.");
    this.faults = Object.fromEntries(
      ["url", "id", "model", "classes", ""].map((key) => [
        key,
        el("p", { class: "bad-text", id: key ? `camera-${key}-fault` : null, role: "alert", hidden: true }),
      ]),
    );
    this.name.setAttribute("aria-describedby", "camera-name-hint camera-id-fault");
    this.addButton = el("button", { type: "submit", class: "primary" }, "Add camera");
    this.offer = el("div", { class: "offer", hidden: true });
    this.source = this.sourceForm();
    this.details = this.detailsForm();
    this.element = el(
      "article",
      { class: "add-camera" },
      el("h1", {}, "Add a camera"),
      this.source,
      this.result,
      this.details,
    );
    this.load();
  }

  field(type, id, more) {
    const plainText = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
    return el("input", { type, id, ...plainText, ...more });
  }

  sourceForm() {
    return el(
      "form",
      { class: "panel", submit: (event) => this.submitted(event, () => this.probe()) },
      el("label", { for: "camera-url" }, "Address"),
      this.url,
      el("p", { class: "hint", id: "camera-url-hint" }, "An rtsp:// or http:// address; the camera's manual or its web page has it."),
      this.faults.url,
      el(
        "div",
        { class: "side-by-side" },
        el("div", {}, el("label", { for: "camera-user" }, "User, if it needs one"), this.user),
        el("div", {}, el("label", { for: "camera-password" }, "Password"), this.password),
        el("div", {}, el("label", { for: "camera-transport" }, "RTSP over"), this.transport),
      ),
      el("p", { class: "actions" }, this.preview, this.stop, this.waiting),
    );
  }

  detailsForm() {
    return el(
      "form",
      { class: "panel", hidden: true, "aria-label": "Name, model and classes", submit: (event) => this.submitted(event, () => this.save()) },
      el("label", { for: "camera-name" }, "Name"),
      this.name,
      el("p", { class: "hint", id: "camera-name-hint" }, "It is part of topics and messages, and can't be changed later."),
      this.faults.id,
      this.modelField,
      this.faults.model,
      this.picker.element,
      this.faults.classes,
      this.faults[""],
      this.offer,
      el("p", { class: "actions" }, this.addButton, el("a", { href: "#/" }, "Cancel")),
    );
  }

  submitted(event, act) {
    event.preventDefault();
    act();
  }

  update(status) {
    this.taken = new Set(status.streams.map((each) => each.id));
  }

  focus() {
    this.url.focus();
  }

  close() {
    this.running?.abort();
    this.forgetPicture();
    this.password.value = this.url.value = "";
  }

  async load() {
    try {
      this.models = await get("/api/models");
    } catch {
      // The daemon chooses the model, and labels are typed.
      return;
    }
    this.model.replaceChildren(...this.models.map((each) => el("option", { value: each.name }, each.name)));
    this.modelField.hidden = this.models.length < 2;
    this.suggest();
  }

  /** Suggest the labels of the chosen model. */
  suggest() {
    this.picker.suggest(this.models.find((each) => each.name === this.model.value)?.labels ?? []);
  }

  /** The address has changed: what was found belongs to another one. */
  stale() {
    this.running?.abort();
    this.result.hidden = true;
    this.tell({});
  }

  /** Return the options that say where the camera is. */
  place() {
    const url = withLogin(this.url.value.trim(), this.user.value, this.password.value);
    return this.transport.value === "udp" && /^rtsps?:/i.test(url) ? { url, transport: "udp" } : { url };
  }

  async probe() {
    this.tell({});
    this.result.hidden = true;
    this.running?.abort();
    const run = new AbortController();
    this.running = run;
    this.preview.disabled = true;
    this.stop.hidden = false;
    const began = performance.now();
    const tick = () => setText(this.waiting, `Opening the camera … ${Math.round((performance.now() - began) / 1000)} s`);
    tick();
    const timer = setInterval(tick, every);
    try {
      const found = await probe(this.place(), run.signal);
      setText(this.waiting, "");
      this.show(found);
    } catch (error) {
      setText(this.waiting, run.signal.aborted ? "Stopped." : "");
      if (!run.signal.aborted) this.failed(error);
    } finally {
      clearInterval(timer);
      if (this.running === run) {
        this.running = null;
        this.preview.disabled = false;
        this.stop.hidden = true;
      }
    }
  }

  /** Show what is in the camera, or why it can't be read; either way it can be added. */
  show(found) {
    this.forgetPicture();
    const { video } = found;
    const heading = el("h2", { id: "camera-result", tabindex: -1 }, video ? "Preview" : "The camera can't be read");
    this.result.replaceChildren(heading, ...(video ? this.sight(found) : this.trouble(found)));
    this.result.hidden = false;
    this.details.hidden = false;
    if (!this.named) this.name.value = suggestedName(this.url.value.trim(), this.taken);
    setText(this.addButton, video ? "Add camera" : "Add it anyway");
    heading.focus({ preventScroll: true });
    this.result.scrollIntoView({ block: "nearest" });
  }

  sight({ video, image }) {
    const declared = video.declared_fps ? `, ${rate(video.declared_fps)} declared` : "";
    const facts = [
      ["Video", `${video.codec}, ${video.width} × ${video.height}`],
      ["Frames per second", video.measured_fps ? `${rate(video.measured_fps)} measured${declared}` : `not known yet${declared}`],
      ["First frame after", `${video.first_frame_s.toFixed(1)} s`],
      ["Clock", video.clock],
      ["Read by", video.reader],
    ];
    if (video.undecodable) facts.push(["Not decodable", `${video.undecodable} frames`]);
    const hints = video.hints.map((each) => el("li", {}, each));
    return [
      image && this.image(image),
      el("dl", { class: "facts" }, ...terms(facts)),
      hints.length ? el("ul", { class: "hints" }, ...hints) : null,
    ].filter(Boolean);
  }

  image(encoded) {
    const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
    this.picture = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    return el("img", { class: "first-frame", src: this.picture, alt: "The first frame of the camera" });
  }

  trouble({ reason, text, remedy }) {
    return [
      el("p", { class: "bad-text" }, `${reason}: ${text}`),
      remedy ? el("p", {}, `Check: ${remedy}.`) : null,
      el("p", { class: "hint" }, "Correct the address and try again. If the camera is off now, add it anyway: Framelane keeps trying."),
    ].filter(Boolean);
  }

  forgetPicture() {
    if (this.picture) URL.revokeObjectURL(this.picture);
    this.picture = null;
  }

  async save(stored = true) {
    this.tell({});
    this.addButton.disabled = true;
    const id = this.name.value.trim();
    const classes = this.picker.value;
    const options = {
      id,
      ...this.place(),
      ...(this.modelField.hidden ? {} : { model: this.model.value }),
      ...(classes ? { classes } : {}),
    };
    try {
      await add(options, stored);
      // The stream's page shows what the status says, which is asked for every two seconds.
      this.app.status = await get("/api/status");
      location.hash = `#/stream/${encodeURIComponent(id)}`;
    } catch (error) {
      this.failed(error);
    } finally {
      this.addButton.disabled = false;
    }
  }

  failed(error) {
    if (error instanceof TokenError) this.app.failed(error);
    else if (!(error instanceof Refusal)) this.tell({ "": `The daemon does not answer: ${error.message}` });
    else if (error.notStored) this.offerForNow(error.message);
    else if (error.findings.length) this.tellFindings(error.findings);
    else if (error.status === 409 && !this.details.hidden) this.tell({ id: error.message });
    else this.tell({ "": error.message });
  }

  tellFindings(findings) {
    const texts = {};
    for (const { path, message, file } of findings) {
      const [, key] = /^([\w-]+)/.exec(path) ?? [];
      const own = !file && key && Object.hasOwn(this.faults, key) ? key : "";
      const text = own ? message : [file, path, message].filter(Boolean).join(": ");
      texts[own] = [texts[own], text].filter(Boolean).join("; ");
    }
    this.tell(texts);
  }

  /** Show what is wrong, by field; `""` for what belongs to none. */
  tell(texts) {
    this.offer.hidden = true;
    for (const [key, element] of Object.entries(this.faults)) {
      const text = texts[key] ?? "";
      setText(element, text);
      element.hidden = !text;
    }
    // Before a first look, only the address is there.
    if (this.details.hidden && texts[""]) {
      setText(this.faults.url, texts[""]);
      this.faults.url.hidden = false;
    }
    const inputs = { url: this.url, id: this.name, model: this.model, classes: this.picker.input };
    inputs[Object.keys(texts).find((key) => key in inputs)]?.focus();
  }

  offerForNow(why) {
    this.offer.replaceChildren(
      el("p", {}, "The camera can't be stored in a file."),
      el("p", { class: "hint" }, why),
      el("p", {}, "You can add it for now: it runs at once, until the files are read again, as at a restart."),
      el("p", { class: "actions" }, el("button", { type: "button", class: "primary", click: () => this.save(false) }, "Add it for now")),
    );
    this.offer.hidden = false;
    this.offer.querySelector("button").focus({ preventScroll: true });
  }
}

/** Return the address with a login, if it has none; special characters are encoded. */
function withLogin(url, user, password) {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*:\/\/)(.*)$/is.exec(url) ?? [];
  if (!scheme || (!user && !password) || /^[^/?#]*@/.test(rest)) return url;
  return `${scheme}${encodeURIComponent(user)}:${encodeURIComponent(password)}@${rest}`;
}
