// The status line: the stage that runs, its progress, the Stop button.
import { byId } from "./dom.js";
import { duration } from "./text.js";

const STAGES = { transcribe: "Transcribing", diarize: "Identifying speakers" };

export class Status {
  constructor(onStop) {
    byId("stop").addEventListener("click", onStop);
  }

  start() {
    this.stages = {}; // last progress of each
    this.announced = new Set();
    for (const id of ["status", "progress", "stop"]) byId(id).hidden = false;
    this.uploading(null);
    byId("stop").focus({ preventScroll: true });
  }

  uploading(share) {
    if (share === 1) this.show("Waiting in the queue");
    else this.show("Sending the recording", share);
  }

  transcribing() {
    this.show(STAGES.transcribe, 0);
  }

  /** Stages run in parallel. Show the slowest: it determines when the transcript is complete. */
  progress(event) {
    this.stages[event.stage] = { ...event, share: event.total ? event.done / event.total : 0 };
    const slowest = Object.values(this.stages).reduce((one, other) => (other.share < one.share ? other : one));
    this.show(STAGES[slowest.stage], slowest.share, `: ${duration(slowest.done)} of ${duration(slowest.total)}`);
  }

  /** Screen readers announce each stage once, not each second of it. */
  show(stage, share = null, detail = "") {
    byId("stage").textContent = stage + detail;
    if (!this.announced.has(stage)) byId("announcement").textContent = stage;
    this.announced.add(stage);
    if (share === null) byId("progress").removeAttribute("value");
    else byId("progress").value = share;
  }

  /** Show the summary of a finished request. */
  finish(summary) {
    this.show(summary);
    byId("progress").hidden = true;
    this.hideStop("play");
  }

  hide() {
    this.hideStop("transcribe");
    byId("status").hidden = true;
  }

  /** The keyboard's focus moves from the hidden button to the next useful one. */
  hideStop(next) {
    const hadFocus = document.activeElement === byId("stop");
    byId("stop").hidden = true;
    if (hadFocus) byId(next).focus({ preventScroll: true });
  }
}
