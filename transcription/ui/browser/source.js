// Where a recording comes from: a file, the microphone, a sample.
import { byId, clock, made, refusal } from "./tools.js";

export class Source {
  constructor(fail) {
    this.fail = fail;
    this.mostBytes = null;
    this.chosen = null; // a File, or the name of a sample
    this.asking = false; // for the microphone
    this.recorder = null; // whose recording is chosen when it ends
    byId("file").addEventListener("change", (event) => this.choose(event.target.files[0]));
    byId("record").addEventListener("click", () => (this.recorder ? this.finish() : this.record()));
    const drop = byId("drop");
    for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
    drop.addEventListener("drop", (event) => this.choose(event.dataTransfer.files[0]));
  }

  offer(samples) {
    for (const [name, told] of Object.entries(samples)) {
      const button = made("button", { type: "button", className: "button", textContent: told });
      button.dataset.sample = name;
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => this.choose(name));
      byId("samples").append(button);
    }
    byId("samples").hidden = !Object.keys(samples).length;
  }

  choose(what) {
    if (!what) return;
    const other = this.recorder;
    this.recorder = null;
    other?.stop();
    this.chosen = what;
    for (const button of byId("samples").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.sample === what));
    if (typeof what === "string") byId("file").value = "";
    byId("chosen").replaceChildren(what.name ?? what, made("span", { textContent: what.size === undefined ? "  sample" : `  ${size(what.size)}` }));
    byId("chosen").hidden = false;
  }

  /** Why it cannot be sent, before it is; empty where nothing speaks against it. */
  problem() {
    if (!this.chosen) return "There is no recording yet: choose a file, record one or take a sample.";
    if (this.mostBytes !== null && this.chosen.size > this.mostBytes) return `The file is larger than the ${size(this.mostBytes)} allowed here: send a shorter or a compressed one.`;
    return "";
  }

  async file() {
    await this.recorded;
    if (typeof this.chosen !== "string") return this.chosen;
    const name = this.chosen;
    const answer = await fetch(`samples/${encodeURIComponent(name)}`).catch(() => null);
    const sound = await answer?.blob().catch(() => null);
    if (!sound) throw new Error(refusal(0));
    if (!answer.ok) throw new Error("The sample is not there any more: choose another.");
    return new File([sound], name);
  }

  async record() {
    if (this.asking) return;
    if (!navigator.mediaDevices) return this.fail("This browser records only over https or on localhost: choose a file instead.");
    this.asking = true;
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => null);
    this.asking = false;
    if (!stream) return this.fail("The microphone is not allowed or not there: allow it in the browser, or choose a file.");
    const parts = [];
    const recorder = (this.recorder = new MediaRecorder(stream));
    const began = Date.now();
    const label = byId("record").querySelector("span");
    const show = () => (label.textContent = `Stop recording, ${clock((Date.now() - began) / 1000)}`);
    const ticking = setInterval(show, 500);
    show();
    byId("record").classList.add("recording");
    recorder.ondataavailable = (event) => parts.push(event.data);
    this.recorded = new Promise((resolve) => {
      recorder.onstop = () => {
        clearInterval(ticking);
        stream.getTracks().forEach((track) => track.stop());
        byId("record").classList.remove("recording");
        label.textContent = "Record";
        resolve();
        if (this.recorder !== recorder) return; // something else was chosen meanwhile
        this.recorder = null;
        const kind = recorder.mimeType.split(";")[0];
        this.choose(new File(parts, `recording.${kind.split("/")[1] ?? "webm"}`, { type: kind }));
      };
    });
    this.chosen = new File([], "recording");
    recorder.start();
  }

  /** Ends a recording that runs. */
  finish() {
    if (this.recorder?.state === "recording") this.recorder.stop();
  }
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
