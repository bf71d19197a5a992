// The recording to transcribe: a file, a sample, or from the microphone.
import { byId, element } from "./dom.js";
import { Live } from "./live.js";
import { MicrophoneRecorder, openMicrophone } from "./microphone.js";
import { clock, errorMessage, fileSize } from "./text.js";

export class Recording {
  constructor(showError) {
    this.showError = showError;
    this.maxBytes = null; // the server's limit, once known
    this.chosen = null; // a File, the name of a sample, or the recorder that still runs
    this.opening = false; // the microphone
    this.live = new Live(showError);
    byId("file").addEventListener("change", (event) => this.choose(event.target.files[0]));
    for (const name of ["record", "live"]) {
      byId(name).addEventListener("click", () => (this.isRecording ? this.chosen.stop() : this.record(byId(name))));
    }
    const zone = byId("drop-zone");
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
      zone.addEventListener(name, (event) => {
        event.preventDefault();
        zone.classList.toggle("drag-over", name === "dragenter" || name === "dragover");
      });
    }
    zone.addEventListener("drop", (event) => this.choose(event.dataTransfer.files[0]));
  }

  get isRecording() {
    return this.chosen instanceof MicrophoneRecorder;
  }

  /** Add a button for each sample. samples: description by file name. */
  offer(samples) {
    for (const [name, description] of Object.entries(samples)) {
      const button = element("button", { type: "button", className: "button pill", textContent: description });
      button.dataset.sample = name;
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => this.choose(name));
      byId("samples").append(button);
    }
    byId("samples").hidden = !Object.keys(samples).length;
  }

  /** Take a File, or a sample by its name. A recording from the microphone that still runs is discarded. */
  choose(choice) {
    if (!choice) return;
    const recorder = this.isRecording ? this.chosen : null;
    this.chosen = choice;
    recorder?.stop();
    const isSample = typeof choice === "string";
    for (const button of byId("samples").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.sample === choice));
    }
    if (isSample) byId("file").value = "";
    const detail = element("span", { textContent: isSample ? "sample" : fileSize(choice.size) });
    byId("chosen").replaceChildren(isSample ? choice : choice.name, " ", detail);
    byId("chosen").hidden = false;
  }

  /** Return why the recording cannot be sent; an empty text if it can. */
  problem() {
    if (!this.chosen) return "There is no recording yet: choose a file, record one or try a sample.";
    if (this.maxBytes === null || !(this.chosen.size > this.maxBytes)) return "";
    return `The file is larger than ${fileSize(this.maxBytes)}, the limit here: send a shorter or a compressed one.`;
  }

  /** Return the File to send. End the recording from the microphone, fetch the sample. */
  async file() {
    if (this.isRecording) {
      this.chosen.stop();
      await this.chosen.file; // record() has chosen it now
    }
    return typeof this.chosen === "string" ? fetchSample(this.chosen) : this.chosen;
  }

  /** Record until the button is pressed again. The button Live shows the words meanwhile, and transcribes at the end. */
  async record(button) {
    if (this.opening) return;
    if (!navigator.mediaDevices) {
      return this.showError("This browser records only over https or on localhost: choose a file instead.");
    }
    this.opening = true;
    const stream = await openMicrophone();
    this.opening = false;
    if (!stream) {
      return this.showError("The microphone is denied or absent: allow it in the browser, or choose a file.");
    }
    const label = button.querySelector("span"), title = label.textContent, isLive = button.id === "live";
    const showTime = (seconds) => (label.textContent = `Stop recording, ${clock(seconds)}`);
    const recorder = new MicrophoneRecorder(stream, showTime);
    this.chosen = recorder;
    button.classList.add("recording");
    if (isLive) this.live.start(stream, byId("language").value);
    const file = await recorder.file;
    this.live.stop();
    button.classList.remove("recording");
    label.textContent = title;
    if (this.chosen !== recorder) return;
    this.choose(file);
    if (isLive) byId("request").requestSubmit();
  }
}

async function fetchSample(name) {
  const response = await fetch(`samples/${encodeURIComponent(name)}`).catch(() => null);
  const sound = await response?.blob().catch(() => null);
  if (!sound) throw new Error(errorMessage(0));
  if (!response.ok) throw new Error("The sample no longer exists: choose another.");
  return new File([sound], name);
}
