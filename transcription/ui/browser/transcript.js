// The transcript: turns of words that play the sound, with their speakers and uncertainty.
import { byId, element, prefersReducedMotion } from "./dom.js";
import { matchesByLabel, speakerClass } from "./speakers.js";
import { clock, percent } from "./text.js";

const MIN_PROBABILITY = 0.5; // a word below it is marked as uncertain
const MIN_CONFIDENCE = 2 / 3; // a word's speaker below it is marked as uncertain
const MAX_PARAGRAPH = 60; // seconds of one speaker's talk in one paragraph
const MAX_SIMULTANEOUS = 8; // speakers at one time: the maximum number of channels
const MIN_WORD = 0.02; // seconds
const HOLD = 0.3; // seconds that a word stays marked if no other follows

export class Transcript {
  constructor(playFrom) {
    this.playFrom = playFrom;
    this.root = byId("transcript");
    this.clear();
    this.root.addEventListener("click", (event) => this.handleClick(event));
    this.root.addEventListener("keydown", (event) => this.handleKey(event));
    for (const name of ["focusin", "mouseover"]) {
      this.root.addEventListener(name, (event) => this.showDescription(event.target));
    }
  }

  clear() {
    this.root.replaceChildren();
    this.words = []; // {data, element}, in order of the text
    this.byStart = null; // the same in order of their starts; they differ where speakers talk at once
    this.requested = null; // the word that the visitor plays
    this.speakers = []; // labels, in order of their first turns
    this.language = ""; // unknown
    this.names = {}; // by label
    this.matches = {}; // with known speakers, as text by label
    this.current = this.lastPlayed = this.tabStop = null; // elements
    byId("word-description").textContent = "";
  }

  /** Add segments whose speakers are not known yet. */
  append(segments) {
    for (const segment of segments) this.addTurn([segment]);
  }

  show({ segments, turns, language, task, matches }) {
    this.clear();
    this.matches = matchesByLabel(matches);
    this.language = task === "translate" ? "en" : language ?? "en"; // null: a model for English only
    this.speakers = [...new Set((turns ?? []).map((turn) => turn.speaker))];
    for (const paragraph of paragraphs(segments, turns !== null)) this.addTurn(paragraph);
    this.setTabStop(this.words[0]?.element);
    byId("legend").hidden = !this.root.querySelector(".uncertain, .uncertain-speaker, .overlap, .unsaid");
  }

  addTurn(segments) {
    const { speaker, start } = segments[0];
    const index = this.speakers.indexOf(speaker);
    const turn = element("section", { className: `turn ${index < 0 ? "no-speaker" : speakerClass(index)}` });
    turn.append(element("time", { textContent: clock(start) }));
    if (index >= 0) {
      const name = element("span", { className: "name", textContent: this.name(speaker) });
      name.dataset.speaker = speaker;
      name.title = this.matches[speaker] ?? "";
      turn.append(name);
    }
    const text = element("p", { className: "text", lang: this.language, dir: "auto" });
    for (const segment of segments) for (const word of wordsOf(segment)) this.addWord(word, text);
    turn.append(text);
    this.root.append(turn);
  }

  addWord(data, text) {
    const written = data.word.trimStart();
    const span = element("span", { className: "word", textContent: written, tabIndex: -1 });
    span.setAttribute("role", "button");
    Object.assign(span.dataset, { start: data.start, end: data.end, index: this.words.length });
    span.classList.toggle("uncertain", data.probability !== null && data.probability < MIN_PROBABILITY);
    span.classList.toggle("uncertain-speaker", data.confidence !== null && data.confidence < MIN_CONFIDENCE);
    span.classList.toggle("overlap", data.overlap);
    span.classList.toggle("unsaid", data.said === false);
    const word = { data, element: span };
    span.title = this.describe(word);
    this.words.push(word);
    this.byStart = null;
    text.append(data.word.slice(0, data.word.length - written.length), span);
  }

  /** Return all that is known of a word, as text. */
  describe({ data, element: { classList } }) {
    const parts = [data.said === false ? "not said" : `${data.start.toFixed(2)} s`];
    if (data.speaker) parts.push(this.name(data.speaker));
    if (classList.contains("uncertain")) parts.push(`uncertain: probability ${percent(data.probability)}`);
    if (classList.contains("uncertain-speaker")) {
      parts.push(`uncertain speaker${data.second_speaker ? `: may be ${this.name(data.second_speaker)}` : ""}`);
    }
    if (data.overlap) parts.push("several people talk");
    return parts.join(", ");
  }

  name(speaker) {
    return this.names[speaker] || speaker;
  }

  /** Show new names. isFinal: also in the words' descriptions, which are too many to change at each key. */
  rename(names, isFinal) {
    this.names = names;
    for (const label of this.root.querySelectorAll(".name")) label.textContent = this.name(label.dataset.speaker);
    if (isFinal) for (const word of this.words) word.element.title = this.describe(word);
  }

  handleClick(event) {
    const word = event.target.closest(".word");
    if (!word || String(getSelection())) return; // the visitor selects text
    this.setTabStop(word);
    this.playWord(word);
  }

  playWord(word) {
    this.requested = this.words[word.dataset.index];
    this.playFrom(this.requested.data.start);
  }

  handleKey(event) {
    const word = event.target.closest(".word");
    if (!word) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return this.playWord(word);
    }
    const target = this.neighbour(word, event.key);
    if (!target) return;
    event.preventDefault();
    this.setTabStop(target);
    target.focus();
  }

  neighbour(word, key) {
    const index = Number(word.dataset.index), turn = word.closest(".turn");
    switch (key) {
      case "ArrowRight": return this.words[index + 1]?.element;
      case "ArrowLeft": return this.words[index - 1]?.element;
      case "ArrowDown": return turn.nextElementSibling?.querySelector(".word");
      case "ArrowUp": return turn.previousElementSibling?.querySelector(".word");
      case "Home": return this.words[0].element;
      case "End": return this.words.at(-1).element;
    }
  }

  /** Make this word the only one that the Tab key reaches. */
  setTabStop(word) {
    if (this.tabStop) this.tabStop.tabIndex = -1;
    this.tabStop = word ?? null;
    if (word) word.tabIndex = 0;
  }

  showDescription(target) {
    const word = target.closest?.(".word");
    if (word) byId("word-description").textContent = `${word.textContent}: ${word.title}`;
  }

  /** Mark the word at this time. isSeek: the visitor moved there. */
  markWordAt(time, isSeek) {
    if (this.requested && !contains(this.requested, time, MIN_WORD)) this.requested = null;
    const word = (this.requested ?? this.wordAt(time))?.element ?? null;
    if (word === this.current) return;
    this.current?.classList.remove("current");
    this.current?.removeAttribute("aria-current");
    this.current = word;
    if (!word) return;
    word.classList.add("current");
    word.setAttribute("aria-current", "true");
    this.follow(word, isSeek);
    this.lastPlayed = word;
  }

  /** Scroll to the word that plays, unless the visitor reads elsewhere or types. */
  follow(word, isSeek) {
    const isFollowing = isSeek || !this.lastPlayed || isVisible(this.lastPlayed);
    const isTyping = document.activeElement.matches("input, textarea");
    if (isFollowing && !isTyping && !byId("audio").paused && !prefersReducedMotion()) scrollToWord(word);
  }

  /** Return the word at this time; of several, the one that begins last. */
  wordAt(time) {
    this.byStart ??= this.words.filter(({ data }) => data.said !== false)
      .sort((one, other) => one.data.start - other.data.start);
    let low = 0, high = this.byStart.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (hasBegun(this.byStart[middle], time)) low = middle + 1;
      else high = middle;
    }
    const latest = this.byStart.slice(Math.max(0, low - MAX_SIMULTANEOUS), low);
    return latest.findLast((word) => contains(word, time, HOLD));
  }
}

const hasBegun = ({ data }, time) => data.start <= time + 0.001; // browsers round the time when they seek

function contains(word, time, minDuration) {
  return hasBegun(word, time) && time < Math.max(word.data.end, word.data.start + minDuration);
}

/** Scroll to a word that is not visible. */
export function scrollToWord(word) {
  if (isVisible(word)) return;
  word.scrollIntoView({ block: "center", behavior: prefersReducedMotion() ? "auto" : "smooth" });
}

function isVisible(word) {
  const box = word.getBoundingClientRect(), top = byId("player").getBoundingClientRect().bottom;
  return box.top >= top && box.bottom <= innerHeight - 24;
}

/** Join consecutive segments of one speaker, up to MAX_PARAGRAPH. Without speakers, keep the segments. */
function paragraphs(segments, hasSpeakers) {
  const joined = [];
  for (const segment of segments) {
    const last = joined.at(-1)?.[0];
    const continues = hasSpeakers && last?.speaker === segment.speaker && segment.start < last.start + MAX_PARAGRAPH;
    if (last && continues) joined.at(-1).push(segment);
    else joined.push([segment]);
  }
  return joined;
}

/** Return a segment's words; a segment without words is one word. */
function wordsOf({ words, text, start, end, speaker }) {
  if (words.length) return words;
  const unknown = { probability: null, confidence: null, second_speaker: null, overlap: false };
  return [{ word: text, start, end, speaker, ...unknown }];
}
