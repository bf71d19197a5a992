// What several parts of the page use.
const KEY = "transcription-key";
const SENDABLE = /^[\x20-\xff]+$/; // in a header; no other key can be right

export const byId = (id) => document.getElementById(id);

/** The visitor's key, for every request that works. */
export function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export function rememberKey(key) {
  if (SENDABLE.test(key.trim())) sessionStorage.setItem(KEY, key.trim());
  else sessionStorage.removeItem(KEY);
}

/** 75 → 1:15, 3675 → 1:01:15. */
export function clock(time) {
  const whole = Math.max(0, Math.floor(time));
  const parts = whole >= 3600 ? [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60] : [Math.floor(whole / 60), whole % 60];
  return parts.map((part, at) => (at ? String(part).padStart(2, "0") : part)).join(":");
}

export const seconds = (time) => (time < 90 ? `${Math.round(time)} s` : clock(time));

/** A new element; what is written into it is text, never markup. */
export function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** What an answer that is no success says. */
export function refusal(status, body) {
  try {
    const { error } = JSON.parse(body);
    const message = typeof error === "string" ? error : error.message;
    if (status === 401) return "The key is missing or wrong: write one of the service's API keys above.";
    return sentence(message);
  } catch {
    return status ? `The server answered with ${status}: try again.` : "The server cannot be reached: is it still running?";
  }
}

export const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`).replace(/^./, (first) => first.toUpperCase());

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
