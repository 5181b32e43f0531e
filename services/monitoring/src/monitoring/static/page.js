// The monitoring page: reads three JSON endpoints and draws them.

import { calibrationChart, el, quiet, svg, timeChart, whisker } from "./charts.js";
import { drawSides } from "./sides.js";
import { named, percent, short, whole } from "./text.js";

const WINDOWS = { "15m": "15 min", "1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d", "30d": "30 d" };
const REFRESH_MS = 5000;
const MOST_SPLITS = 12;
const GROUPS = { digest: "Digest", revision: "Revision of the gateway", arm: "Arm of an experiment" };
const byId = (id) => document.getElementById(id);
const ms = (value) => (value === null ? "–" : value < 10 ? `${+value.toFixed(1)}` : whole.format(Math.round(value)));
const compact = (value) => (value >= 10000 ? `${+(value / 1000).toFixed(1)}k` : value > 0 && value < 0.1 ? "< 0.1" : `${+value.toFixed(1)}`);

const asked = new URLSearchParams(location.search);
const choice = { window: WINDOWS[asked.get("window")] ? asked.get("window") : "1h", model: asked.get("model") ?? "", digest: asked.get("digest") ?? "", revision: asked.get("revision") ?? "", arm: asked.get("arm") ?? "" };
let pages = 1;
let pending = null;
let drawn = null;

start();

function start() {
  byId("windows").append(...Object.entries(WINDOWS).map(([value, text]) => {
    const input = el("input", { type: "radio", name: "window", value });
    input.checked = value === choice.window;
    return el("label", {}, input, el("span", {}, text));
  }));
  byId("filters").addEventListener("change", (event) => {
    if (event.target.name) choose(event.target.name, event.target.value);
    refresh();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => { pages += 1; refresh(); });
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  new ResizeObserver(() => drawn && drawCharts(drawn)).observe(byId("content"));
  setInterval(() => byId("live").checked && !document.hidden && refresh(), REFRESH_MS);
  refresh();
}

function choose(name, value) {
  choice[name] = value;
  if (name === "model") Object.assign(choice, { digest: "", revision: "", arm: "" });
  pages = 1;
  const query = new URLSearchParams(Object.entries(choice).filter(([, each]) => each));
  history.replaceState(null, "", `?${query}`);
}

async function refresh() {
  pending?.abort();
  pending = new AbortController();
  const { signal } = pending;
  try {
    const overview = await get("/api/overview", {}, signal);
    const some = overview.models.length > 0;
    const mistakes = some ? await readMistakes(signal) : { items: [], more: false };
    draw(overview, mistakes, some ? await get("/api/side-by-side", {}, signal) : null);
    freshness(byId("live").checked ? "" : "paused", `Updated ${new Date().toLocaleTimeString(undefined, { hourCycle: "h23" })}`);
  } catch (error) {
    if (error.name !== "AbortError") freshness("stale", `Cannot read: ${error.message}`);
  }
}

async function readMistakes(signal) {
  const items = [];
  let token = "";
  for (let page = 0; page < pages; page += 1) {
    const answer = await get("/api/predictions", { mistakes: "true", page_size: 12, page_token: token }, signal);
    items.push(...answer.predictions);
    token = answer.next_page_token;
    if (!token) break;
  }
  return { items, more: Boolean(token) };
}

async function get(path, extra, signal) {
  const query = new URLSearchParams(Object.entries({ ...choice, ...extra }).filter(([, value]) => value));
  const response = await fetch(`${path}?${query}`, { signal });
  const body = await response.json();
  if (response.ok) return body;
  if (response.status === 404) Object.assign(choice, { model: "", digest: "", revision: "", arm: "" });
  throw new Error(body.detail ?? response.statusText);
}

function freshness(state, text) {
  byId("freshness").className = `freshness ${state}`;
  byId("freshness").textContent = text;
}

function draw(overview, mistakes, judgements) {
  drawNotices(overview.storage);
  byId("empty").hidden = overview.models.length > 0;
  byId("figures").hidden = overview.models.length === 0;
  byId("filters").hidden = overview.models.length === 0;
  drawFilters(overview);
  if (!overview.models.length) return;
  drawn = { overview, judgements };
  drawTiles(overview);
  drawCharts(drawn);
  drawMix(overview.class_mix);
  drawConfusion(overview);
  drawClasses(overview.classes);
  drawSplits(overview.splits);
  drawMistakes(mistakes);
}

function drawNotices(storage) {
  const texts = [];
  if (storage.failure) texts.push(`Nothing can be stored now: ${storage.failure}. What is shown ends there.`);
  if (storage.moved_aside.length) texts.push(`A corrupt database was moved aside and is kept as ${storage.moved_aside.join(", ")}; this one was begun anew.`);
  const host = byId("notices");
  if (host.dataset.shown === texts.join()) return;
  host.dataset.shown = texts.join();
  host.replaceChildren(...texts.map((text) => el("p", { class: "notice" }, text)));
}

function drawFilters({ models, model }) {
  const names = [...new Set(models.map((each) => each.name))];
  options(byId("model"), names.map((name) => [name, name]), model);
  const digests = new Map();
  for (const each of models.filter(({ name }) => name === model)) {
    if (!digests.has(each.digest)) digests.set(each.digest, `${short(each.digest) || "not given"} · version ${each.version}`);
  }
  options(byId("digest"), [["", digests.size === 1 ? `${[...digests.values()][0]}` : "All digests"], ...(digests.size > 1 ? digests : [])], choice.digest);
  for (const part of ["revision", "arm"]) {
    const values = [...new Set(models.filter(({ name }) => name === model).map((each) => each[part]))].filter(Boolean);
    byId(part).parentElement.hidden = !values.length;
    options(byId(part), [["", part === "arm" ? "All callers" : "All revisions"], ...values.map((value) => [value, named(part, value)])], choice[part]);
  }
}

function options(select, wanted, chosen) {
  const key = JSON.stringify([wanted, chosen]);
  if (select.dataset.key === key) return;
  select.dataset.key = key;
  select.replaceChildren(...wanted.map(([value, text]) => el("option", { value }, text)));
  select.value = chosen;
  select.disabled = wanted.length < 1;
}

function drawTiles({ traffic, window, accuracy, latency, expected_calibration_error: error }) {
  const total = traffic.reduce((sum, [, count]) => sum + count, 0);
  const minutes = (window.until - window.since) / 60000;
  const wrong = accuracy.trials - accuracy.successes;
  const judged = accuracy.trials > 0;
  const tile = (name, figure, unit, more) => el("div", { class: "tile" }, el("h2", {}, name),
    el("p", { class: "figure" }, figure, ...(unit ? [" ", el("small", {}, unit)] : [])), el("p", { class: "more" }, more));
  byId("tiles").replaceChildren(
    tile("Predictions", whole.format(total), "", `${compact(total / minutes)} per minute`),
    tile("Accuracy", judged ? percent(accuracy.value) : "–", "", judged ? `${percent(accuracy.lower)} to ${percent(accuracy.upper)}` : "needs feedback"),
    tile("Mistakes", whole.format(wrong), "", `of ${whole.format(accuracy.trials)} with feedback`),
    tile("Latency", ms(latency.total.p50), "ms median", `${ms(latency.total.p99)} ms at p99`),
    tile("Calibration error", judged ? percent(error) : "–", "", "0 is honest confidence"),
  );
}

function drawCharts({ overview, judgements }) {
  drawSides(overview, judgements);
  drawTotals(overview);
}

function drawTotals({ window, traffic, latency, accuracy, accuracy_over_time: accuracies, calibration, expected_calibration_error: error }) {
  const minutes = window.step / 60000;
  byId("traffic-unit").textContent = `predictions per ${minutes === 1 ? "minute" : minutes < 60 ? `${minutes} minutes` : `${minutes / 60} hours`}`;
  const peak = Math.max(0, ...traffic.map(([, count]) => count));
  timeChart(byId("traffic"), {
    window, format: compact, label: `Traffic: at most ${whole.format(peak)} predictions per step. Arrow keys read single steps.`,
    series: [{ name: "predictions", kind: "bars", colour: 1, points: traffic.map(([at, value]) => ({ at, value, text: whole.format(value) })) }],
  });
  const stages = Object.entries(latency).flatMap(([stage, { over_time: points }], index) => ["p50", "p99"].map((share) => ({
    name: `${stage} ${share}`, kind: share === "p50" ? "line" : "dashed", colour: index + 1,
    points: points.map((point) => ({ at: point.at, value: point[share] })),
  })));
  timeChart(byId("latency"), {
    window, series: stages, format: ms,
    label: `Latency: total ${ms(latency.total.p50)} milliseconds median, ${ms(latency.total.p99)} at the 99th percentile. Arrow keys read single steps.`,
  });
  if (accuracies.length) {
    timeChart(byId("accuracy"), {
      window, format: (value) => percent(value, 0), zero: false, most: 1,
      label: `Accuracy: ${percent(accuracy.value)} of ${accuracy.trials} labelled predictions. Arrow keys read single steps.`,
      series: [{ name: "accuracy", kind: "dots", colour: 1, points: accuracies.map((point) => ({ ...point, text: `${percent(point.value)} of ${point.trials}` })) }],
    });
    calibrationChart(byId("calibration"), calibration, `Calibration: expected error ${percent(error)}`);
  } else {
    byId("accuracy").replaceChildren(quiet("No feedback for this window yet."));
    byId("calibration").replaceChildren(quiet("No feedback for this window yet."));
  }
}

function drawMix(mix) {
  const total = mix.reduce((sum, each) => sum + each.predictions, 0);
  const most = Math.max(1, ...mix.map((each) => each.predictions));
  const rows = mix.slice(0, 40).flatMap(({ label, predictions }) => {
    const fill = el("div");
    fill.style.width = `${(predictions / most) * 100}%`;
    return [el("dt", {}, label), el("dd", { class: "track", "aria-hidden": "true" }, fill),
      el("dd", { class: "count" }, `${percent(predictions / total)} · ${whole.format(predictions)}`)];
  });
  byId("mix").replaceChildren(rows.length ? el("dl", { class: "mix" }, ...rows) : quiet("No predictions in this window."));
}

function drawConfusion({ confusion, classes }) {
  if (!confusion.length) return byId("confusion").replaceChildren(quiet("No feedback for this window yet."));
  const labels = classes.map((each) => each.label);
  const counts = new Map(confusion.map(({ actual, predicted, count }) => [`${actual}\n${predicted}`, count]));
  const head = el("tr", {}, el("th", { class: "corner" }, "right ↓ said →"), ...labels.map((label) => el("th", { scope: "col" }, label)));
  const rows = labels.map((actual) => {
    const row = labels.map((predicted) => counts.get(`${actual}\n${predicted}`) ?? 0);
    const sum = row.reduce((a, b) => a + b, 0);
    return el("tr", {}, el("th", { scope: "row" }, actual), ...row.map((count, at) => matrixCell(count, count / sum, actual === labels[at])));
  });
  const table = el("table", { class: "matrix" }, el("thead", {}, head), el("tbody", {}, ...rows));
  table.style.maxWidth = `${(labels.length + 1) * 56}px`;
  table.style.minWidth = `${(labels.length + 1) * 27}px`;
  return byId("confusion").replaceChildren(table);
}

function matrixCell(count, share, right) {
  const cell = el("td", {}, count ? whole.format(count) : "");
  if (count) {
    const level = right ? share * 0.85 : Math.min(1, 0.25 + share * 2);
    cell.style.setProperty("--tint", right ? "var(--one)" : "var(--bad)");
    cell.style.setProperty("--level", `${Math.round(level * 100)}%`);
    cell.classList.toggle("strong", level > 0.55);
  }
  return cell;
}

function drawClasses(classes) {
  if (!classes.length) return byId("classes").replaceChildren(quiet("No feedback for this window yet."));
  const head = el("tr", {}, ...["Class", "Precision", "Recall"].map((text) => el("th", { scope: "col" }, text)));
  const rows = classes.map(({ label, precision, recall }) => el("tr", {}, el("th", { scope: "row" }, label), rate(precision), rate(recall)));
  return byId("classes").replaceChildren(el("table", { class: "rates" }, el("thead", {}, head), el("tbody", {}, ...rows)));
}

function rate(each) {
  return each.value === null ? el("td", {}, "–")
    : el("td", {}, percent(each.value), el("small", {}, `  ${(each.lower * 100).toFixed(0)}–${(each.upper * 100).toFixed(0)}`));
}

function drawSplits(splits) {
  const shown = Object.entries(GROUPS).filter(([part]) => splits[part].some((each) => each.value));
  const all = shown.flatMap(([part]) => splits[part]);
  if (!all.length) return byId("splits").replaceChildren(quiet("No predictions in this window."));
  const judged = all.filter(({ accuracy }) => accuracy.trials);
  const low = Math.min(1, ...judged.map(({ accuracy }) => accuracy.lower));
  const row = (part, { value, predictions, accuracy }) => el("tr", {},
    el("th", { scope: "row", title: value }, value ? named(part, value) : part === "arm" ? "outside of experiments" : "not given"),
    el("td", {}, whole.format(predictions)),
    el("td", {}, whole.format(accuracy.trials)), rate(accuracy),
    el("td", { class: "whisker" }, ...(accuracy.trials ? [whisker(accuracy, low)] : [])));
  const head = el("tr", {}, ...["", "Answers", "Labelled", "Accuracy"].map((text) => el("th", { scope: "col" }, text)),
    el("td", { class: "whisker ends" }, ...(judged.length ? [el("span", {}, percent(low, 0)), el("span", {}, "100 %")] : [])));
  const groups = shown.map(([part, title]) => el("tbody", {},
    el("tr", {}, el("th", { scope: "rowgroup", colspan: 5 }, title)), ...splits[part].slice(0, MOST_SPLITS).map((each) => row(part, each)),
    ...(splits[part].length > MOST_SPLITS ? [el("tr", {}, el("td", { class: "rest", colspan: 5 }, `and ${splits[part].length - MOST_SPLITS} more`))] : [])));
  return byId("splits").replaceChildren(el("table", { class: "rates splits" }, el("thead", {}, head), ...groups));
}

function drawMistakes({ items, more }) {
  byId("more").hidden = !more;
  byId("mistakes").replaceChildren(items.length
    ? el("ul", { class: "mistakes" }, ...items.map(mistake))
    : quiet("No mistake known in this window: feedback that disagrees with an answer shows up here."));
}

function mistake(item) {
  const when = new Date(item.made_at);
  const picture = pictureOf(item.features, `What the model saw: predicted ${item.label}, right is ${item.actual}`);
  return el("li", { title: `prediction ${item.prediction_id}\ntrace ${item.trace_id}\nfrom ${item.source}` },
    ...(picture ? [picture] : []),
    el("p", { class: "verdict" }, el("del", {}, item.label), " → ", el("ins", {}, item.actual)),
    el("p", {}, item.confidence === null ? "" : `sure to ${percent(item.confidence, 0)}`),
    el("p", {}, when.toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" })));
}

function pictureOf(features, label) {
  const side = Math.sqrt(features.length);
  if (!Number.isInteger(side) || side < 2 || side > 64) return null;
  const most = Math.max(...features, 1e-9);
  const picture = svg("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": label });
  features.forEach((value, at) => value > 0 && picture.append(
    svg("rect", { x: at % side, y: Math.floor(at / side), width: 1, height: 1, opacity: (value / most).toFixed(2) })));
  return picture;
}
