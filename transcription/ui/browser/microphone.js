// Recording from the microphone.

/** Records until stop(). onTick(seconds) is called at the start and twice per second. */
export class MicrophoneRecorder {
  constructor(stream, onTick) {
    this.stream = stream;
    this.recorder = new MediaRecorder(stream);
    const parts = [], started = Date.now();
    const tick = () => onTick((Date.now() - started) / 1000);
    const timer = setInterval(tick, 500);
    this.recorder.ondataavailable = (event) => parts.push(event.data);
    /** The recording, when it has ended. */
    this.file = new Promise((resolve) => {
      this.recorder.onstop = () => {
        clearInterval(timer);
        for (const track of stream.getTracks()) track.stop();
        const type = this.recorder.mimeType.split(";")[0];
        resolve(new File(parts, `recording.${type.split("/")[1] ?? "webm"}`, { type }));
      };
    });
    this.recorder.start();
    tick();
  }

  stop() {
    if (this.recorder.state !== "inactive") this.recorder.stop();
  }
}

/** Ask the visitor for the microphone. Return null if it is denied or absent. */
export const openMicrophone = () => navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => null);
