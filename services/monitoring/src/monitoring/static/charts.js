// Charts as SVG: small, keyboard reachable, readable by a screen reader.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 200;
const MARGIN = { top: 10, right: 8, bottom: 24, left: 44 };

export const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

export const svg = (name, attributes = {}, ...children) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

/** A share with its interval on a line from `low` to 1; the figures stand beside it in words. */
export function whisker({ value, lower, upper }, low) {
  const at = (share) => `${((share - low) / (1 - low || 1)) * 100}%`;
  return svg("svg", { height: 12, "aria-hidden": "true" },
    svg("line", { x1: "0", x2: "100%", y1: 6, y2: 6, class: "gridline" }),
    svg("line", { x1: at(lower), x2: at(upper), y1: 6, y2: 6, class: "c1 interval" }),
    svg("circle", { cx: at(value), cy: 6, r: 4, class: "f1" }));
}

export const quiet = (text) => el("p", { class: "quiet" }, text);

/** Draw series over time. `series`: {name, kind: line|dashed|bars|dots|stack, colour: 1..5, points: [{at, value, lower?, upper?}]}. */
export function timeChart(host, { series, window, format, label, zero = true, most = null }) {
  const cursor = host.dataset.cursor ? Number(host.dataset.cursor) : null;
  const focused = host.contains(document.activeElement);
  const width = Math.max(280, Math.round(host.clientWidth || 400));
  const scale = scales(series, window, width, { zero, most });
  const drawing = svg("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", tabindex: 0, "aria-label": label,
  });
  drawAxes(drawing, scale, window, width, format);
  for (const each of series) drawSeries(drawing, each, scale, window);
  host.replaceChildren(drawing, legend(series));
  const show = follow(host, drawing, { series, window, scale, width, format });
  if (cursor !== null) show(cursor);
  if (focused) drawing.focus({ preventScroll: true });
}

function scales(series, window, width, { zero, most }) {
  const values = series.flatMap((each) => each.points.flatMap((p) => [p.value, p.upper, p.lower]))
    .filter((value) => value !== undefined && value !== null);
  const high = most ?? niceCeiling(Math.max(...values, 0) || 1);
  // Shares are drawn from the highest of these starts that shows every value; an interval may run out of the picture.
  const least = Math.min(1, ...series.flatMap((each) => each.points.map((point) => point.value ?? 1)));
  const low = zero ? 0 : [0.9, 0.8, 0.5].find((start) => start <= least - 0.01) ?? 0;
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, HEIGHT - MARGIN.bottom];
  return {
    low, high, left, right, top, bottom,
    x: (at) => left + ((at - window.since) / (window.until - window.since)) * (right - left),
    y: (value) => bottom - ((value - low) / (high - low)) * (bottom - top),
  };
}

function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

function drawAxes(drawing, scale, window, width, format) {
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const value = scale.low + share * (scale.high - scale.low);
    const y = scale.y(value);
    drawing.append(svg("line", { class: share ? "gridline" : "axis", x1: scale.left, x2: scale.right, y1: y, y2: y }));
    if (share !== 0.25 && share !== 0.75) {
      drawing.append(svg("text", { x: scale.left - 8, y: y + 4, "text-anchor": "end" }, format(value)));
    }
  }
  const ticks = width < 420 ? 3 : 5;
  for (let tick = 0; tick < ticks; tick += 1) {
    const at = window.since + ((window.until - window.since) * tick) / (ticks - 1);
    const anchor = tick === 0 ? "start" : tick === ticks - 1 ? "end" : "middle";
    drawing.append(svg("text", { x: scale.x(at), y: HEIGHT - 6, "text-anchor": anchor }, timeLabel(at, window)));
  }
}

export function timeLabel(at, window, full = false) {
  const long = window.until - window.since > 36 * 3600e3;
  const date = long || full ? { day: "numeric", month: "short" } : {};
  const time = window.step < 6 * 3600e3 && (!long || full) ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : {};
  return new Intl.DateTimeFormat(undefined, { ...date, ...time }).format(at);
}

function drawSeries(drawing, { kind, colour, points }, scale, window) {
  if (kind === "bars") return drawBars(drawing, points, scale, window);
  if (kind === "stack") return drawStack(drawing, points, colour, scale, window);
  const known = points.filter((point) => point.value !== null);
  if (known.some((point) => point.lower !== undefined)) drawing.append(band(known, colour, scale, window));
  // A step without a value breaks the line: nothing was measured there.
  let path = "";
  let before = null;
  for (const point of known) {
    const joined = before !== null && point.at - before <= window.step * 1.5;
    path += `${joined ? "L" : "M"}${scale.x(point.at + window.step / 2).toFixed(1)} ${scale.y(point.value).toFixed(1)}`;
    if (!joined || kind === "dots") drawing.append(dot(point, colour, scale, window));
    before = point.at;
  }
  return drawing.append(svg("path", { class: `line c${colour}${kind === "dashed" ? " dashed" : ""}`, d: path }));
}

function dot(point, colour, scale, window) {
  return svg("circle", {
    class: `f${colour}`, cx: scale.x(point.at + window.step / 2), cy: scale.y(point.value), r: 2.2,
  });
}

function drawBars(drawing, points, scale, window) {
  const broad = scale.x(window.since + window.step) - scale.x(window.since);
  for (const { at, value } of points) {
    if (!value) continue;
    const y = scale.y(value);
    const x = Math.max(scale.left, scale.x(at) + broad * 0.1);
    const wide = Math.min(scale.right, scale.x(at) + broad * 0.9) - x;
    if (wide > 0) drawing.append(svg("rect", { class: "bar-mark", x, y, width: wide, height: scale.bottom - y, rx: Math.min(2, broad / 4) }));
  }
}

function drawStack(drawing, points, colour, scale, window) {
  const broad = scale.x(window.since + window.step) - scale.x(window.since);
  for (const { at, base, value } of points) {
    const x = Math.max(scale.left, scale.x(at));
    const [top, bottom] = [scale.y(Math.min(1, base + value)), scale.y(base)];
    const wide = Math.min(scale.right, scale.x(at) + broad) - x;
    if (wide > 0) drawing.append(svg("rect", { class: `f${colour} stack`, x, y: top, width: wide + 0.3, height: bottom - top }));
  }
}

function band(points, colour, scale, window) {
  const group = svg("g");
  const half = (scale.x(window.since + window.step) - scale.x(window.since)) / 2;
  for (const { at, lower, upper } of points) {
    const x = scale.x(at + window.step / 2) - half;
    const [top, bottom] = [scale.y(upper), scale.y(Math.max(scale.low, lower))];
    group.append(svg("rect", { class: `area f${colour}`, x, y: top, width: half * 2 + 0.3, height: Math.max(1, bottom - top) }));
  }
  return group;
}

function legend(series) {
  if (series.length < 2) return "";
  const items = series.map(({ name, colour, kind }) => {
    const mark = kind === "stack" ? svg("rect", { x: 4, y: 0, width: 10, height: 8, class: `f${colour} stack` })
      : svg("line", { x1: 0, x2: 18, y1: 4, y2: 4, class: `line c${colour}${kind === "dashed" ? " dashed" : ""}` });
    return el("li", {}, svg("svg", { viewBox: "0 0 18 8", "aria-hidden": "true" }, mark), name);
  });
  return el("ul", { class: "legend" }, ...items);
}

/** Let pointer and arrow keys read the values of one step; returns what shows a step. */
function follow(host, drawing, { series, window, scale, width, format }) {
  const tip = el("div", { class: "tip", role: "status", hidden: "" });
  const line = svg("line", { class: "cursor", y1: scale.top, y2: scale.bottom, visibility: "hidden" });
  const last = Math.ceil((window.until - window.since) / window.step) - 1;
  drawing.append(line);
  host.append(tip);
  const hide = () => {
    tip.hidden = true;
    line.setAttribute("visibility", "hidden");
    delete host.dataset.cursor;
  };
  const show = (wanted) => {
    const step = Math.max(0, Math.min(last, wanted));
    const at = window.since + step * window.step;
    host.dataset.cursor = step;
    const rows = series.map(({ name, points }) => [name, points.find((point) => point.at === at)])
      .filter(([, point]) => point && point.value !== null)
      .map(([name, point]) => `${name}  ${point.text ?? format(point.value)}`);
    tip.textContent = [timeLabel(at, window, true), ...(rows.length ? rows : ["nothing"])].join("\n");
    const x = Math.min(scale.right, scale.x(at + window.step / 2));
    for (const key of ["x1", "x2"]) line.setAttribute(key, x);
    line.setAttribute("visibility", "visible");
    tip.hidden = false;
    const shown = (x / width) * host.clientWidth;
    tip.style.left = `${shown > host.clientWidth / 2 ? shown - tip.offsetWidth - 10 : shown + 10}px`;
  };
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const share = (((event.clientX - box.left) / box.width) * width - scale.left) / (scale.right - scale.left);
    show(Math.floor((share * (window.until - window.since)) / window.step));
  });
  drawing.addEventListener("pointerleave", hide);
  drawing.addEventListener("blur", hide);
  drawing.addEventListener("keydown", (event) => {
    const at = host.dataset.cursor ? Number(host.dataset.cursor) : last;
    const target = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    show(target);
  });
  return show;
}

/** Draw what was claimed against what was achieved, one dot per bin, the larger the more predictions. */
export function calibrationChart(host, bins, label) {
  const width = Math.max(240, Math.round(host.clientWidth || 320));
  const [left, right, top, bottom] = [44, width - 10, 8, 236];
  const x = (value) => left + value * (right - left);
  const y = (value) => bottom - value * (bottom - top);
  const drawing = svg("svg", { viewBox: `0 0 ${width} 276`, role: "img", "aria-label": label });
  for (const value of [0, 0.5, 1]) {
    drawing.append(
      svg("line", { class: value ? "gridline" : "axis", x1: left, x2: right, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, `${value * 100} %`),
      svg("text", { x: x(value), y: bottom + 18, "text-anchor": value === 1 ? "end" : value ? "middle" : "start" }, `${value * 100} %`),
    );
  }
  drawing.append(
    svg("text", { x: x(0.5), y: bottom + 36, "text-anchor": "middle" }, "confidence (across), accuracy (up)"),
    svg("line", { class: "ideal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
  );
  const most = Math.max(...bins.map((bin) => bin.count));
  for (const bin of bins) {
    const [cx, cy] = [x(bin.mean_confidence), y(bin.accuracy)];
    const title = `claimed ${(bin.mean_confidence * 100).toFixed(1)} %, right ${(bin.accuracy * 100).toFixed(1)} % of ${bin.count}`;
    drawing.append(
      svg("line", { class: "line c1", x1: cx, x2: cx, y1: y(bin.mean_confidence), y2: cy, opacity: 0.45 }),
      svg("circle", { class: "f1", cx, cy, r: 3 + 5 * Math.sqrt(bin.count / most) }, svg("title", {}, title)),
    );
  }
  host.replaceChildren(drawing);
}

/** Draw how evidence grew with what was looked at, as powers of ten; a verdict falls where a line reaches `needed`. */
export function evidenceChart(host, { trail, needed, unit }) {
  const width = Math.max(260, Math.round(host.clientWidth || 400));
  const [left, right, top, bottom] = [52, width - 10, 10, 166];
  const power = (value) => Math.log10(Math.max(value, 1e-9));
  const high = Math.ceil(power(needed)) + 0.3;
  const low = -2;
  const last = trail.at(-1)[0];
  const x = (trials) => left + (trials / Math.max(last, 1)) * (right - left);
  const y = (value) => bottom - ((Math.min(high, Math.max(low, power(value))) - low) / (high - low)) * (bottom - top);
  const [, abort, promote] = trail.at(-1);
  const said = (value) => (value >= 10 ? Math.round(value) : +value.toPrecision(2));
  const drawing = svg("svg", { viewBox: `0 0 ${width} 206`, role: "img",
    "aria-label": `Evidence after ${last} ${unit}: ${said(abort)} for abort, ${said(promote)} for promotion, of ${needed} that it takes` });
  for (const value of [0.01, 1, needed]) {
    drawing.append(svg("line", { class: value === needed ? "ideal" : "gridline", x1: left, x2: right, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, value === 0.01 ? "≤ 0.01" : `${value}`));
  }
  for (const [at, anchor] of [[0, "start"], [last, "end"]]) drawing.append(svg("text", { x: x(at), y: bottom + 16, "text-anchor": anchor }, `${at}`));
  drawing.append(svg("text", { x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle" }, unit));
  for (const [column, kind] of [[1, "abort"], [2, "promote"]]) {
    const path = [[0, 1, 1], ...trail].map((point) => `${x(point[0]).toFixed(1)} ${y(point[column]).toFixed(1)}`).join("L");
    drawing.append(svg("path", { class: `line ${kind}`, d: `M${path}` }));
  }
  const key = [["abort", "that it is worse than is tolerated"], ["promote", "that it is better than is refused"]]
    .map(([kind, text]) => el("li", {}, svg("svg", { viewBox: "0 0 18 8", "aria-hidden": "true" }, svg("line", { x1: 0, x2: 18, y1: 4, y2: 4, class: `line ${kind}` })), text));
  host.replaceChildren(drawing, el("ul", { class: "legend" }, ...key));
}
