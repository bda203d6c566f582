// Plots how many objects of each label a stream's frames show.

import { Plot } from "./plot.js";

const other = "others";

export class ObjectPlot extends Plot {
  constructor() {
    super("Objects", "per frame", []);
  }

  /**
   * Draw a stream's past.
   * @param {{samples: Array<{at: number}>, objects: Array<{label: string|null, per_frame: Array<number|null>}>}} past
   */
  show({ samples, objects }) {
    const names = objects.map(({ label }) => label ?? other);
    if (JSON.stringify(names) !== this.named) {
      this.named = JSON.stringify(names);
      this.draw(names.map((name, index) => [`series-${index}`, name]));
    }
    this.update(
      samples.map(({ at }, place) => ({
        at,
        ...Object.fromEntries(objects.map((each, index) => [`series-${index}`, each.per_frame[place]])),
      })),
    );
  }

  /** Say that there is nothing yet, or what there is. */
  say(last) {
    if (last && !this.lines.length) return "No objects yet.";
    return super.say(last);
  }
}
