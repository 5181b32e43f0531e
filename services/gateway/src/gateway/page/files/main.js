// The page: draw, ask, show, correct.

import * as gateway from "./gateway.js";
import { Pad } from "./pad.js";
import { say, show, showAnswer, showStats, showThanks } from "./view.js";

const PAUSE_MS = 600; // long enough to lift the pen within a four
const STATS_MS = 2000;

const element = (id) => document.getElementById(id);
const pad = new Pad(element("pad"));
let pause; // timer until a drawing counts as finished
let asking = new AbortController();

async function read(image) {
  clearTimeout(pause);
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  show("waiting");
  try {
    if (!element("model").value) await chooseModel(); // the gateway may not have known its models when the page came
    const picture = image ?? (await pad.toPng());
    const start = performance.now();
    const answer = await gateway.predict(element("model").value, picture, signal);
    if (signal.aborted) return;
    showAnswer(answer, performance.now() - start, (label) => correct(answer.prediction_id, label));
    refreshStats();
  } catch (error) {
    if (signal.aborted) return;
    show("failed", inWords(error));
  }
}

async function correct(predictionId, label) {
  try {
    await gateway.correct(predictionId, label);
    showThanks(label);
  } catch (error) {
    showThanks(label, inWords(error));
  }
}

async function openFile(file) {
  pad.clear();
  try {
    pad.show(await createImageBitmap(file));
  } catch {
    // The gateway judges what is a picture and says why not.
  }
  await read(file);
}

function inWords(error) {
  element("token-choice").hidden = !(error instanceof gateway.NeedsToken);
  if (error instanceof gateway.Problem) return error.message;
  console.error(error);
  return "Something went wrong on this page. Reload it and try again.";
}

function stop() {
  clearTimeout(pause);
  asking.abort();
}

function onChange() {
  element("undo").disabled = element("clear").disabled = pad.empty;
  if (!pad.empty) return;
  stop();
  show("empty");
}

async function chooseModel() {
  try {
    const names = (await gateway.models()).filter((model) => model.feature_spec).map((model) => model.name);
    element("token-choice").hidden = true;
    element("model").replaceChildren(...names.map((name) => new Option(name)));
    element("model-choice").hidden = names.length < 2;
    if (names.length === 0) show("failed", "No model here takes pictures.");
    showCommand();
  } catch (error) {
    show("failed", inWords(error));
  }
}

function showCommand() {
  const url = `${location.origin}/v1/models/${element("model").value}:predict`;
  element("curl").textContent = `curl --data-binary @seven.png -H 'content-type: image/png' ${url}`;
}

async function refreshStats() {
  if (document.hidden) return;
  await gateway.stats().then(showStats, () => {}); // the next round tries again
}

pad.addEventListener("started", stop);
pad.addEventListener("drawn", () => {
  clearTimeout(pause);
  pause = setTimeout(read, PAUSE_MS);
});
pad.addEventListener("changed", onChange);
pad.addEventListener("read", () => pad.empty || read());
pad.addEventListener("pen", (event) => say(event.detail));

element("undo").addEventListener("click", () => pad.undo());
element("clear").addEventListener("click", () => pad.clear());
element("model").addEventListener("change", showCommand);
element("token").addEventListener("change", (event) => {
  gateway.keepToken(event.target.value);
  event.target.value = "";
  show("empty");
  chooseModel();
});
element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) openFile(file);
});

for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    element("pad").classList.toggle("over", name === "dragover");
    const file = event.dataTransfer?.files[0];
    if (name === "drop" && file) openFile(file);
  });
}

chooseModel();
refreshStats();
setInterval(refreshStats, STATS_MS);
