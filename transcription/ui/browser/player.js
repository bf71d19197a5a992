// The recording: its waveform with the speakers' turns over it, and the sound.
import { byId, clock, headers, refusal } from "./tools.js";

const WAVE = 56, LANE = 9; // pixels
const STEP = 5; // seconds an arrow key moves

export class Player {
  constructor(moved, fail) {
    this.moved = moved;
    this.fail = fail;
    this.audio = byId("audio");
    this.wave = byId("wave");
    this.duration = 0;
    this.peaks = [];
    this.spoken = [];
    this.order = [];
    byId("play").addEventListener("click", () => this.toggle());
    byId("speed").addEventListener("change", (event) => (this.audio.playbackRate = Number(event.target.value)));
    this.wave.addEventListener("pointerdown", (event) => this.drag(event));
    this.wave.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["play", "pause", "ended", "seeked", "timeupdate"]) this.audio.addEventListener(name, () => this.follow());
    this.audio.addEventListener("error", () => this.ask());
    this.audio.addEventListener("loadedmetadata", () => { if (!Number.isFinite(this.audio.duration)) this.ask(); });
    new ResizeObserver(() => this.draw()).observe(this.wave);
    new MutationObserver(() => this.draw()).observe(document.body, { attributeFilter: ["class"] });
  }

  load(file) {
    this.file = file;
    this.asked = false;
    this.spoken = [];
    this.peaks = [];
    this.sound(file);
  }

  sound(blob) {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(blob);
    this.audio.src = this.url;
    this.audio.playbackRate = Number(byId("speed").value);
  }

  /** What this browser cannot play, or not seek in, the server hands out as wav. */
  async ask() {
    if (this.asked || !this.file || !this.duration) return; // not before the server could read it
    this.asked = true;
    const file = this.file;
    const answer = await fetch("sound", { method: "POST", headers: headers(), body: file }).catch(() => null);
    const sound = await answer?.blob().catch(() => null);
    if (file !== this.file) return; // another recording has come since
    if (answer?.ok && sound) return this.sound(sound);
    this.asked = false;
    this.fail(`There is no sound yet: play to ask for it again. ${refusal(answer?.status ?? 0, await sound?.text())}`);
  }

  show({ duration, peaks }) {
    this.duration = duration;
    this.peaks = peaks;
    byId("player").hidden = false;
    this.wave.setAttribute("aria-valuemax", String(duration));
    if (this.audio.error || this.audio.duration === Infinity) this.ask();
    this.draw();
    this.follow();
  }

  turns(turns, order) {
    this.spoken = turns;
    this.order = order;
    this.draw();
  }

  stop() {
    this.audio.pause();
    this.duration = 0;
  }

  toggle() {
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  playFrom(time) {
    this.seek(time);
    this.play();
  }

  play() {
    if (this.audio.error) this.ask();
    this.audio.play().catch(() => {});
  }

  seek(time) {
    this.audio.currentTime = Math.min(Math.max(time, 0), this.duration);
    this.follow(true);
  }

  drag(event) {
    const box = this.wave.getBoundingClientRect();
    const to = (moved) => this.seek(((moved.clientX - box.left) / box.width) * this.duration);
    this.wave.setPointerCapture(event.pointerId);
    this.wave.onpointermove = to;
    this.wave.onpointerup = this.wave.onpointercancel = () => (this.wave.onpointermove = null);
    to(event);
  }

  key(event) {
    const now = this.audio.currentTime;
    const to = { ArrowLeft: now - STEP, ArrowRight: now + STEP, ArrowDown: now - STEP, ArrowUp: now + STEP, Home: 0, End: this.duration }[event.key];
    if (event.key === " " || event.key === "Enter") this.toggle();
    else if (to === undefined) return;
    else this.seek(to);
    event.preventDefault();
  }

  /** Shows where the sound is; again with every frame while it plays. sought: somebody went there. */
  follow(sought = false) {
    const time = this.audio.currentTime;
    byId("head").style.left = `${this.duration ? Math.min(100, (100 * time) / this.duration) : 0}%`;
    byId("clock").textContent = `${clock(time)} / ${clock(this.duration)}`;
    this.wave.setAttribute("aria-valuenow", time.toFixed(1));
    this.wave.setAttribute("aria-valuetext", `${clock(time)} of ${clock(this.duration)}`);
    byId("play").classList.toggle("playing", !this.audio.paused);
    byId("play").setAttribute("aria-label", this.audio.paused ? "Play" : "Pause");
    this.moved(time, sought);
    cancelAnimationFrame(this.frame);
    if (!this.audio.paused) this.frame = requestAnimationFrame(() => this.follow());
  }

  draw() {
    const canvas = byId("canvas"), width = this.wave.clientWidth;
    if (!width || !this.duration) return;
    const height = WAVE + (this.order.length && this.spoken.length ? 4 + LANE * this.order.length : 0);
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.height = `${height}px`;
    const paint = canvas.getContext("2d");
    paint.scale(scale, scale);
    const who = this.order.map((_, at) => colour(`speaker-${at % 8}`));
    this.bars(paint, width, who);
    for (const turn of this.spoken) {
      const lane = this.order.indexOf(turn.speaker);
      const from = (turn.start / this.duration) * width, to = (turn.end / this.duration) * width;
      paint.fillStyle = who[lane];
      paint.beginPath();
      paint.roundRect(from, WAVE + 4 + lane * LANE, Math.max(2, to - from), LANE - 3, 3);
      paint.fill();
    }
  }

  /** The waveform in bars of 3 pixels, each in the colour of who speaks in its middle. */
  bars(paint, width, who) {
    const count = Math.floor(width / 4), silent = getComputedStyle(this.wave).getPropertyValue("--edge");
    for (let at = 0; at < count; at++) {
      const some = this.peaks.slice(Math.floor((at / count) * this.peaks.length), Math.ceil(((at + 1) / count) * this.peaks.length));
      const tall = Math.max(2, (Math.max(0, ...some) / 100) * (WAVE - 4));
      const time = ((at + 0.5) / count) * this.duration;
      const turn = this.spoken.find((one) => one.start <= time && time < one.end);
      paint.fillStyle = turn ? who[this.order.indexOf(turn.speaker)] : silent;
      paint.beginPath();
      paint.roundRect(at * 4, (WAVE - tall) / 2, 3, tall, 1.5);
      paint.fill();
    }
  }
}

function colour(name) {
  const probe = document.createElement("i");
  probe.className = name;
  byId("wave").append(probe);
  const found = getComputedStyle(probe).getPropertyValue("--who");
  probe.remove();
  return found;
}
