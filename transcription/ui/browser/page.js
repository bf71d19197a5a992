// The page: choose a recording, send it, follow the request, show the transcript.
import { apiKey, setApiKey } from "./api_key.js";
import { byId, element } from "./dom.js";
import { Downloads } from "./downloads.js";
import { KnownSpeakers } from "./known_speakers.js";
import { contradiction, readOptions } from "./options.js";
import { Player } from "./player.js";
import { Recording } from "./recording.js";
import { sendRequest } from "./request.js";
import { Search } from "./search.js";
import { Speakers } from "./speakers.js";
import { Status } from "./status.js";
import { duration } from "./text.js";
import { Transcript } from "./transcript.js";

const POLL_INTERVAL = 1000; // milliseconds between questions whether the models are loaded

class Page {
  constructor() {
    const showError = (message) => this.showError(message);
    this.request = null; // the one that runs; only one at a time
    this.recording = new Recording(showError);
    this.knownSpeakers = new KnownSpeakers();
    this.status = new Status(() => this.request?.stop());
    this.player = new Player((time, isSeek) => this.transcript.markWordAt(time, isSeek), showError);
    this.transcript = new Transcript((time) => this.player.playFrom(time));
    this.search = new Search(this.transcript);
    this.speakers = new Speakers((names, isFinal) => this.transcript.rename(names, isFinal));
    this.downloads = new Downloads(showError);
    byId("api-key").addEventListener("input", (event) => setApiKey(event.target.value));
    byId("request").addEventListener("submit", (event) => {
      event.preventDefault();
      this.transcribe(readOptions(event.target));
    });
  }

  /** Poll the service until its models are loaded. */
  async waitForService() {
    for (let isInitialized = false; ; ) {
      const about = await fetch("about").then((response) => (response.ok ? response.json() : null)).catch(() => null);
      if (about && !isInitialized) this.initialize(about);
      isInitialized ||= about !== null;
      if (about) this.recording.maxBytes = about.max_bytes;
      if (about) this.knownSpeakers.offer(about.max_known_speakers);
      byId("demo").hidden = !about?.demo;
      const notice = serviceNotice(about);
      byId("notice").textContent = notice;
      byId("notice").hidden = !notice;
      if (!notice) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
    }
  }

  initialize(about) {
    this.recording.offer(about.samples);
    this.downloads.offer(about.documents);
    byId("api-key-card").hidden = !about.needs_key;
    byId("api-key").value = apiKey();
  }

  async transcribe(options) {
    if (this.request) return;
    const problem = this.recording.problem() || contradiction(options) || this.knownSpeakers.problem(options);
    if (problem) return this.showError(problem);
    let isStopped = false;
    this.request = { stop: () => (isStopped = true) };
    this.clear();
    const started = performance.now();
    try {
      const file = await this.recording.file();
      const known_speakers = await this.knownSpeakers.read();
      if (isStopped) throw new Error("Stopped.");
      this.player.load(file);
      this.request = sendRequest(file, { ...options, known_speakers }, this.handlers());
      this.show(await this.request.transcript, file, (performance.now() - started) / 1000);
    } catch (error) {
      this.status.hide();
      this.knownSpeakers.markSample(error.message);
      const kept = this.transcript.words.length ? " The transcript so far is below." : "";
      this.showError(error.message + kept);
    } finally {
      this.request = null;
      byId("result").dataset.state = "done";
    }
  }

  /** Return what to do at each event of a request. */
  handlers() {
    return {
      upload: (share) => this.status.uploading(share),
      audio: (audio) => {
        this.player.show(audio);
        this.status.transcribing();
      },
      progress: (progress) => this.status.progress(progress),
      segments: (segments) => {
        byId("document").hidden = false;
        this.transcript.append(segments);
      },
    };
  }

  clear() {
    byId("result").hidden = false;
    byId("result").dataset.state = "working";
    for (const id of ["error", "warnings", "speakers", "tools", "empty", "player", "legend", "document"]) {
      byId(id).hidden = true;
    }
    byId("search").value = "";
    this.player.reset();
    this.transcript.clear();
    this.status.start();
    byId("result").scrollIntoView({ block: "nearest" });
  }

  show(transcript, file, elapsed) {
    byId("error").hidden = true;
    byId("document").hidden = false;
    this.status.finish(summary(transcript.duration, elapsed));
    this.transcript.show(transcript);
    this.player.waveform.showTurns(transcript.turns ?? [], this.transcript.speakers);
    this.speakers.show(transcript, this.transcript.speakers);
    this.downloads.show(transcript, this.speakers, file.name);
    this.search.run();
    byId("tools").hidden = !transcript.segments.length;
    byId("empty").hidden = transcript.segments.length > 0;
    showWarnings(transcript);
  }

  /** Show what went wrong. A request that runs continues. */
  showError(message) {
    byId("result").hidden = false;
    byId("error").textContent = message;
    byId("error").hidden = false;
    byId("error").scrollIntoView({ block: "nearest" });
  }
}

/** Return why the service cannot be used yet; an empty text if it can. */
function serviceNotice(about) {
  if (!about) return "The server cannot be reached: is it still running?";
  if (about.status === "ok") return "";
  if (about.status === "loading") return "The models are loading. This notice disappears when they are ready.";
  return `The service is ${about.status}: try again later.`;
}

function summary(audioSeconds, elapsed) {
  const speed = elapsed > 0 ? audioSeconds / elapsed : 0;
  const comparison = speed >= 2 ? `, ${Math.round(speed)}× real time` : "";
  return `${duration(audioSeconds)} of audio in ${elapsed.toFixed(1)} s${comparison}`;
}

function showWarnings({ warnings, partial }) {
  const messages = partial ? [...warnings, "The file is truncated: the recording ends too early."] : warnings;
  byId("warnings").replaceChildren(...messages.map((text) => element("li", { textContent: `Note: ${text}` })));
  byId("warnings").hidden = !messages.length;
}

new Page().waitForService();
