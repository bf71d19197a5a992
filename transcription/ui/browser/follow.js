// One request: the file goes up, events come down, one JSON object a line.
import { headers, refusal, sentence } from "./tools.js";

/** told: what to call for each kind of event. The promise holds the transcript; stop() ends the work. */
export function follow(file, options, told) {
  const request = new XMLHttpRequest(); // fetch does not say how much has been sent
  const transcript = new Promise((resolve, reject) => {
    let read = 0;
    let found = null;
    const lines = () => {
      try {
        for (let end; request.status === 200 && (end = request.responseText.indexOf("\n", read)) >= 0; read = end + 1) {
          const line = request.responseText.slice(read, end);
          if (!line) continue;
          const [[kind, value]] = Object.entries(JSON.parse(line));
          if (kind === "error") reject(new Error(sentence(value)));
          else if (kind === "transcript") found = value;
          else told[kind]?.(value);
        }
      } catch {
        reject(new Error("The page does not understand what the server says: load it again."));
        request.abort();
      }
    };
    request.upload.onprogress = (event) => told.sent(event.total ? event.loaded / event.total : 0);
    request.upload.onload = () => told.sent(1);
    request.onprogress = lines;
    request.onload = () => {
      if (request.status !== 200) return reject(new Error(refusal(request.status, request.responseText)));
      lines();
      if (found) resolve(found);
      else reject(new Error("The connection ended before the transcript did: try again."));
    };
    request.onerror = () => reject(new Error("The connection broke: is the server still running?"));
    request.onabort = () => reject(new Error("Stopped."));
  });
  const form = new FormData();
  form.append("options", JSON.stringify(options));
  form.append("file", file, "recording"); // the server needs no name
  request.open("POST", "transcribe");
  for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
  request.send(form);
  return { transcript, stop: () => request.abort() };
}
