// Talking to the controller.

export class Refused extends Error {}

async function answerOf(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(body.message ?? `the controller answered ${response.status}`);
  return body;
}

export async function get(path) {
  return answerOf(await fetch(path));
}

export async function send(path, body, method = "POST") {
  return answerOf(await fetch(path, {
    method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  }));
}

export const call = (method, body) => send(`/api/call/${method}`, body);

// Follows the controller. A connection that says nothing for long is taken for lost.
export function follow(onState, onLost) {
  const silence = 25000;
  let timer = 0;
  const expect = () => { clearTimeout(timer); timer = setTimeout(() => onLost(true), silence); };
  const source = new EventSource("/api/stream");
  source.addEventListener("state", (event) => { expect(); onLost(false); onState(JSON.parse(event.data)); });
  source.addEventListener("error", () => onLost(true));
  return source;
}
