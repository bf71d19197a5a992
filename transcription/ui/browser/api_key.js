// The visitor's API key. It stays in this tab.
const STORAGE_KEY = "transcription-api-key";
const HEADER_SAFE = /^[\x20-\xff]+$/; // a header cannot hold any other character

export const apiKey = () => sessionStorage.getItem(STORAGE_KEY) ?? "";

export function storeApiKey(text) {
  const key = text.trim();
  if (HEADER_SAFE.test(key)) sessionStorage.setItem(STORAGE_KEY, key);
  else sessionStorage.removeItem(STORAGE_KEY);
}

/** Return the headers that authorize a request. */
export const authorization = () => (apiKey() ? { Authorization: `Bearer ${apiKey()}` } : {});
