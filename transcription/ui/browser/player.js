// The player: the recording's sound and the position in it.
import { authorization } from "./api_key.js";
import { byId } from "./dom.js";
import { clock, errorMessage } from "./text.js";
import { Waveform } from "./waveform.js";

const KEY_STEP = 5; // seconds that an arrow key moves

export class Player {
  /** onPosition(seconds, isSeek): called whenever the position changes; isSeek when the visitor moved it. */
  constructor(onPosition, showError) {
    this.onPosition = onPosition;
    this.showError = showError;
    this.audio = byId("audio");
    this.slider = byId("waveform");
    this.waveform = new Waveform();
    this.duration = 0; // 0 until the server has decoded the recording
    byId("play").addEventListener("click", () => this.toggle());
    byId("speed").addEventListener("change", () => this.setSpeed());
    this.slider.addEventListener("pointerdown", (event) => this.drag(event));
    this.slider.addEventListener("keydown", (event) => this.handleKey(event));
    for (const name of ["play", "pause", "ended", "seeked", "timeupdate"]) {
      this.audio.addEventListener(name, () => this.showPosition());
    }
    this.audio.addEventListener("error", () => this.requestWav());
    this.audio.addEventListener("loadedmetadata", () => {
      if (!Number.isFinite(this.audio.duration)) this.requestWav();
    });
  }

  load(file) {
    this.file = file;
    this.wavRequested = false;
    this.waveform.clear();
    this.setSound(file);
  }

  setSound(blob) {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(blob);
    this.audio.src = this.url;
    this.setSpeed();
  }

  setSpeed() {
    this.audio.playbackRate = Number(byId("speed").value);
  }

  /** Ask the server for a wav of a recording that this browser cannot play or seek. */
  async requestWav() {
    if (this.wavRequested || !this.file || !this.duration) return;
    this.wavRequested = true;
    const file = this.file;
    const response = await fetch("sound", { method: "POST", headers: authorization(), body: file }).catch(() => null);
    const sound = await response?.blob().catch(() => null);
    if (file !== this.file) return; // another recording was loaded meanwhile
    if (response?.ok && sound) return this.setSound(sound);
    this.wavRequested = false;
    const reason = errorMessage(response?.status ?? 0, await sound?.text());
    this.showError(`The sound is not available yet: press Play to try again. ${reason}`);
  }

  show({ duration, peaks }) {
    this.duration = duration;
    byId("player").hidden = false;
    this.slider.setAttribute("aria-valuemax", String(duration));
    if (this.audio.error || this.audio.duration === Infinity) this.requestWav();
    this.waveform.showPeaks(duration, peaks);
    this.showPosition();
  }

  reset() {
    this.audio.pause();
    this.duration = 0;
  }

  toggle() {
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  play() {
    if (this.audio.error) this.requestWav();
    this.audio.play().catch(() => {}); // the error event reports it
  }

  playFrom(seconds) {
    this.seek(seconds);
    this.play();
  }

  seek(seconds) {
    this.audio.currentTime = Math.min(Math.max(seconds, 0), this.duration);
    this.showPosition(true);
  }

  drag(event) {
    const box = this.slider.getBoundingClientRect();
    const seekTo = ({ clientX }) => this.seek(((clientX - box.left) / box.width) * this.duration);
    this.slider.setPointerCapture(event.pointerId);
    this.slider.onpointermove = seekTo;
    this.slider.onpointerup = this.slider.onpointercancel = () => (this.slider.onpointermove = null);
    seekTo(event);
  }

  handleKey(event) {
    const now = this.audio.currentTime, back = now - KEY_STEP, forward = now + KEY_STEP;
    const targets = {
      ArrowLeft: back, ArrowDown: back, ArrowRight: forward, ArrowUp: forward, Home: 0, End: this.duration,
    };
    if (event.key === " " || event.key === "Enter") this.toggle();
    else if (event.key in targets) this.seek(targets[event.key]);
    else return;
    event.preventDefault();
  }

  /** Show the position, again with each frame while the sound plays. */
  showPosition(isSeek = false) {
    const time = this.audio.currentTime, { paused } = this.audio;
    byId("position").style.left = `${this.duration ? Math.min(100, (100 * time) / this.duration) : 0}%`;
    byId("clock").textContent = `${clock(time)} / ${clock(this.duration)}`;
    this.slider.setAttribute("aria-valuenow", time.toFixed(1));
    this.slider.setAttribute("aria-valuetext", `${clock(time)} of ${clock(this.duration)}`);
    byId("play").classList.toggle("playing", !paused);
    byId("play").setAttribute("aria-label", paused ? "Play" : "Pause");
    this.onPosition(time, isSeek);
    cancelAnimationFrame(this.frame);
    if (!paused) this.frame = requestAnimationFrame(() => this.showPosition());
  }
}
