// The gateway's native API, as any caller would use it.

const HEADERS = { "x-fairlead-caller": "page" };
const TOKEN = "token"; // in the session storage: it goes with the tab

// What went wrong, in words for a person.
export class Problem extends Error {}

// The gateway asks for a token, or for a better one.
export class NeedsToken extends Problem {}

export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token.trim());
}

export async function predict(model, image, signal) {
  const headers = { ...HEADERS, "content-type": image.type || "application/octet-stream" };
  return call(`/v1/models/${encodeURIComponent(model)}:predict`, { method: "POST", body: image, headers, signal });
}

export async function correct(predictionId, label) {
  const body = JSON.stringify({ label, source: "page" });
  const headers = { ...HEADERS, "content-type": "application/json" };
  return call(`/v1/predictions/${predictionId}:feedback`, { method: "POST", body, headers });
}

export async function models() {
  return (await call("/v1/models", { headers: HEADERS })).models;
}

export async function stats() {
  return call("/v1/stats", { headers: HEADERS });
}

async function call(path, options) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { ...options.headers, authorization: `Bearer ${token}` } : options.headers;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The gateway does not answer. Is it running, and is the network there?");
  }
  if (response.ok) return response.json();
  throw new (response.status === 401 ? NeedsToken : Problem)(await inWords(response));
}

async function inWords(response) {
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `The gateway answered with status ${response.status}.`;
  if (response.status === 503) return `${detail} Nothing is wrong with your drawing.`;
  if (response.status >= 500 && problem.trace_id) return `${detail} Trace id: ${problem.trace_id}`;
  return detail;
}
