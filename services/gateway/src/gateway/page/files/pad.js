// The drawing pad: strokes by mouse, touch, pen or keyboard, kept as points so that they can be undone and drawn in any colour.

const SIDE = 280; // of the picture that is sent, in pixels
const PEN = 22;
const STEP = 14;
const LONG_STEP = 42;

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad extends EventTarget {
  // Events: "started" (a stroke begins), "drawn" (it ended), "changed" (anything), "read" (Enter), "pen" (set down or lifted by key).
  #canvas;
  #strokes = [];
  #picture = null;
  #open = null; // the stroke under way
  #pen = { x: SIDE / 2, y: SIDE / 2 };
  #byKeyboard = false;

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.#up());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.#focus(canvas.matches(":focus-visible")));
    canvas.addEventListener("blur", () => this.#focus(false));
    new ResizeObserver(() => this.#paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  get empty() {
    return this.#strokes.length === 0 && this.#picture === null;
  }

  undo() {
    this.#open = null;
    if (this.#strokes.pop() === undefined) this.#picture = null;
    this.#changed();
    this.#tell(this.empty ? "changed" : "drawn");
  }

  clear() {
    this.#strokes = [];
    this.#picture = null;
    this.#open = null;
    this.#changed();
  }

  show(bitmap) {
    this.clear();
    this.#picture = bitmap;
    this.#changed();
  }

  // Black on white, whatever the page looks like.
  async toPng() {
    const canvas = new OffscreenCanvas(SIDE, SIDE);
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    this.#drawOn(context, "#000");
    return canvas.convertToBlob({ type: "image/png" });
  }

  #down(event) {
    if (!event.isPrimary || event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#byKeyboard = false;
    this.#begin(this.#at(event));
  }

  #move(event) {
    if (this.#open === null || this.#byKeyboard || !event.isPrimary) return;
    for (const step of event.getCoalescedEvents?.() ?? [event]) this.#open.push(this.#at(step));
    this.#paint();
  }

  #up() {
    if (this.#open === null || this.#byKeyboard) return;
    this.#end();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) this.#step(move, event.shiftKey ? LONG_STEP : STEP);
    else if (event.key === " ") this.#togglePen();
    else if (event.key === "Enter") this.#tell("read");
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Escape") this.clear();
    else return;
    event.preventDefault();
  }

  #step([dx, dy], size) {
    this.#byKeyboard = true;
    const within = (value) => Math.min(SIDE - PEN / 2, Math.max(PEN / 2, value));
    this.#pen = { x: within(this.#pen.x + dx * size), y: within(this.#pen.y + dy * size) };
    this.#open?.push(this.#pen);
    this.#paint();
  }

  #togglePen() {
    if (this.#open === null) {
      this.#byKeyboard = true;
      this.#begin(this.#pen);
      this.#tell("pen", "Pen down");
    } else {
      this.#end();
      this.#tell("pen", "Pen up");
    }
  }

  #begin(point) {
    this.#picture = null;
    this.#open = [point];
    this.#strokes.push(this.#open);
    this.#tell("started");
    this.#changed();
  }

  #end() {
    this.#pen = this.#open.at(-1);
    this.#open = null;
    this.#paint();
    this.#tell("drawn");
  }

  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
  }

  #focus(byKeyboard) {
    this.#byKeyboard = byKeyboard;
    this.#paint();
  }

  #changed() {
    this.#paint();
    this.#tell("changed");
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #paint() {
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (side === 0) return;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const style = getComputedStyle(canvas);
    const context = canvas.getContext("2d");
    context.setTransform(side / SIDE, 0, 0, side / SIDE, 0, 0);
    context.clearRect(0, 0, SIDE, SIDE);
    if (this.empty) this.#paintInvitation(context, style);
    this.#drawOn(context, style.getPropertyValue("--ink"));
    if (this.#byKeyboard) this.#paintPen(context, style.getPropertyValue("--accent"));
  }

  #drawOn(context, ink) {
    if (this.#picture !== null) {
      const scale = Math.min(SIDE / this.#picture.width, SIDE / this.#picture.height);
      const [width, height] = [this.#picture.width * scale, this.#picture.height * scale];
      context.drawImage(this.#picture, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    }
    context.strokeStyle = ink;
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    for (const [first, ...rest] of this.#strokes) {
      context.beginPath();
      context.moveTo(first.x, first.y);
      if (rest.length === 0) context.lineTo(first.x, first.y);
      for (const point of rest) context.lineTo(point.x, point.y);
      context.stroke();
    }
  }

  #paintInvitation(context, style) {
    context.fillStyle = style.getPropertyValue("--soft");
    context.font = `17px ${style.fontFamily}`;
    context.textAlign = "center";
    context.fillText("Draw here", SIDE / 2, SIDE - 24);
  }

  #paintPen(context, colour) {
    context.strokeStyle = colour;
    context.lineWidth = 3;
    context.beginPath();
    context.arc(this.#pen.x, this.#pen.y, PEN / 2, 0, 2 * Math.PI);
    context.stroke();
    if (this.#open !== null) {
      context.fillStyle = colour;
      context.fill();
    }
  }
}
