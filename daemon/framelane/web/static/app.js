// The page: chooses a view by the address, and keeps status and socket.

import { AddCamera } from "./add_camera.js";
import { TokenError, forgetToken, get, token } from "./api.js";
import { setText } from "./dom.js";
import { EventsView } from "./events.js";
import { Login } from "./login.js";
import { NodeView } from "./node.js";
import { LiveSocket } from "./socket.js";
import { StreamView } from "./stream.js";
import { Wall } from "./wall.js";

const statusEvery = 2000;
const hiddenAfter = 5000;

export class App {
  constructor() {
    this.main = document.getElementById("main");
    this.trouble = document.getElementById("trouble");
    this.state = document.getElementById("node-state");
    this.forget = document.getElementById("forget");
    this.view = null;
    this.socket = null;
    this.status = null;
    this.connected = true;
    this.reachable = true;
    this.timer = 0;
    this.hiding = 0;
    addEventListener("hashchange", () => this.route());
    document.addEventListener("visibilitychange", () => this.hidden());
    this.forget.addEventListener("click", () => {
      forgetToken();
      this.askForToken("");
    });
  }

  /** Begin, or begin again with another token. */
  async begin() {
    try {
      this.status = await get("/api/status");
    } catch (error) {
      if (error instanceof TokenError) {
        this.askForToken(token() ? "This token is wrong." : "");
      } else {
        this.failed(error);
        this.timer = setTimeout(() => this.begin(), statusEvery);
      }
      return;
    }
    this.reached(true);
    this.forget.hidden = !token();
    this.connect();
    this.route();
    this.timer = setTimeout(() => this.poll(), statusEvery);
  }

  /** Note that a request has failed. */
  failed(error) {
    if (error instanceof TokenError) this.askForToken("This token is no longer valid.");
    // A request that gets no answer at all is a TypeError, or a TimeoutError; their texts say nothing more.
    else this.reached(false, ["TypeError", "TimeoutError"].includes(error.name) ? "" : error.message);
  }

  connect() {
    this.socket?.close();
    this.socket = new LiveSocket((connected) => {
      this.connected = connected;
      this.tell();
    });
    this.socket.open();
  }

  async poll() {
    try {
      this.status = await get("/api/status");
      this.reached(true);
      this.show();
    } catch (error) {
      this.failed(error);
      if (error instanceof TokenError) return;
    }
    this.timer = setTimeout(() => this.poll(), statusEvery);
  }

  route() {
    if (!this.status || !this.socket) return;
    const [, name, id] = location.hash.split("/");
    const views = {
      node: () => new NodeView(this),
      events: () => new EventsView(this, id ?? ""),
      add: () => new AddCamera(this),
    };
    const known = Object.hasOwn(views, name);
    this.open(name === "stream" && id ? this.streamView(id) : known ? views[name]() : new Wall(this));
    const here = known ? `#/${name}` : "#/";
    for (const link of document.querySelectorAll("nav a")) {
      if (link.getAttribute("href") === here && !["add", "stream"].includes(name)) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.show();
  }

  streamView(id) {
    let stream = id;
    try {
      stream = decodeURIComponent(id);
    } catch {
      // It is no address of ours, and shows as an unknown stream.
    }
    return new StreamView(this, stream);
  }

  open(view) {
    const first = this.view === null;
    this.view?.close();
    this.view = view;
    this.main.replaceChildren(view.element);
    const heading = view.element.querySelector("h1");
    document.title = heading ? `${heading.textContent} – Framelane` : "Framelane";
    if (view.focus) view.focus();
    else if (!first) this.main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  show() {
    const { node } = this.status;
    this.state.className = `node-state state ${{ online: "good", degraded: "warn" }[node.state] ?? "bad"}`;
    setText(this.state, `${node.id}: ${node.state}`);
    this.state.title = node.text;
    this.view?.update(this.status);
  }

  askForToken(why) {
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = this.status = null;
    this.connected = this.reachable = true;
    this.tell();
    this.forget.hidden = true;
    setText(this.state, "");
    this.state.className = "node-state";
    this.open(new Login(this, why));
  }

  /** While the page is hidden, nothing is watched. */
  hidden() {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        if (this.view?.stays) return;
        this.view?.close();
        this.view = null;
      }, hiddenAfter);
    } else if (!this.view && this.socket) {
      this.route();
    }
  }

  reached(reachable, why = "") {
    this.reachable = reachable;
    this.why = why;
    this.tell();
  }

  tell() {
    const text = !this.reachable
      ? `The daemon does not answer${this.why ? `: ${this.why}` : ""}. Trying again.`
      : !this.connected
        ? "The video connection is lost. Connecting again."
        : "";
    setText(this.trouble, text);
    this.trouble.hidden = !text;
  }
}
