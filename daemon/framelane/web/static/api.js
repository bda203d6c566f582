// Requests to the daemon, with the token that the user has entered. The token is never part of a URL.

const place = "framelane.token";
const patience = 15000;
const probePatience = 40000;

export class TokenError extends Error {}

/** A request that the daemon refuses; the message is its reason. */
export class Refusal extends Error {
  constructor(status, body) {
    super(reason(body) || `the daemon answers ${status}`);
    this.status = status;
    /** @type {Array<{path: string, message: string, file: string, line: number}>} */
    this.findings = Array.isArray(body.findings) ? body.findings : [];
    /** Whether the change can't be stored, but can be made until the files are read again. */
    this.notStored = body.not_stored === true;
  }
}

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

/** Return the JSON reply to a GET. Throw TokenError if a token is needed, Refusal for other refusals. */
export const get = (path) => request(path, { method: "GET" });

/** Return what a GET replies as a Blob; see get. */
export const blob = async (path) => (await send(path, { method: "GET" })).blob();

/**
 * Change options of a stream; see get.
 * @param {boolean} [stored] false for a change that lasts until the files are read again
 */
export const change = (stream, options, stored = true) =>
  request(`/api/streams/${encodeURIComponent(stream)}${lasting(stored)}`, { method: "PATCH", ...json(options) });

/** Add a stream; see change. */
export const add = (options, stored = true) =>
  request(`/api/streams${lasting(stored)}`, { method: "POST", ...json(options) });

/** Open a stream that is not configured, and return what is in it; see get. */
export const probe = (options, signal) =>
  request("/api/probe", { method: "POST", signal, ...json(options) }, probePatience);

const lasting = (stored) => (stored ? "" : "?persist=false");

const json = (value) => ({ body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });

async function request(path, options, within) {
  return (await send(path, options, within)).json().catch(() => ({}));
}

async function send(path, options, within = patience) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const signals = [AbortSignal.timeout(within), ...(options.signal ? [options.signal] : [])];
  const reply = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.any(signals) });
  if (reply.status === 401) throw new TokenError("the token is missing or wrong");
  if (reply.ok) return reply;
  const body = await reply.json().catch(() => ({}));
  throw new Refusal(reply.status, body);
}

function reason(body) {
  const findings = Array.isArray(body.findings) ? body.findings.map((each) => `${each.path}: ${each.message}`) : [];
  return findings.length ? findings.join("; ") : body.detail;
}
