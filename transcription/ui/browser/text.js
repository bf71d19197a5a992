// Numbers and errors as text.

/** Format seconds as a clock: 75 → 1:15, 3675 → 1:01:15. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  const hours = Math.floor(whole / 3600);
  if (hours) parts.unshift(hours);
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

export const duration = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : clock(seconds));

export const percent = (share) => `${Math.round(100 * share)} %`;

export function fileSize(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Begin with a capital letter and end with a full stop. */
export function sentence(text) {
  const ended = /[.!?]$/.test(text) ? text : `${text}.`;
  return ended.replace(/^./, (first) => first.toUpperCase());
}

/** Return the message for a response that is not a success. Status 0: there was no response. */
export function errorMessage(status, body) {
  if (!status) return "The server cannot be reached: is it still running?";
  if (status === 401) return "The API key is missing or wrong: enter one of the service's API keys above.";
  try {
    const { error } = JSON.parse(body);
    return sentence(typeof error === "string" ? error : error.message);
  } catch {
    return `The server responded with status ${status}: try again.`;
  }
}
