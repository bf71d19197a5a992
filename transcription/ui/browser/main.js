// The page from top to bottom: a recording is chosen, sent, followed, shown.
import { Downloads } from "./downloads.js";
import { follow } from "./follow.js";
import { Player } from "./player.js";
import { Search } from "./search.js";
import { Source } from "./source.js";
import { Speakers } from "./speakers.js";
import { Transcript } from "./transcript.js";
import { byId, headers, rememberKey, seconds } from "./tools.js";

const STAGES = { transcribe: "Transcribing", diarize: "Telling speakers apart" };
const SENDING = "Sending the recording";

export async function start() {
  const page = new Page();
  document.addEventListener("transcribe", (event) => page.transcribe(event.detail));
  await page.ready();
}

class Page {
  constructor() {
    this.running = null;
    this.source = new Source((message) => this.fail(message));
    this.player = new Player((time, sought) => this.transcript.at(time, sought), (message) => this.fail(message));
    this.transcript = new Transcript((time) => this.player.playFrom(time));
    this.search = new Search(this.transcript);
    this.speakers = new Speakers((names, settled) => this.transcript.call(names, settled));
    this.downloads = new Downloads((message) => this.fail(message));
    byId("stop").addEventListener("click", () => this.running?.stop());
    byId("key").addEventListener("input", (event) => rememberKey(event.target.value));
    byId("key-form").addEventListener("submit", (event) => event.preventDefault());
  }

  /** Asks the service how it is until its models are loaded. */
  async ready() {
    for (let greeted = false; ; ) {
      const about = await fetch("about").then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
      if (about && !greeted) this.greet(about);
      greeted ||= Boolean(about);
      if (about) this.source.mostBytes = about.max_bytes;
      byId("demo").hidden = !about?.demo;
      const message = !about ? "The server cannot be reached: is it still running?"
        : about.status === "loading" ? "The models are being loaded: this page tells when they are there."
        : about.status === "ok" ? "" : `The service is ${about.status}: try again in a while.`;
      byId("notice").textContent = message;
      byId("notice").hidden = !message;
      if (about?.status === "ok") return;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  greet(about) {
    this.source.offer(about.samples);
    this.downloads.offer(about.documents);
    byId("key-form").hidden = !about.needs_key;
    byId("key").value = headers().Authorization?.slice(7) ?? "";
  }

  async transcribe(options) {
    if (this.running) return;
    this.source.finish();
    const problem = this.source.problem();
    if (problem) return this.fail(problem);
    let stopped = false;
    this.running = { stop: () => (stopped = true) };
    this.clear();
    this.tell(SENDING);
    byId("stop").focus({ preventScroll: true });
    byId("view").scrollIntoView({ block: "nearest" });
    const began = performance.now();
    try {
      const file = await this.source.file();
      if (stopped) throw new Error("Stopped.");
      this.player.load(file);
      this.running = follow(file, options, {
        sent: (share) => (share < 1 ? this.tell(SENDING, share) : this.tell("Waiting for its turn")),
        audio: (audio) => { this.player.show(audio); this.tell(STAGES.transcribe, 0); },
        progress: (progress) => this.progress(progress),
        segments: (segments) => { byId("document").hidden = false; this.transcript.more(segments); },
      });
      this.show(await this.running.transcript, file, (performance.now() - began) / 1000);
    } catch (error) {
      this.failed(this.transcript.words.length ? `${error.message} What was heard so far stands below.` : error.message);
    } finally {
      this.running = null;
      byId("view").dataset.state = "done";
    }
  }

  show(transcript, file, took) {
    const speed = took > 0 ? transcript.duration / took : 0;
    byId("error").hidden = true;
    this.tell(`${seconds(transcript.duration)} of audio in ${took.toFixed(1)} s${speed >= 2 ? `, ${Math.round(speed)} times as fast as it was said` : ""}`);
    const waited = document.activeElement === byId("stop");
    byId("progress").hidden = byId("stop").hidden = true;
    if (waited) byId("play").focus({ preventScroll: true });
    byId("document").hidden = false;
    this.transcript.show(transcript);
    this.player.turns(transcript.turns ?? [], this.transcript.order);
    this.speakers.show(transcript, this.transcript.order);
    this.downloads.show(transcript, this.speakers, file.name);
    this.search.again();
    byId("tools").hidden = !transcript.segments.length;
    byId("empty").hidden = transcript.segments.length > 0;
    const told = [...transcript.warnings, ...(transcript.partial ? ["The recording ends before its file says it would."] : [])];
    byId("warnings").replaceChildren(...told.map((text) => Object.assign(document.createElement("li"), { textContent: `Note: ${text}` })));
    byId("warnings").hidden = !told.length;
  }

  clear() {
    byId("view").hidden = false;
    byId("view").dataset.state = "working";
    for (const id of ["error", "warnings", "people", "tools", "empty", "player", "marks", "document"]) byId(id).hidden = true;
    for (const id of ["status", "progress", "stop"]) byId(id).hidden = false;
    this.stages = {}; // how far each has come
    this.told = new Set();
    byId("search").value = "";
    this.player.stop();
    this.transcript.clear();
  }

  /** The stages go on side by side: the one that is behind says when the transcript will be there. */
  progress(told) {
    this.stages[told.stage] = { ...told, share: told.total ? told.done / told.total : 0 };
    const { stage, done, total, share } = Object.values(this.stages).reduce((one, other) => (other.share < one.share ? other : one));
    this.tell(STAGES[stage], share, `: ${seconds(done)} of ${seconds(total)}`);
  }

  /** Each stage is read out once: every second of it would be too much to listen to. */
  tell(stage, share = null, far = "") {
    byId("stage").textContent = stage + far;
    if (!this.told.has(stage)) byId("said").textContent = stage;
    this.told.add(stage);
    if (share === null) byId("progress").removeAttribute("value");
    else byId("progress").value = share;
  }

  /** No transcript comes of it. */
  failed(message) {
    const waited = document.activeElement === byId("stop");
    byId("status").hidden = true;
    if (waited) byId("transcribe").focus({ preventScroll: true });
    this.fail(message);
  }

  /** Says what went wrong; whatever is on its way goes on. */
  fail(message) {
    byId("view").hidden = false;
    byId("error").textContent = message;
    byId("error").hidden = false;
    byId("error").scrollIntoView({ block: "nearest" });
  }
}
