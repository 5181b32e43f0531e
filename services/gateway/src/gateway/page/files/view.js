// What the page shows of an answer.

const element = (id) => document.getElementById(id);
// Never 100.0 %: no model is that sure.
const percent = (share) => (share >= 0.9995 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`);
export const milliseconds = (value) => (value === null ? "–" : `${value.toFixed(value < 10 ? 2 : 1)} ms`);

export function showAnswer(answer, roundTrip, onLabel) {
  const { model, timings_ms: timings } = answer;
  setText({
    label: answer.label,
    confidence: percent(answer.confidence),
    total: milliseconds(timings.total),
    spoken: `Read as ${answer.label}, ${percent(answer.confidence)} sure.`,
    thanks: "",
    "model-name": `${model.name}, version ${model.version}`,
    digest: model.digest,
    prediction: answer.prediction_id,
    trace: answer.trace_id,
    "preprocessing-ms": milliseconds(timings.preprocessing),
    "inference-ms": milliseconds(timings.inference),
    "total-ms": milliseconds(timings.total),
    "round-trip-ms": milliseconds(roundTrip),
  });
  showBars(answer);
  showSeen(answer.features);
  showLabels(answer, onLabel);
  show("answered");
}

const FACTS = ["model-name", "digest", "prediction", "trace", "preprocessing-ms", "inference-ms", "total-ms", "round-trip-ms"];

// States: empty, waiting (the last answer stays, faded), answered, failed.
export function show(state, problem = "") {
  const stays = state === "answered" || (state === "waiting" && !element("result").hidden);
  element("answer").dataset.state = state;
  element("result").hidden = !stays;
  element("invite").hidden = stays || state === "failed";
  element("problem").hidden = state !== "failed";
  element("problem").textContent = problem;
  if (state === "empty" || state === "failed") setText(Object.fromEntries(FACTS.map((id) => [id, "–"])));
}

export function showThanks(label, failure) {
  element("thanks").classList.toggle("failed", failure !== undefined);
  element("thanks").textContent = failure ?? `Thank you: noted as ${label}.`;
  for (const button of element("labels").children) {
    button.setAttribute("aria-pressed", String(failure === undefined && button.value === label));
  }
}

export function showStats({ count, p50_ms: p50, p99_ms: p99 }) {
  setText({ p50: milliseconds(p50), p99: milliseconds(p99), count: String(count) });
}

export function say(words) {
  setText({ spoken: words });
}

function setText(texts) {
  for (const [id, text] of Object.entries(texts)) element(id).textContent = text;
}

function showBars({ label: answered, probabilities }) {
  const body = element("bars");
  if (body.rows.length !== probabilities.length) body.replaceChildren(...probabilities.map(newBar));
  probabilities.forEach(({ label, probability }, position) => {
    const row = body.rows[position];
    row.classList.toggle("best", label === answered);
    row.cells[0].textContent = label;
    row.querySelector(".fill").style.width = `${100 * probability}%`;
    row.cells[2].textContent = percent(probability);
  });
}

function newBar() {
  const row = document.createElement("tr");
  const label = document.createElement("th");
  label.scope = "row";
  const track = document.createElement("span");
  track.className = "track";
  track.append(Object.assign(document.createElement("span"), { className: "fill" }));
  const bar = document.createElement("td");
  bar.setAttribute("aria-hidden", "true");
  bar.append(track);
  row.append(label, bar, document.createElement("td"));
  return row;
}

// The features as a square picture, dark where there is ink.
function showSeen(features) {
  const side = Math.sqrt(features.length);
  const canvas = element("seen");
  canvas.parentElement.hidden = !Number.isInteger(side);
  if (canvas.parentElement.hidden) return;
  canvas.width = canvas.height = side;
  const most = Math.max(...features, 1);
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  features.forEach((value, position) => {
    const grey = 255 - Math.round((255 * value) / most);
    image.data.set([grey, grey, grey, 255], 4 * position);
  });
  context.putImageData(image, 0, 0);
}

function showLabels({ label: answered, probabilities }, onLabel) {
  const buttons = probabilities.map(({ label }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.value = button.textContent = label;
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", label === answered ? `It is ${label}, as answered` : `It is ${label}`);
    button.classList.toggle("answered", label === answered);
    button.addEventListener("click", () => onLabel(label));
    return button;
  });
  element("labels").replaceChildren(...buttons);
}
