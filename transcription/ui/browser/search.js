// Search in the transcript. A match may span several words.
import { byId } from "./dom.js";
import { scrollToWord } from "./transcript.js";

export class Search {
  constructor(transcript) {
    this.transcript = transcript;
    this.matches = []; // lists of elements
    this.index = -1;
    byId("search").addEventListener("input", () => this.run());
    byId("search").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.move(event.shiftKey ? -1 : 1);
    });
    byId("previous").addEventListener("click", () => this.move(-1));
    byId("next").addEventListener("click", () => this.move(1));
  }

  /** Search for the text in the field and go to the first match. */
  run() {
    for (const match of this.matches) for (const word of match) word.classList.remove("match", "current-match");
    this.matches = findMatches(this.transcript.words, byId("search").value);
    for (const match of this.matches) for (const word of match) word.classList.add("match");
    this.index = -1;
    this.move(1);
  }

  move(step) {
    const count = this.matches.length;
    byId("previous").disabled = byId("next").disabled = !count;
    byId("match-count").textContent = byId("search").value.trim() && !count ? "no match" : "";
    if (!count) return;
    for (const word of this.matches[this.index] ?? []) word.classList.remove("current-match");
    this.index = (this.index + step + count) % count;
    for (const word of this.matches[this.index]) word.classList.add("current-match");
    scrollToWord(this.matches[this.index][0]);
    byId("match-count").textContent = `${this.index + 1} of ${count}`;
  }
}

/** Return the elements of each match, regardless of case. The words' own spaces separate them. */
function findMatches(words, text) {
  const query = normalize(text).trim();
  if (!query) return [];
  const starts = []; // of each word, in the joined text
  let joined = "";
  for (const { data } of words) {
    const word = normalize(data.word);
    starts.push(joined.length);
    joined += joined.endsWith(" ") ? word.trimStart() : word;
  }
  const matches = [];
  let first = 0;
  for (let at = joined.indexOf(query); at >= 0; at = joined.indexOf(query, at + query.length)) {
    while (starts[first + 1] <= at) first++;
    let last = first;
    while (starts[last + 1] < at + query.length) last++;
    matches.push(words.slice(first, last + 1).map((word) => word.element));
  }
  return matches;
}

const normalize = (text) => text.normalize("NFC").toLowerCase().replace(/\s+/g, " ");
