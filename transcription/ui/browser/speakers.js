// The speakers: how long each talks, and their names.
import { byId, element } from "./dom.js";
import { duration, percent } from "./text.js";

const MAX_NAME = 80; // characters, as on the server
const COLOURS = 8; // in palette.css

/** Return the class that sets a speaker's colour. */
export const speakerClass = (index) => `speaker-${index % COLOURS}`;

/** Return how much each voice is like the nearest known speaker, as text by label. matches: null without any. */
export function matchesByLabel(matches) {
  return Object.fromEntries((matches ?? []).map(({ speaker, nearest, score, threshold }) => [
    speaker, `Like ${nearest}: ${score.toFixed(2)}. The name needs ${threshold.toFixed(2)}.`,
  ]));
}

export class Speakers {
  /** onRename(names, isFinal): called at each change; isFinal when the field is left. */
  constructor(onRename) {
    this.onRename = onRename;
    this.names = {}; // by label
    this.matches = {}; // with known speakers, as text by label
  }

  show({ turns, matches, duration: total }, labels) {
    this.names = {};
    this.matches = matchesByLabel(matches);
    byId("speakers").hidden = !labels.length;
    byId("speaker-list").replaceChildren(...labels.map((label, index) => this.item(label, index, turns, total)));
  }

  item(label, index, turns, total) {
    const talk = turns.filter((turn) => turn.speaker === label).reduce((sum, turn) => sum + turn.end - turn.start, 0);
    const share = total ? `, ${percent(talk / total)}` : "";
    return element("li", { className: speakerClass(index) },
      element("span", { className: "badge", textContent: String(index + 1), ariaHidden: "true" }),
      this.field(label),
      element("span", { className: "talk", textContent: duration(talk) + share }));
  }

  field(label) {
    const field = element("input", { value: label, placeholder: label, maxLength: MAX_NAME });
    Object.assign(field, { autocomplete: "off", spellcheck: false });
    field.setAttribute("aria-label", `Name of ${label}`);
    field.title = this.matches[label] ?? ""; // a screen reader reads it after the name
    field.addEventListener("input", () => this.rename(label, field.value, false));
    field.addEventListener("change", () => this.rename(label, field.value, true));
    return field;
  }

  rename(label, text, isFinal) {
    const name = text.trim();
    if (name && name !== label) this.names[label] = name;
    else delete this.names[label];
    this.onRename({ ...this.names }, isFinal);
  }
}
