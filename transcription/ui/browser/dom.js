// Elements of the document.

export const byId = (id) => document.getElementById(id);

/** Return a new element. Strings become text, never markup. */
export function element(tag, properties = {}, ...children) {
  const created = Object.assign(document.createElement(tag), properties);
  created.append(...children);
  return created;
}

export const prefersReducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
