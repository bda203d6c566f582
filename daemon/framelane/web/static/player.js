// What players have in common: they take a stream's records, and begin again after a fault.

import { kinds } from "./socket.js";

const mostFailures = 3;

/** A subclass has `pacing`, `takeVideo`, `reset` and `close`. */
export class Player {
  /**
   * @param {(shown: import("./pacing.js").Shown) => void} onFrame called for each frame when it is shown
   * @param {(why: string) => void} onFail called once, if the video can't be played
   */
  constructor(onFrame, onFail) {
    this.onFrame = onFrame;
    this.onFail = onFail;
    this.failures = 0;
    this.closed = false;
  }

  /** Take a record of the stream's video channel. */
  take(record) {
    if (record.kind === kinds.boxes) this.pacing.takeBoxes(record);
    else if (record.kind === kinds.video) this.takeVideo(record);
  }

  /** Begin again at the next key frame; give up if that does not help. */
  broken(why) {
    this.failures += 1;
    if (this.failures > mostFailures) this.fail(why);
    else if (!this.closed) this.reset();
  }

  fail(why) {
    if (this.closed) return;
    this.close();
    this.onFail(why);
  }
}
