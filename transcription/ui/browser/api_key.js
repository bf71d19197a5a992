// The visitor's API key. It stays in this tab.
const STORAGE_KEY = "transcription-api-key";
const HEADER_SAFE = /^[\x20-\xff]+$/; // a header cannot hold any other character

let key = storedKey();

function storedKey() {
  try {
    return sessionStorage.getItem(STORAGE_KEY) ?? "";
  } catch {
    return ""; // browsers may deny storage to a frame: the key then lasts until the page is reloaded
  }
}

export const apiKey = () => key;

export function setApiKey(text) {
  key = HEADER_SAFE.test(text.trim()) ? text.trim() : "";
  try {
    sessionStorage.setItem(STORAGE_KEY, key);
  } catch {
    // denied, as above
  }
}

/** Return the headers that authorize a request. */
export const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});
