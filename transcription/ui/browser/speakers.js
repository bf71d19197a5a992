// Who speaks, for how long, and what they are called.
import { byId, made, seconds } from "./tools.js";

export class Speakers {
  constructor(called) {
    this.called = called;
    this.names = {};
  }

  show({ turns, duration }, order) {
    this.names = {};
    byId("people").hidden = !order.length;
    byId("speakers").replaceChildren(...order.map((speaker, at) => {
      const talk = turns.filter((turn) => turn.speaker === speaker).reduce((sum, turn) => sum + turn.end - turn.start, 0);
      const field = made("input", { value: speaker, placeholder: speaker, maxLength: 80, autocomplete: "off", spellcheck: false });
      field.setAttribute("aria-label", `Name of ${speaker}`);
      for (const name of ["input", "change"]) field.addEventListener(name, () => this.call(speaker, field.value, name === "change"));
      const share = duration ? `, ${Math.round((100 * talk) / duration)} %` : "";
      return made("li", { className: `speaker-${at % 8}` },
        made("span", { className: "face", textContent: String(at + 1), ariaHidden: "true" }), field,
        made("span", { className: "share", textContent: `${seconds(talk)}${share}` }));
    }));
  }

  call(speaker, name, settled) {
    if (name.trim() && name.trim() !== speaker) this.names[speaker] = name.trim();
    else delete this.names[speaker];
    this.called({ ...this.names }, settled);
  }
}
