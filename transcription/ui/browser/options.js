// The options of a request.
import { byId } from "./dom.js";

/** Return the values of a form's named controls: a checkbox's as a boolean, all others as text. */
export function readOptions(form) {
  const options = {};
  for (const control of form.elements) {
    if (!control.name || (control.type === "radio" && !control.checked)) continue;
    options[control.name] = control.type === "checkbox" ? control.checked : control.value;
  }
  return options;
}

/** Return why the options contradict each other; an empty text if they do not. */
export function contradiction({ align, task, multichannel }) {
  if (!align.trim() || (task !== "translate" && !multichannel)) return "";
  return "The text is known: this cannot be combined with English as output, or with one speaker per channel.";
}

/** Return a message of the server with the label of a control in place of the parameter's name at its start. */
export function withLabel(message) {
  return message.replace(/^(\w+)(?=: )/, (name) => labelOf(name.toLowerCase()) ?? name);
}

function labelOf(name) {
  const control = byId(name.replaceAll("_", "-"));
  const label = control?.labels?.[0] ?? control?.querySelector("legend");
  return label?.textContent;
}
