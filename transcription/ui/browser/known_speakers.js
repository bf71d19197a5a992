// The known speakers of a request: rows of a name and a sample of the voice.
import { byId, element } from "./dom.js";

const MAX_NAME = 100; // characters, as on the server

export class KnownSpeakers {
  constructor() {
    this.rows = [];
    this.count = 0; // of all rows so far, for the identifiers of elements
    byId("add-speaker").addEventListener("click", () => this.add());
  }

  /** Offer up to `limit` speakers; 0: the service knows no voices. */
  offer(limit) {
    this.limit = limit;
    byId("known-speakers").hidden = !limit;
  }

  add() {
    const row = new Row(++this.count, () => this.remove(row));
    this.rows.push(row);
    byId("known-speaker-list").append(row.element);
    this.showLimit();
    row.name.focus();
  }

  remove(row) {
    const index = this.rows.indexOf(row);
    this.rows.splice(index, 1);
    row.element.remove();
    this.showLimit();
    (this.rows[index]?.name ?? byId("add-speaker")).focus();
  }

  showLimit() {
    byId("add-speaker").disabled = this.rows.length >= this.limit;
  }

  get filled() {
    return this.rows.filter((row) => row.text || row.file);
  }

  /** Return why the speakers cannot be sent, and mark where; an empty text if they can. */
  problem({ diarize, multichannel }) {
    const rows = this.filled;
    for (const row of this.rows) row.mark("");
    if (rows.length && (!diarize || multichannel)) {
      return "Known speakers: identify speakers, and leave one speaker per channel out.";
    }
    for (const [index, row] of rows.entries()) {
      const isRepeated = rows.slice(0, index).some((other) => other.text === row.text);
      const problem = row.problem() || (isRepeated ? `give each person another name than ${row.text}` : "");
      if (problem) return `Known speakers: ${row.mark(problem)}.`;
    }
    return "";
  }

  /** Mark the sample that the server's message is about. */
  markSample(message) {
    for (const row of this.filled) {
      if ([`'${row.text}'`, `"${row.text}"`].some((name) => message.includes(`the sample of ${name}`))) row.mark(message);
    }
  }

  /** Return the samples as data URIs by name. */
  async read() {
    return Object.fromEntries(await Promise.all(this.filled.map(async (row) => [row.text, await row.sample()])));
  }
}

/** One known speaker. */
class Row {
  constructor(number, onRemove) {
    const id = `known-speaker-${number}`, typed = { autocomplete: "off", spellcheck: false };
    this.name = element("input", { type: "text", maxLength: MAX_NAME, placeholder: "Name", ...typed });
    this.input = element("input", { type: "file", id, accept: byId("file").accept, className: "visually-hidden" });
    this.label = element("label", { htmlFor: id, className: "button small", textContent: "Choose a sample" });
    this.button = element("button", { type: "button", className: "button small", textContent: "Remove" });
    this.note = element("p", { id: `${id}-note`, className: "note", hidden: true });
    this.element = element("li", {}, this.name, this.label, this.input, this.button, this.note);
    for (const control of [this.name, this.input]) control.setAttribute("aria-describedby", this.note.id);
    this.number = number;
    this.name.addEventListener("input", () => this.describe());
    this.input.addEventListener("change", () => this.describe());
    this.button.addEventListener("click", onRemove);
    this.describe();
  }

  get text() {
    return this.name.value.trim();
  }

  get file() {
    return this.input.files[0];
  }

  describe() {
    const who = this.text || `known speaker ${this.number}`;
    this.label.textContent = this.file?.name ?? "Choose a sample";
    this.name.setAttribute("aria-label", `Name of known speaker ${this.number}`);
    this.input.setAttribute("aria-label", `Sample of ${who}: ${this.file?.name ?? "none"}`);
    this.button.setAttribute("aria-label", `Remove ${who}`);
    this.mark("");
  }

  problem() {
    if (!this.text) return `name the person of the sample ${this.file.name}`;
    return this.file ? "" : `choose a sample of ${this.text}, or remove the name`;
  }

  /** Show a problem at the row, and return it; an empty text ends it. */
  mark(problem) {
    this.note.textContent = problem;
    this.note.hidden = !problem;
    for (const control of [this.name, this.input]) control.setAttribute("aria-invalid", String(Boolean(problem)));
    return problem;
  }

  sample() {
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(new Error(`The sample of ${this.text} cannot be read: choose it again.`));
      reader.readAsDataURL(this.file);
    });
  }
}
