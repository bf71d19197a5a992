// Search in the transcript, over the borders of words.
import { seen } from "./transcript.js";
import { byId } from "./tools.js";

export class Search {
  constructor(transcript) {
    this.transcript = transcript;
    this.matches = [];
    this.at = -1;
    byId("search").addEventListener("input", () => this.again());
    byId("search").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.go(event.shiftKey ? -1 : 1);
    });
    byId("previous").addEventListener("click", () => this.go(-1));
    byId("next").addEventListener("click", () => this.go(1));
  }

  /** Finds what stands in the field, from the start. */
  again() {
    for (const match of this.matches) for (const element of match) element.classList.remove("found", "here");
    this.matches = found(this.transcript.words, byId("search").value);
    for (const match of this.matches) for (const element of match) element.classList.add("found");
    this.at = -1;
    this.go(1);
  }

  go(step) {
    const count = this.matches.length;
    byId("previous").disabled = byId("next").disabled = !count;
    byId("count").textContent = byId("search").value.trim() && !count ? "nothing" : "";
    if (!count) return;
    for (const element of this.matches[this.at] ?? []) element.classList.remove("here");
    this.at = (this.at + step + count) % count;
    for (const element of this.matches[this.at]) element.classList.add("here");
    seen(this.matches[this.at][0]);
    byId("count").textContent = `${this.at + 1} of ${count}`;
  }
}

/** Runs of words in which the text stands, whatever its case. A word has its space with it, where there is one. */
function found(words, text) {
  const sought = plain(text).trim();
  if (!sought) return [];
  const starts = [];
  let whole = "";
  for (const { data } of words) {
    const said = plain(data.word);
    starts.push(whole.length);
    whole += whole.endsWith(" ") ? said.trimStart() : said;
  }
  const matches = [];
  for (let at = whole.indexOf(sought), word = 0; at >= 0; at = whole.indexOf(sought, at + sought.length)) {
    while (starts[word + 1] <= at) word++;
    let last = word;
    while (starts[last + 1] < at + sought.length) last++;
    matches.push(words.slice(word, last + 1).map(({ element }) => element));
  }
  return matches;
}

const plain = (text) => text.normalize("NFC").toLowerCase().replace(/\s+/g, " ");
