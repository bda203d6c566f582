// Takes apart the MP4 fragments that the daemon sends: one picture each, with all that a decoder needs at a key frame.

/** A codec string of each codec that the daemon sends, by FFmpeg's name. */
export const examples = { h264: "avc1.64001F", hevc: "hvc1.1.6.L93.B0" };
const entryBytes = 78;
const fullBytes = 8;
const entries = { avc1: "avcC", hvc1: "hvcC" };

/**
 * @typedef {object} KeyFrame what a key frame's record holds
 * @property {string} codec the codec string
 * @property {Uint8Array} description the decoder configuration record
 * @property {Uint8Array} sample the coded picture
 */

/** Return the codec string at the beginning of a key frame's payload, and the fragments after it. */
export function headed(payload) {
  const end = 1 + (payload[0] ?? 0);
  if (payload.length < end) throw new Error("the codec string is cut off");
  return { codec: String.fromCharCode(...payload.subarray(1, end)), data: payload.subarray(end) };
}

/** Return what the payload of a key frame holds. @returns {KeyFrame} */
export function keyFrame(payload) {
  const { codec, data } = headed(payload);
  const track = child(child(data, "moov"), "trak");
  const table = child(child(child(track, "mdia"), "minf"), "stbl");
  const kind = codec.slice(0, 4);
  const entry = child(child(table, "stsd").subarray(fullBytes), kind);
  if (!(kind in entries)) throw new Error(`no decoder configuration is known for ${kind}`);
  return { codec, description: child(entry.subarray(entryBytes), entries[kind]), sample: sample(data) };
}

/** Return the coded picture of a fragment. */
export const sample = (data) => child(data, "mdat");

/** Return the content of the first box of a kind; all boxes up to it must be whole. */
function child(data, kind) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at + 8 <= data.length; ) {
    const size = view.getUint32(at);
    if (size < 8 || at + size > data.length) break;
    if (String.fromCharCode(...data.subarray(at + 4, at + 8)) === kind) return data.subarray(at + 8, at + size);
    at += size;
  }
  throw new Error(`no whole ${kind} box`);
}
