// The node: what each stage takes, so that the bottleneck shows, and its resources.

import { get } from "./api.js";
import { el, headings, setText, terms } from "./dom.js";
import { bytes, milliseconds, percent, rate } from "./format.js";
import { LogTail } from "./log_tail.js";

const every = 3000;

export class NodeView {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.text = el("p", { class: "reason-text", role: "status" });
    this.facts = el("dl", { class: "facts" });
    this.stages = el("tbody");
    this.models = el("tbody");
    this.sinks = el("tbody");
    this.gpus = el("tbody");
    this.log = new LogTail(app);
    this.gpuPanel = panel("GPUs", ["GPU", "Busy", "Decoder", "Memory"], this.gpus);
    this.element = el(
      "article",
      { class: "node" },
      el("h1", {}, "Node"),
      this.text,
      el("section", { class: "panel", "aria-label": "Summary" }, this.facts),
      panel("Stages", ["Stage", "Per s", "Mean time", "Busy"], this.stages),
      panel("Models", ["Model", "Batches per s", "Mean batch", "Slots"], this.models),
      this.gpuPanel,
      panel("Sinks", ["Sink", "State", "Waiting", "Delivered", "Dropped", "On disk"], this.sinks),
      this.log.element,
    );
    this.timer = setInterval(() => this.load(), every);
    this.load();
  }

  update({ node }) {
    setText(this.text, `${node.id}: ${node.state}, ${node.text}`);
    const facts = [
      ["Version", node.version],
      ["Cameras", `${node.streams_live} live of ${node.streams}`],
      ["Processor", node.cpu_cores === null ? "–" : `${rate(node.cpu_cores)} cores`],
      ["Memory", bytes(node.rss_bytes)],
      ["Load", percent(this.loaded)],
      ["Latency p95", milliseconds(node.figures?.latency_ms?.p95)],
    ];
    this.facts.replaceChildren(...terms(facts));
  }

  close() {
    clearInterval(this.timer);
    this.log.close();
  }

  async load() {
    try {
      this.show(await get("/api/node"));
    } catch (error) {
      this.app.failed(error);
    }
  }

  show(node) {
    this.loaded = node.load;
    rows(this.stages, node.stages, (stage) => [
      stage.model ? `${stage.name} (${stage.model})` : stage.name,
      rate(stage.per_s),
      milliseconds(stage.mean_ms),
      stage.occupancy === null ? "–" : meter(stage.occupancy, `${stage.name} busy`),
    ]);
    rows(this.models, node.models, (model) => [
      model.name,
      rate(model.batches_per_s),
      rate(model.batch_size),
      model.slots,
    ]);
    rows(this.sinks, node.sinks, (sink) => [
      sink.name,
      sink.connected ? "connected" : `away: ${sink.last_error ?? "unknown"}`,
      sink.queued,
      sink.delivered,
      sink.dropped,
      sink.spool_messages === null ? "–" : `${sink.spool_messages} (${bytes(sink.spool_bytes)})`,
    ]);
    this.gpuPanel.hidden = node.gpus.length === 0;
    rows(this.gpus, node.gpus, (gpu) => [
      gpu.name,
      gpu.utilization === null ? "–" : meter(gpu.utilization, `${gpu.name} busy`),
      gpu.decoder_utilization === null ? "–" : meter(gpu.decoder_utilization, `${gpu.name} decoder busy`),
      `${bytes(gpu.memory_used_bytes)} of ${bytes(gpu.memory_total_bytes)}`,
    ]);
  }
}

function panel(title, columns, body) {
  const id = `panel-${title.toLowerCase()}`;
  return el(
    "section",
    { class: "panel", "aria-labelledby": id },
    el("h2", { id }, title),
    el(
      "div",
      { class: "scrolls", tabindex: 0, role: "group", "aria-labelledby": id },
      el("table", {}, headings(...columns), body),
    ),
  );
}

function rows(body, items, cells) {
  const all = items.map((item) => {
    const [first, ...others] = cells(item);
    return el("tr", {}, el("th", { scope: "row" }, first), ...others.map((each) => el("td", {}, each)));
  });
  body.replaceChildren(...(all.length ? all : [el("tr", {}, el("td", { class: "hint", colspan: 6 }, "none yet"))]));
}

function meter(share, label) {
  const bar = el("meter", { min: 0, max: 1, high: 0.85, optimum: 0.3, value: share.toFixed(3), "aria-label": label });
  return el("span", { class: "meter" }, bar, percent(share));
}
