// Draws boxes, labels and track ids over a picture.

const palette = ["#4cc2ff", "#ffb02e", "#7ee787", "#ff7b72", "#d2a8ff", "#f9e076", "#56d4bc", "#ff9ec7"];
const labelsFrom = 240;
const confidenceFrom = 640;
// Of a second model's key or answer.
const mostChars = 32;

/** Return a label's color, always the same. */
export function colorOf(label) {
  let sum = 0;
  for (const char of label) sum = (sum * 31 + char.codePointAt(0)) >>> 0;
  return palette[sum % palette.length];
}

/**
 * Draw a frame and its boxes, as large as they fit into the middle of an area.
 *
 * The frame may have another size and shape than the one in which the boxes were found.
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} area its width and height
 * @param {import("./boxes.js").Found[]} found
 * @param {[number, number]} size that of the frame
 * @param {CanvasImageSource|null} image the frame; null if it is shown elsewhere
 */
export function paint(context, area, found, size, image) {
  context.clearRect(0, 0, ...area);
  const place = fitted(size, area);
  if (image) context.drawImage(image, ...place);
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "top";
  for (const each of found) {
    const [left, top, width, height] = place;
    const frame = { left, top, scaleX: width / each.size[0], scaleY: height / each.size[1] };
    for (const box of each.boxes) paintBox(context, area[0], box, frame);
  }
}

export class Overlay {
  /** @param {HTMLCanvasElement} canvas as large as the stage that the picture is centered in */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.empty = true;
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(canvas);
    this.fit();
  }

  /** Draw the boxes of a frame, over the frame itself if it is given; nothing remains of the one before. */
  draw(found, size, image) {
    const nothing = !image && !found.some((each) => each.boxes.length);
    if (nothing && this.empty) return;
    this.empty = nothing;
    paint(this.context, this.area, found, size, image);
  }

  clear() {
    this.draw([], this.area, null);
  }

  close() {
    this.resized.disconnect();
  }

  fit() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.area = [this.canvas.clientWidth, this.canvas.clientHeight];
    [this.canvas.width, this.canvas.height] = this.area.map((side) => Math.round(side * ratio));
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.empty = true;
  }
}

/** Return where a picture is drawn so that it fits into the middle of an area: [left, top, width, height]. */
export function fitted([width, height], area) {
  const scale = Math.min(area[0] / width, area[1] / height);
  return [(area[0] - width * scale) / 2, (area[1] - height * scale) / 2, width * scale, height * scale];
}

/**
 * Return the words over a box.
 * @param {number} room width of the area in pixels
 */
function wordsOf(room, [, , , , confidence, label, track, zones, attributes]) {
  const name = track === null ? label : `${label} #${track}`;
  if (room < confidenceFrom) return [name, ...(attributes ?? []).map(([, said]) => short(said))].join(", ");
  const said = (attributes ?? []).map(([model, each]) => `${short(model)}: ${short(each)}`);
  const where = zones?.length ? [`in ${zones.join(", ")}`] : [];
  return [`${name} ${Math.round(confidence * 100)} %`, ...said, ...where].join(", ");
}

function short(text) {
  const chars = [...text];
  return chars.length > mostChars ? `${chars.slice(0, mostChars - 1).join("")}…` : text;
}

function paintBox(context, room, box, { left, top, scaleX, scaleY }) {
  const [x1, y1, x2, y2, , label] = box;
  const [x, y, width, height] = [left + x1 * scaleX, top + y1 * scaleY, (x2 - x1) * scaleX, (y2 - y1) * scaleY];
  // A dark edge, so that the box shows on a bright picture too.
  context.lineWidth = 4;
  context.strokeStyle = "rgba(0, 0, 0, 0.55)";
  context.strokeRect(x, y, width, height);
  context.lineWidth = 2;
  context.strokeStyle = colorOf(label);
  context.strokeRect(x, y, width, height);
  if (room < labelsFrom) return;
  const text = wordsOf(room, box);
  const wide = context.measureText(text).width + 8;
  const textX = Math.max(Math.min(x - 1, room - wide), 0);
  const textY = y < 17 ? y : y - 17;
  context.fillStyle = colorOf(label);
  context.fillRect(textX, textY, wide, 17);
  context.fillStyle = "#08131f";
  context.fillText(text, textX + 4, textY + 2.5);
}
