// The transcript as a file: the server writes it, with the speakers' names as they stand on the page.
import { byId, headers, made, refusal } from "./tools.js";

export class Downloads {
  constructor(fail) {
    this.fail = fail;
  }

  /** formats: a format's name and what its file's name ends in. */
  offer(formats) {
    for (const [format, ending] of Object.entries(formats)) {
      const button = made("button", { type: "button", className: "button small", textContent: ending });
      button.dataset.format = format;
      button.addEventListener("click", () => this.save(format, ending));
      byId("downloads").append(button);
    }
  }

  show(transcript, speakers, name) {
    this.transcript = transcript;
    this.speakers = speakers;
    this.stem = name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "_") || "transcript";
    byId("downloads").classList.toggle("no-speakers", transcript.turns === null);
  }

  async save(format, ending) {
    const body = JSON.stringify({ transcript: this.transcript, names: this.speakers.names });
    const answer = await fetch(`document/${format}`, { method: "POST", headers: { ...headers(), "Content-Type": "application/json" }, body }).catch(() => null);
    if (!answer?.ok) return this.fail(refusal(answer?.status ?? 0, (await answer?.text()) ?? ""));
    const url = URL.createObjectURL(await answer.blob());
    const link = made("a", { href: url, download: `${this.stem}.${ending}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }
}
