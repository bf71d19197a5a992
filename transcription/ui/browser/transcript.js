// The words: who says them, how sure that is, which one is being played.
import { byId, calm, clock, made } from "./tools.js";

const GUESS = 0.5; // a word less probable is marked
const LONGEST = 60; // seconds of one speaker's talk that stand together
const UNSURE = 2 / 3; // so is one whose speaker is less sure
const TOGETHER = 8; // people who may talk at once: as many as there may be channels
const SHORTEST = 0.02; // seconds a word lasts
const STAYS = 0.3; // seconds it stays marked where none follows

export class Transcript {
  constructor(play) {
    this.play = play;
    this.root = byId("transcript");
    this.clear();
    this.root.addEventListener("click", (event) => this.clicked(event));
    this.root.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["focusin", "mouseover"]) this.root.addEventListener(name, (event) => this.about(event.target));
  }

  clear() {
    this.root.replaceChildren();
    this.words = []; // {data, element}, in order
    this.timed = null; // the same by their starts, which are another order where people talk at once
    this.asked = null; // the word to play
    this.order = []; // speakers, as they appear
    this.language = ""; // not known yet
    this.names = {};
    this.now = this.before = this.last = null;
    byId("about-word").textContent = "";
  }

  /** One more window, before it is known who says it. */
  more(segments) {
    for (const segment of segments) this.turn([segment]);
  }

  show({ segments, turns, language, task }) {
    this.clear();
    this.language = task === "translate" ? "en" : language ?? "en"; // none: the model knows no other
    this.order = [...new Set((turns ?? []).map((turn) => turn.speaker))];
    for (const part of talk(segments, turns !== null)) this.turn(part);
    this.enter(this.words[0]?.element);
    const marked = (name) => this.root.querySelector(`.${name}`) !== null;
    byId("marks").hidden = !(marked("doubted") || marked("unsure") || marked("crowded"));
  }

  turn(segments) {
    const { speaker, start } = segments[0];
    const said = made("p", { className: "said", lang: this.language, dir: "auto" });
    const lane = this.order.indexOf(speaker);
    const turn = made("section", { className: `turn ${lane < 0 ? "nobody" : `speaker-${lane % 8}`}` }, made("time", { textContent: clock(start) }));
    if (lane >= 0) turn.append(made("span", { className: "name", textContent: this.name(speaker) }));
    if (lane >= 0) turn.lastChild.dataset.speaker = speaker;
    for (const segment of segments) for (const word of spoken(segment)) this.word(word, said);
    turn.append(said);
    this.root.append(turn);
  }

  word(data, said) {
    const text = data.word.trimStart();
    const element = made("span", { className: "word", textContent: text, tabIndex: -1 });
    element.setAttribute("role", "button");
    element.dataset.start = data.start;
    element.dataset.end = data.end;
    element.dataset.at = this.words.length;
    element.classList.toggle("doubted", data.probability !== null && data.probability < GUESS);
    element.classList.toggle("unsure", data.confidence !== null && data.confidence < UNSURE);
    element.classList.toggle("crowded", data.overlap);
    const word = { data, element };
    element.title = this.told(word);
    this.words.push(word);
    this.timed = null;
    said.append(data.word.slice(0, data.word.length - text.length), element);
  }

  /** All that is known of a word, in words. */
  told({ data, element }) {
    const parts = [`${data.start.toFixed(2)} s`];
    if (data.speaker) parts.push(this.name(data.speaker));
    if (element.classList.contains("doubted")) parts.push(`a guess: ${percent(data.probability)} sure`);
    if (element.classList.contains("unsure")) parts.push(`speaker unsure${data.second_speaker ? `: may be ${this.name(data.second_speaker)}` : ""}`);
    if (data.overlap) parts.push("several people talk");
    return parts.join(", ");
  }

  name(speaker) {
    return this.names[speaker] || speaker;
  }

  /** The speakers' new names. settled: nobody is writing them any more. */
  call(names, settled) {
    this.names = names;
    for (const element of this.root.querySelectorAll(".name")) element.textContent = this.name(element.dataset.speaker);
    if (settled) for (const word of this.words) word.element.title = this.told(word); // tens of thousands in a long one
  }

  clicked(event) {
    const element = event.target.closest(".word");
    if (!element || String(getSelection())) return; // text is being selected
    this.enter(element);
    this.playFrom(element);
  }

  playFrom(element) {
    this.asked = this.words[element.dataset.at];
    this.play(this.asked.data.start);
  }

  key(event) {
    const element = event.target.closest(".word");
    if (!element) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.playFrom(element);
      return;
    }
    const to = this.neighbour(element, event.key);
    if (!to) return;
    event.preventDefault();
    this.enter(to);
    to.focus();
  }

  neighbour(element, key) {
    const at = Number(element.dataset.at), turn = element.closest(".turn");
    switch (key) {
      case "ArrowRight": return this.words[at + 1]?.element;
      case "ArrowLeft": return this.words[at - 1]?.element;
      case "ArrowDown": return turn.nextElementSibling?.querySelector(".word");
      case "ArrowUp": return turn.previousElementSibling?.querySelector(".word");
      case "Home": return this.words[0].element;
      case "End": return this.words.at(-1).element;
    }
  }

  /** Tab comes back to this word. */
  enter(element) {
    if (this.last) this.last.tabIndex = -1;
    this.last = element ?? null;
    if (element) element.tabIndex = 0;
  }

  about(target) {
    const element = target.closest?.(".word");
    if (element) byId("about-word").textContent = `${element.textContent}: ${element.title}`;
  }

  /** Marks the word at this time. sought: the reader went there, and did not come there by listening. */
  at(time, sought) {
    if (this.asked && !during(this.asked, time, SHORTEST)) this.asked = null;
    const now = (this.asked ?? this.heard(time))?.element ?? null;
    if (now === this.now) return;
    this.now?.classList.remove("now");
    this.now?.removeAttribute("aria-current");
    this.now = now;
    if (!now) return;
    now.classList.add("now");
    now.setAttribute("aria-current", "true");
    const follows = sought || !this.before || inSight(this.before); // and does not look elsewhere meanwhile
    const writes = document.activeElement.matches("input, textarea");
    if (follows && !writes && !byId("audio").paused && !calm()) seen(now);
    this.before = now;
  }

  /** The word at this time; of several, the one begun last. */
  heard(time) {
    this.timed ??= [...this.words].sort((one, other) => one.data.start - other.data.start);
    let low = 0, high = this.timed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (begun(this.timed[middle], time)) low = middle + 1;
      else high = middle;
    }
    return this.timed.slice(Math.max(0, low - TOGETHER), low).findLast((word) => during(word, time, STAYS));
  }
}

const begun = ({ data }, time) => data.start <= time + 0.001;
const during = (word, time, least) => begun(word, time) && time < Math.max(word.data.end, word.data.start + least);

/** Scrolls to a word that is out of sight. */
export function seen(element) {
  if (!inSight(element)) element.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
}

function inSight(element) {
  const box = element.getBoundingClientRect(), above = byId("player").getBoundingClientRect().bottom;
  return box.top >= above && box.bottom <= innerHeight - 24;
}

/** Segments of one speaker that follow each other, together for a while; each alone where nobody knows who speaks. */
function talk(segments, known) {
  const parts = [];
  for (const segment of segments) {
    const part = parts.at(-1);
    if (known && part?.[0].speaker === segment.speaker && segment.start < part[0].start + LONGEST) part.push(segment);
    else parts.push([segment]);
  }
  return parts;
}

/** A segment's words; all of it as one where it has none. */
function spoken(segment) {
  return segment.words.length ? segment.words
    : [{ word: segment.text, start: segment.start, end: segment.end, probability: null, speaker: segment.speaker, confidence: null, second_speaker: null, overlap: false }];
}

const percent = (share) => `${Math.round(100 * share)} %`;
