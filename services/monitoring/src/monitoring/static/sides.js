// Who answers how much and how well, and what the judgements say: a canary, arms of an experiment, a shadow.

import { el, evidenceChart, quiet, timeChart } from "./charts.js";
import { named, PARTS, percent, whole } from "./text.js";

const OTHERS = 5;
const VERDICTS = { promote: "may be promoted", abort: "to be aborted", inconclusive: "not decided yet" };
const byId = (id) => document.getElementById(id);
let chosen = "";
let redraw = () => {};

/** Draw the cards that compare; the person's choice of a part stays. */
export function drawSides(overview, judgements) {
  const parts = Object.keys(PARTS).filter((part) => overview.over_time[part].some(({ value }) => value));
  byId("sides").hidden = !parts.length;
  if (!parts.length) return;
  // What is worth a look: the first part of which there are several.
  const several = parts.find((part) => overview.over_time[part].length > 1) ?? parts[0];
  const part = parts.includes(chosen) ? chosen : several;
  drawChoice(parts, part);
  redraw = (wanted) => drawPart(overview, judgements, wanted);
  redraw(part);
}

function drawChoice(parts, part) {
  const host = byId("part");
  const key = parts.join();
  if (host.dataset.shown !== key) {
    host.dataset.shown = key;
    host.replaceChildren(...parts.map((value) => {
      const input = el("input", { type: "radio", name: "part", value });
      input.addEventListener("change", () => { chosen = value; redraw(value); });
      return el("label", {}, input, el("span", {}, PARTS[value]));
    }));
  }
  host.querySelector(`[value=${part}]`).checked = true;
}

function drawPart(overview, judgements, part) {
  const { window, over_time: { [part]: lines } } = overview;
  drawShares(lines, window, part);
  drawAccuracies(lines, window, part);
  drawCanary(judgements.accuracy[part], part);
  drawShadows(judgements.shadows);
}

const nameOf = (part, value) => (value ? named(part, value) : "all others");
const colourOf = (line, index) => (line.value ? index + 1 : OTHERS);

function drawShares(lines, window, part) {
  const totals = new Map();
  for (const { traffic } of lines) for (const [at, count] of traffic) totals.set(at, (totals.get(at) ?? 0) + count);
  const below = new Map();
  const series = lines.map((line, index) => ({
    name: nameOf(part, line.value), kind: "stack", colour: colourOf(line, index),
    points: line.traffic.map(([at, count]) => {
      const base = below.get(at) ?? 0;
      const value = count / totals.get(at);
      below.set(at, base + value);
      return { at, base, value, text: `${percent(value)} · ${whole.format(count)}` };
    }),
  }));
  const last = Math.max(...totals.keys());
  const now = lines.map((line) => `${nameOf(part, line.value)} ${percent((line.traffic.find(([at]) => at === last)?.[1] ?? 0) / totals.get(last), 0)}`);
  timeChart(byId("shares"), {
    window, series, format: (value) => percent(value, 0), most: 1,
    label: `Shares: of the last answers ${now.join(", ")}. Arrow keys read single steps.`,
  });
}

function drawAccuracies(lines, window, part) {
  const judged = lines.filter(({ accuracy }) => accuracy.length);
  if (!judged.length) return byId("accuracies").replaceChildren(quiet("No feedback for this window yet."));
  const series = lines.flatMap((line, index) => (line.accuracy.length ? [{
    name: nameOf(part, line.value), kind: "dots", colour: colourOf(line, index),
    points: line.accuracy.map((point) => ({ ...point, text: `${percent(point.value)} of ${point.trials}, ${percent(point.lower, 0)} to ${percent(point.upper, 0)}` })),
  }] : []));
  return timeChart(byId("accuracies"), {
    window, series, format: (value) => percent(value, 0), zero: false, most: 1,
    label: `Accuracies: ${judged.map(({ value }) => nameOf(part, value)).join(", ")}. Arrow keys read single steps.`,
  });
}

function drawCanary(judged, part) {
  const host = byId("canary");
  if (!judged) return host.replaceChildren(quiet(`Only one ${PARTS[part].toLowerCase()} answers in this window: there is nothing to compare.`));
  const figures = ["canary", "stable"].map((side) => [part === "arm" ? side === "canary" ? "newer" : "other" : side, named(part, judged[side].name), judged[side]]);
  return judgement(host, judged, figures, "labelled answers of the canary");
}

function drawShadows(shadows) {
  const host = byId("shadow");
  if (!shadows.length) return host.replaceChildren(quiet("No shadow is compared in this window."));
  const [latest] = shadows;
  const { disagreements } = latest;
  judgement(host, latest, [["disagrees", named("digest", latest.canary), disagreements]], "compared answers");
  const reasons = [[latest.shadow_failed, "failed"], [latest.labels_differed, "other label"], ...latest.tensors.map((each) => [each.differed, `${each.name} differs`])];
  return host.append(el("p", { class: "more" }, `Against ${named("digest", latest.stable)}: ${reasons.map(([count, text]) => `${whole.format(count)} ${text}`).join(", ")}`));
}

function judgement(host, judged, figures, unit) {
  const badge = el("strong", { class: `badge ${judged.verdict}` }, VERDICTS[judged.verdict]);
  const rows = figures.map(([role, name, { value, lower, upper, trials }]) => el("tr", {},
    el("th", { scope: "row" }, role), el("td", { class: "name" }, name),
    el("td", {}, value === null ? "–" : percent(value), el("small", {}, value === null ? "" : `  ${percent(lower, 0)} to ${percent(upper, 0)}`)),
    el("td", {}, `of ${whole.format(trials)}`)));
  const chart = el("div", { class: "chart" });
  host.replaceChildren(el("p", { class: "verdict-line" }, badge, " ", judged.reason), el("table", { class: "rates sides" }, el("tbody", {}, ...rows)), chart);
  if (judged.trail.length) evidenceChart(chart, { trail: judged.trail, needed: judged.limits.evidence_needed, unit });
}
