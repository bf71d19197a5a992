// One transcription request: the file goes up, events come down, one JSON object per line.
import { authorization } from "./api_key.js";
import { withLabel } from "./options.js";
import { errorMessage, sentence } from "./text.js";

/**
 * Send a recording with its options and call handlers[kind] with each event. handlers.upload gets the share that is sent, 0 to 1.
 *
 * Return {transcript, stop}: a promise of the transcript, and a function that cancels the request.
 */
export function sendRequest(file, options, handlers) {
  const request = new XMLHttpRequest(); // fetch does not report upload progress
  const transcript = new Promise((resolve, reject) => {
    const reader = new EventReader(handlers);
    const fail = (message) => reject(new Error(message));
    const read = () => {
      if (request.status !== 200) return;
      try {
        reader.read(request.responseText);
      } catch {
        fail("The page does not understand the server's response: reload the page.");
        request.abort();
      }
    };
    request.upload.onprogress = (event) => handlers.upload(event.total ? event.loaded / event.total : 0);
    request.upload.onload = () => handlers.upload(1);
    request.onprogress = read;
    request.onload = () => {
      if (request.status !== 200) return fail(withLabel(errorMessage(request.status, request.responseText)));
      read();
      if (reader.error) fail(sentence(withLabel(reader.error)));
      else if (reader.transcript) resolve(reader.transcript);
      else fail("The connection closed before the transcript was complete: try again.");
    };
    request.onerror = () => fail("The connection was lost: is the server still running?");
    request.onabort = () => fail("Stopped.");
  });
  request.open("POST", "transcribe");
  for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
  request.send(formData(file, options));
  return { transcript, stop: () => request.abort() };
}

function formData(file, { align, known_speakers, ...options }) {
  const form = new FormData();
  form.append("options", JSON.stringify(options));
  if (align.trim()) form.append("align", align); // texts and samples are too long for the field of all options
  if (Object.keys(known_speakers).length) form.append("known_speakers", JSON.stringify(known_speakers));
  form.append("file", file, file.name || "recording"); // RTTM names it
  return form;
}

/** Reads the complete lines of a response that grows. */
class EventReader {
  constructor(handlers) {
    this.handlers = handlers;
    this.position = 0;
    this.transcript = null;
    this.error = null;
  }

  read(response) {
    for (let end; (end = response.indexOf("\n", this.position)) >= 0; this.position = end + 1) {
      const line = response.slice(this.position, end);
      if (line) this.handle(JSON.parse(line));
    }
  }

  handle(event) {
    const [[kind, value]] = Object.entries(event);
    if (kind === "error") this.error = value;
    else if (kind === "transcript") this.transcript = value;
    else this.handlers[kind]?.(value);
  }
}
