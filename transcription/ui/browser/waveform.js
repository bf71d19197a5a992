// The waveform with the speakers' turns below it.
import { byId } from "./dom.js";
import { speakerClass } from "./speakers.js";

const WAVE_HEIGHT = 56, LANE_HEIGHT = 9, LANE_GAP = 3, WAVE_GAP = 4; // CSS pixels
const BAR_WIDTH = 3, BAR_STEP = 4, MIN_BAR = 2;

export class Waveform {
  constructor() {
    this.root = byId("waveform");
    this.canvas = byId("canvas");
    this.clear();
    new ResizeObserver(() => this.draw()).observe(this.root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear() {
    this.duration = 0;
    this.peaks = []; // percent of the loudest
    this.turns = [];
    this.speakers = []; // labels, in order of their lanes
  }

  showPeaks(duration, peaks) {
    this.duration = duration;
    this.peaks = peaks;
    this.draw();
  }

  showTurns(turns, speakers) {
    this.turns = turns;
    this.speakers = speakers;
    this.draw();
  }

  draw() {
    const width = this.root.clientWidth;
    if (!width || !this.duration) return;
    const lanes = this.turns.length ? this.speakers.length : 0;
    const height = WAVE_HEIGHT + (lanes ? WAVE_GAP + lanes * LANE_HEIGHT : 0);
    const scale = devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    const colours = this.speakers.map((_, index) => this.colour(speakerClass(index)));
    this.drawBars(context, width, colours);
    this.drawTurns(context, width, colours);
  }

  /** Draw bars in the colour of the speaker in the middle of each. */
  drawBars(context, width, colours) {
    const count = Math.floor(width / BAR_STEP), silence = this.colour("silence");
    for (let index = 0; index < count; index++) {
      const from = Math.floor((index / count) * this.peaks.length);
      const to = Math.ceil(((index + 1) / count) * this.peaks.length);
      const peak = Math.max(0, ...this.peaks.slice(from, to)) / 100;
      const height = Math.max(MIN_BAR, peak * (WAVE_HEIGHT - 4));
      const time = ((index + 0.5) / count) * this.duration;
      const turn = this.turns.find(({ start, end }) => start <= time && time < end);
      context.fillStyle = turn ? colours[this.speakers.indexOf(turn.speaker)] : silence;
      roundedRectangle(context, index * BAR_STEP, (WAVE_HEIGHT - height) / 2, BAR_WIDTH, height);
    }
  }

  drawTurns(context, width, colours) {
    for (const { start, end, speaker } of this.turns) {
      const lane = this.speakers.indexOf(speaker);
      const left = (start / this.duration) * width, right = (end / this.duration) * width;
      const top = WAVE_HEIGHT + WAVE_GAP + lane * LANE_HEIGHT;
      context.fillStyle = colours[lane];
      roundedRectangle(context, left, top, Math.max(2, right - left), LANE_HEIGHT - LANE_GAP);
    }
  }

  /** Return the colour that the style sheet gives to a class. */
  colour(className) {
    const probe = document.createElement("i");
    probe.className = className;
    this.root.append(probe);
    const colour = getComputedStyle(probe).getPropertyValue("--speaker");
    probe.remove();
    return colour;
  }
}

function roundedRectangle(context, left, top, width, height) {
  context.beginPath();
  context.roundRect(left, top, width, height, Math.min(width, height) / 2);
  context.fill();
}
