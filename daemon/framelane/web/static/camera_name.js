// Suggests a stream's name for its address, without the login.

/** Words in the addresses of cameras that say nothing about the camera. */
const plain =
  /^(?:\d+|axis-cgi|axis-media|cam(?:era)?\d*|cgi-bin|ch(?:annel)?s?\d*|h26[45]|hls|image|index|isapi|jpe?g|live\d*|main|media(?:\.amp)?|mjpe?g|mpeg4|onvif\d*|play(?:list)?|profile\d*|realmonitor|snap(?:shot)?|stream(?:ing)?\d*|sub|trackid=\d+|unicast|video\d*|www)$/i;
const address = /^[\d.]+$|:/;
const longest = 64;

/**
 * Return a name that is not taken: from the host's name, else from the path, else from the host's address.
 * @param {string} url
 * @param {Set<string>} taken
 */
export function suggestedName(url, taken) {
  const [, host = "", path = ""] = /^[a-z][a-z0-9+.-]*:\/\/(?:[^?#]*@)?(\[[^\]]*\]|[^/:?#]*)[^/?#]*([^?#]*)/i.exec(url) ?? ["", "", url];
  const named = host && host !== "localhost" && !address.test(host) ? host.split(".")[0] : "";
  const parts = path.split("/").map((each) => each.replace(/\.[a-z0-9]{2,4}$/i, ""));
  const word = parts.findLast((each) => /[a-z]/i.test(each) && !plain.test(each) && !each.includes("="));
  const base = tidy(named || word || (host ? `camera-${host}` : "camera")) || "camera";
  let name = base;
  for (let number = 2; taken.has(name); number += 1) name = `${base.slice(0, longest - 5)}-${number}`;
  return name;
}

const tidy = (text) =>
  text
    .replace(/[^A-Za-z0-9_]+/g, "-")
    .replace(/^[-_]+|[-_]+$/g, "")
    .slice(0, longest);
