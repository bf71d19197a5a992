// Downloads of the transcript. The server writes the documents, with the speakers' names of the page.
import { authorization } from "./api_key.js";
import { byId, element } from "./dom.js";
import { errorMessage } from "./text.js";

const URL_LIFETIME = 60_000; // milliseconds; a download may start late

export class Downloads {
  constructor(showError) {
    this.showError = showError;
  }

  /** Add a button for each format. formats: file extension by format name. */
  offer(formats) {
    for (const [format, extension] of Object.entries(formats)) {
      const button = element("button", { type: "button", className: "button small", textContent: extension });
      button.dataset.format = format;
      button.addEventListener("click", () => this.download(format, extension));
      byId("downloads").append(button);
    }
  }

  /** Set what the buttons download. */
  show(transcript, speakers, fileName) {
    this.transcript = transcript;
    this.speakers = speakers;
    this.stem = fileName.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "_") || "transcript";
    byId("downloads").classList.toggle("no-speakers", transcript.turns === null);
  }

  async download(format, extension) {
    const response = await fetch(`document/${format}`, {
      method: "POST",
      headers: { ...authorization(), "Content-Type": "application/json" },
      body: JSON.stringify({ transcript: this.transcript, names: this.speakers.names }),
    }).catch(() => null);
    if (!response?.ok) return this.showError(errorMessage(response?.status ?? 0, (await response?.text()) ?? ""));
    const url = URL.createObjectURL(await response.blob());
    element("a", { href: url, download: `${this.stem}.${extension}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), URL_LIFETIME);
  }
}
