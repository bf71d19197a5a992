// The options of a request.

/** Return the values of a form's named controls: a checkbox's as a boolean, all others as text. */
export function readOptions(form) {
  const options = {};
  for (const control of form.elements) {
    if (!control.name || (control.type === "radio" && !control.checked)) continue;
    options[control.name] = control.type === "checkbox" ? control.checked : control.value;
  }
  return options;
}
