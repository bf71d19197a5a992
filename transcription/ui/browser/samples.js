// An AudioWorklet: the microphone's samples as 16-bit PCM, a tenth of a second at a time.
class Samples extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Int16Array(sampleRate / 10);
    this.length = 0;
  }

  process([[channel]]) {
    for (const sample of channel ?? []) {
      this.piece[this.length++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.length < this.piece.length) continue;
      this.port.postMessage(this.piece.slice().buffer);
      this.length = 0;
    }
    return true;
  }
}

registerProcessor("samples", Samples);
