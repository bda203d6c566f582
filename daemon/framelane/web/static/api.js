// Requests to the daemon, with the token that the user has entered. The token is never part of a URL.

const place = "framelane.token";

export class TokenError extends Error {}

/** Return the token; empty if none has been entered. */
export function token() {
  return sessionStorage.getItem(place) ?? localStorage.getItem(place) ?? "";
}

/** Keep the token for this tab, or on this device. */
export function keepToken(value, onDevice) {
  forgetToken();
  (onDevice ? localStorage : sessionStorage).setItem(place, value);
}

export function forgetToken() {
  sessionStorage.removeItem(place);
  localStorage.removeItem(place);
}

/** Return the subprotocols that carry the token, because a page can't set headers of a WebSocket. */
export function protocols() {
  const bytes = new TextEncoder().encode(token());
  const encoded = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["framelane.live.1", ...(encoded ? [`bearer.${encoded}`] : [])];
}

/** Return the JSON reply to a GET. Throw TokenError if a token is needed, Error with reason and status otherwise. */
export const get = (path) => request(path, { method: "GET" });

/** Return what a GET replies as a Blob; see get. */
export const blob = async (path) => (await send(path, { method: "GET" })).blob();

/** Change options of a stream; see get. */
export const change = (stream, options) =>
  request(`/api/streams/${encodeURIComponent(stream)}`, {
    method: "PATCH",
    body: JSON.stringify(options),
    headers: { "Content-Type": "application/json" },
  });

async function request(path, options) {
  return (await send(path, options)).json().catch(() => ({}));
}

async function send(path, options) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const reply = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (reply.status === 401) throw new TokenError("the token is missing or wrong");
  if (reply.ok) return reply;
  const body = await reply.json().catch(() => ({}));
  throw Object.assign(new Error(reason(body) || `the daemon answers ${reply.status}`), { status: reply.status });
}

function reason(body) {
  const findings = Array.isArray(body.findings) ? body.findings.map((each) => `${each.path}: ${each.message}`) : [];
  return findings.length ? findings.join("; ") : body.detail;
}
