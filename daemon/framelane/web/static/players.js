// Chooses how video is played: by the browser's own player, by decoding each frame, or not at all.

import { examples } from "./fragments.js";
import { FramePlayer, decodes, learnDecoders } from "./frame_player.js";
import { MsePlayer, plays } from "./mse_player.js";

/** Any codec: that of a sub-stream is not known before it is open. */
export const anyCodec = "any";
const choices = [
  { Player: MsePlayer, can: plays },
  { Player: FramePlayer, can: decodes },
];

const mostLearning = 1000;

/** Resolves once it is known what this browser plays, or if it does not say so soon. */
export const learned = Promise.race([learnDecoders(), new Promise((done) => setTimeout(done, mostLearning))]);

/** Return the players that may play a codec, by FFmpeg's name or `anyCodec`, the best one first. */
export function playersOf(codec) {
  const codecs = codec === anyCodec ? Object.keys(examples) : [codec];
  return choices.filter(({ can }) => codecs.some((each) => can(each))).map(({ Player }) => Player);
}

/** Return the codec of a stream's video as the page shows it; null if there is none, as of a file. */
export function codecOf(stream) {
  if (stream.preview) return anyCodec;
  return stream.clock === "media" ? null : stream.codec;
}
