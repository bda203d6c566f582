// Numbers and times as people read them.

const none = "–";

/** Return a rate with one decimal, or a dash. */
export const rate = (value) => (value === null || value === undefined ? none : value.toFixed(1));

/** Return milliseconds, or a dash. */
export const milliseconds = (value) =>
  value === null || value === undefined ? none : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

/** Return a share as percent, or a dash. */
export const percent = (value) => (value === null || value === undefined ? none : `${Math.round(value * 100)} %`);

/** Return bytes in the largest unit that fits. */
export function bytes(value) {
  if (value === null || value === undefined) return none;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${value < 10 && at ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

/** Return how long ago a moment was, in its largest unit. */
export function ago(milliseconds_) {
  const seconds = Math.max(Math.round((Date.now() - milliseconds_) / 1000), 0);
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** Return the time of day of Unix seconds. */
export const timeOfDay = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

/** Return the sum of all drops. */
export const total = (dropped) => Object.values(dropped ?? {}).reduce((sum, each) => sum + each, 0);
