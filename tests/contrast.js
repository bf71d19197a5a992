// Return every visible text with a contrast below 4.5:1 (WCAG 2, level AA).
() => {
  const MIN_CONTRAST = 4.5;
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const background = (element) => {
    if (!element) return [255, 255, 255, 1];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, background(element.parentElement));
  };
  const linear = (channel) => (channel <= 0.03928 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const failures = [];
  const check = (element, text, colour) => {
    const back = background(element), front = over(rgba(colour), back);
    const [low, high] = [luminance(front), luminance(back)].sort((one, other) => one - other);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < MIN_CONTRAST) failures.push(`${text.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  };
  const isVisible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  for (const element of document.querySelectorAll("body *")) {
    if (!isVisible(element) || element.matches(":disabled")) continue;
    const { color } = getComputedStyle(element);
    const text = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data);
    if (text.join("").trim()) check(element, text.join(""), color);
    const isField = element.matches("input:not([type=checkbox], [type=radio]), textarea, select");
    if (isField && element.value) check(element, element.value, color);
    if (element.placeholder) check(element, element.placeholder, getComputedStyle(element, "::placeholder").color);
  }
  return failures;
}
