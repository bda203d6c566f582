// The states of a stream in words and colors.

/** The class of a state's color. */
export function tone(state, reason) {
  if (state === "live") return reason === "ok" ? "good" : "warn";
  if (state === "connecting") return "busy";
  if (state === "disabled" || reason === "finished") return "off";
  return "bad";
}

/** Return a state's reason, if it says more than the state. */
export const why = (state, reason) => (reason && reason !== "ok" && reason !== state ? reason : "");

/** Return a state in words, with its reason. */
export const stateText = (state, reason) => [state, why(state, reason)].filter(Boolean).join(": ");
