// The speakers: how long each talks, and their names.
import { byId, element } from "./dom.js";
import { duration, percent } from "./text.js";

const MAX_NAME = 80; // characters, as on the server
const COLOURS = 8; // in palette.css

/** Return the class that sets a speaker's colour. */
export const speakerClass = (index) => `speaker-${index % COLOURS}`;

export class Speakers {
  /** onRename(names, isFinal): called at each change; isFinal when the field is left. */
  constructor(onRename) {
    this.onRename = onRename;
    this.names = {}; // by label
  }

  show({ turns, duration: total }, labels) {
    this.names = {};
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
