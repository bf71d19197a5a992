// A live session: the microphone's samples go up, the words of its turns come down (OpenAI's realtime transcription).
import { apiKey } from "./api_key.js";
import { byId, element } from "./dom.js";

const RATE = 16000; // Hz
const TRANSCRIPTION = "conversation.item.input_audio_transcription";

/** Shows the words of the turns while somebody speaks: grey until their turn is complete. */
export class Live {
  constructor(showError) {
    this.showError = showError;
    this.root = byId("live-text");
    this.turns = new Map(); // elements, by the item's name
  }

  /** Send what a MediaStream has until stop(). language: of the speech, "" to detect it. */
  async start(stream, language) {
    this.turns.clear();
    this.root.replaceChildren();
    this.root.hidden = false;
    const url = new URL("../v1/realtime?intent=transcription", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const key = apiKey() ? [`openai-insecure-api-key.${apiKey()}`] : [];
    try {
      this.context = new AudioContext({ sampleRate: RATE });
      await this.context.audioWorklet.addModule(new URL("./samples.js", import.meta.url));
      this.socket = new WebSocket(url, ["realtime", ...key]);
      const node = new AudioWorkletNode(this.context, "samples");
      node.port.onmessage = ({ data }) => this.send({ type: "input_audio_buffer.append", audio: base64(data) });
      this.context.createMediaStreamSource(stream).connect(node);
    } catch {
      return this.showError("This browser shows no live words: the recording goes on without them.");
    }
    this.socket.onopen = () => this.send({ type: "session.update", session: session(language) });
    this.socket.onmessage = ({ data }) => this.handle(JSON.parse(data));
    this.socket.onerror = () => this.showError("There are no live words: the recording goes on without them.");
  }

  stop() {
    this.socket?.close();
    this.context?.close();
    this.socket = this.context = null;
    this.root.hidden = true;
  }

  send(event) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  handle(event) {
    if (event.type === "error" || event.type === `${TRANSCRIPTION}.failed`) this.showError(event.error.message);
    if (event.type === `${TRANSCRIPTION}.delta`) this.turn(event.item_id).textContent += event.delta;
    if (event.type !== `${TRANSCRIPTION}.completed`) return;
    const turn = this.turn(event.item_id);
    turn.textContent = event.transcript;
    turn.classList.remove("unfinished");
  }

  turn(item) {
    if (!this.turns.has(item)) {
      const turn = element("p", { className: "unfinished", dir: "auto" });
      this.turns.set(item, turn);
      this.root.append(turn);
    }
    return this.turns.get(item);
  }
}

function session(language) {
  const input = { format: { type: "audio/pcm", rate: RATE }, transcription: language ? { language } : {} };
  return { type: "transcription", audio: { input } };
}

const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
