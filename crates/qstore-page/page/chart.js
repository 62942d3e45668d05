// A chart: curves on axes, on a canvas or as SVG, by one and the same code.

/** Draws on a canvas. */
function canvasPen(context) {
  return {
    clip(x, y, width, height, draw) {
      context.save();
      context.beginPath();
      context.rect(x, y, width, height);
      context.clip();
      draw();
      context.restore();
    },
    rect(x, y, width, height, style) {
      context.globalAlpha = style.alpha ?? 1;
      context.fillStyle = style.fill;
      context.fillRect(x, y, width, height);
      context.globalAlpha = 1;
    },
    /** Lists of x and y. */
    lines(all, style) {
      context.globalAlpha = style.alpha ?? 1;
      context.strokeStyle = style.stroke;
      context.lineWidth = style.width ?? 1;
      context.lineJoin = "round";
      context.lineCap = style.dash ? "butt" : "round";
      context.setLineDash(style.dash ?? []);
      context.beginPath();
      for (const points of all) {
        context.moveTo(points[0], points[1]);
        // A line to where it began is a dot.
        if (points.length === 2) context.lineTo(points[0], points[1]);
        for (let at = 2; at < points.length; at += 2) context.lineTo(points[at], points[at + 1]);
      }
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
    },
    dot(x, y, radius, style) {
      context.fillStyle = style.fill;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    },
    text(text, x, y, style) {
      context.fillStyle = style.fill;
      context.font = style.font;
      context.textAlign = style.align ?? "left";
      context.textBaseline = "middle";
      context.fillText(text, x, y);
    },
  };
}

/** Draws the same as a text of SVG. */
function svgPen() {
  const parts = [];
  let clips = 0;
  const short = (value) => String(Math.round(value * 100) / 100);
  const stroke = (style) => {
    const dash = style.dash ? ` stroke-dasharray="${style.dash.join(" ")}"` : "";
    const alpha = style.alpha === undefined ? "" : ` stroke-opacity="${style.alpha}"`;
    return `fill="none" stroke="${style.stroke}" stroke-width="${style.width ?? 1}"${dash}${alpha}`;
  };
  return {
    clip(x, y, width, height, draw) {
      clips += 1;
      parts.push(`<clipPath id="c${clips}"><rect x="${x}" y="${y}" width="${width}" height="${height}"/></clipPath>`);
      parts.push(`<g clip-path="url(#c${clips})">`);
      draw();
      parts.push("</g>");
    },
    rect(x, y, width, height, style) {
      parts.push(
        `<rect x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}" ` +
        `fill="${style.fill}" fill-opacity="${style.alpha ?? 1}"/>`,
      );
    },
    lines(all, style) {
      let path = "";
      for (const points of all) {
        path += `M${short(points[0])} ${short(points[1])}`;
        if (points.length === 2) path += "h0";
        for (let at = 2; at < points.length; at += 2) path += `L${short(points[at])} ${short(points[at + 1])}`;
      }
      if (path) parts.push(`<path d="${path}" stroke-linejoin="round" stroke-linecap="round" ${stroke(style)}/>`);
    },
    dot(x, y, radius, style) {
      parts.push(`<circle cx="${short(x)}" cy="${short(y)}" r="${radius}" fill="${style.fill}"/>`);
    },
    text(text, x, y, style) {
      const anchor = { left: "start", center: "middle", right: "end" }[style.align ?? "left"];
      parts.push(
        `<text x="${short(x)}" y="${short(y)}" text-anchor="${anchor}" dominant-baseline="central" ` +
        `font-family="system-ui, sans-serif" font-size="${parseFloat(/[\d.]+px/.exec(style.font)[0])}" ` +
        `fill="${style.fill}">${xml(text)}</text>`,
      );
    },
    finish: (width, height, fill) =>
      `<svg xmlns="${SVG_NAMESPACE}" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="${fill}"/>${parts.join("\n")}</svg>\n`,
  };
}

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
const POINTS_MAX = 40;
const MARGIN = { left: 58, right: 14, top: 8, bottom: 26 };

/**
 * What a chart looks like: `curves`, the window `[from, to]` or null for all, `isLogX`, `isLogY`, `smoothing`, `xKind`,
 * `hasSuperseded`, `gaps` and `style` of each run, and the `colors` of the theme.
 */
function layout(view, width, height) {
  const area = {
    x: MARGIN.left, y: MARGIN.top,
    width: Math.max(10, width - MARGIN.left - MARGIN.right),
    height: Math.max(10, height - MARGIN.top - MARGIN.bottom),
  };
  const curves = view.curves.filter((curve) => curve.traces.length > 0 || curve.bands?.length > 0);
  let [from, to] = view.window ?? [Infinity, -Infinity];
  if (!view.window) {
    for (const curve of curves) {
      const [low, high] = reach(curve, view.hasSuperseded);
      [from, to] = [Math.min(from, low), Math.max(to, high)];
    }
  }
  if (!(from < to)) [from, to] = Number.isFinite(from) ? [from - 0.5, from + 0.5] : [0, 1];
  const isLogX = view.isLogX && to > 0;
  if (isLogX && from <= 0) from = Math.min(1, to / 10);
  const values = function* () {
    for (const curve of curves) yield* extremes(curve, from, to, view.hasSuperseded);
  };
  const [low, high] = covering(values(), view.isLogY);
  return {
    area, curves,
    x: scale(from, to, area.x, area.x + area.width, isLogX),
    y: scale(low, high, area.y + area.height, area.y, view.isLogY),
  };
}

function paint(pen, view, width, height) {
  const { area, curves, x, y } = layout(view, width, height);
  const { colors } = view;
  const font = "11px system-ui, sans-serif";
  const bottom = area.y + area.height;

  if (view.xKind === "step") {
    for (const gap of view.gaps) {
      const [start, end] = [x.at(gap.from - 0.5), x.at(gap.to + 0.5)];
      if (end < area.x || start > area.x + area.width) continue;
      const left = Math.max(start, area.x);
      const right = Math.max(Math.min(end, area.x + area.width), left + 1);
      pen.rect(left, area.y, right - left, area.height, { fill: colors.gap, alpha: 0.35 });
    }
  }

  const yTicks = ticks(y.low, y.high, Math.max(2, Math.floor(area.height / 34)), y.isLog);
  for (const tick of yTicks) {
    const at = Math.round(y.at(tick.value)) + 0.5;
    pen.lines([[area.x, at, area.x + area.width, at]], { stroke: colors.grid });
    pen.text(tick.text, area.x - 7, at, { fill: colors.faint, font, align: "right" });
  }
  const count = Math.max(2, Math.floor(area.width / 78));
  const isTime = (view.xKind === "time" || view.xKind === "relative") && !x.isLog;
  const xTicks = isTime
    ? timeTicks(x.low, x.high, count, view.xKind === "time")
    : ticks(x.low, x.high, count, x.isLog);
  for (const tick of xTicks) {
    const at = Math.round(x.at(tick.value)) + 0.5;
    pen.lines([[at, area.y, at, bottom]], { stroke: colors.grid });
    pen.text(tick.text, at, bottom + 13, { fill: colors.faint, font, align: "center" });
  }
  pen.lines([[area.x, bottom + 0.5, area.x + area.width, bottom + 0.5]], { stroke: colors.axis });

  pen.clip(area.x, area.y, area.width, area.height, () => {
    for (const curve of curves) {
      const style = view.style(curve.run);
      for (const [low, high, least, largest] of curve.traces.length > 0 ? [] : curve.bands ?? []) {
        const [left, right] = [x.at(low), Math.max(x.at(high), x.at(low) + 1)];
        const [upper, lower] = [y.at(largest), Math.max(y.at(least), y.at(largest) + 1)];
        pen.rect(left, upper, right - left, lower - upper, { fill: style.color, alpha: 0.35 });
      }
      for (const line of curve.traces) {
        if (line.superseded && !view.hasSuperseded) continue;
        const raw = lines(line, curve.grid, x, y);
        if (line.superseded) {
          pen.lines(raw, { stroke: style.color, width: 1, dash: [4, 3], alpha: 0.55 });
        } else if (view.smoothing > 0) {
          pen.lines(raw, { stroke: style.color, width: 1, alpha: 0.28 });
          const smoothed = smoothLines(line, curve.grid, x, y, view.smoothing);
          pen.lines(smoothed, { stroke: style.color, width: 2, dash: style.dash });
        } else {
          pen.lines(raw, { stroke: style.color, width: 1.5, dash: style.dash });
        }
        // Few points are seen as points, not only as corners of a line.
        if (line.columns.length <= POINTS_MAX) {
          line.columns.forEach((column, at) => {
            if (Number.isNaN(line.min[at])) return;
            pen.dot(x.at(placeOf(curve.grid, column)), y.at(line.last[at]), 2.5, { fill: style.color });
          });
        }
        // What has no place on the axis is a mark on its rim.
        for (const [at, nans, above, below] of line.odd) {
          const pixel = x.at(placeOf(curve.grid, line.columns[at]));
          if (above > 0) pen.lines([[pixel, area.y, pixel, area.y + 6]], { stroke: style.color, width: 2 });
          if (below > 0) pen.lines([[pixel, bottom, pixel, bottom - 6]], { stroke: style.color, width: 2 });
          if (nans > 0) {
            const middle = bottom - 6;
            pen.lines(
              [[pixel - 3, middle - 3, pixel + 3, middle + 3], [pixel - 3, middle + 3, pixel + 3, middle - 3]],
              { stroke: style.color, width: 1.5 },
            );
          }
        }
      }
    }
  });
  if (curves.length === 0) {
    pen.text(view.message, area.x + area.width / 2, area.y + area.height / 2, {
      fill: colors.faint, font: "13px system-ui, sans-serif", align: "center",
    });
  }
  return { area, x, y };
}

/** What stands at an x: the step, or the steps that a pixel column has. */
function placeText(kind, value, first) {
  if (kind === "time") return utc(Math.round(value * 1000));
  if (kind === "relative") return value === 0 ? "0 s" : duration(value);
  if (first && first.to - first.from <= 1) return `${kind} ${number(Math.ceil(first.from - 1e-6), 9)}`;
  if (first) return `${kind} ${number(Math.ceil(first.from), 9)} to ${number(Math.ceil(first.to) - 1, 9)}`;
  return `${kind} ${number(value, 6)}`;
}

/** A chart in the page. `host` has what all charts share: the window, the cursor, the settings. */
class Chart {
  constructor(element, name, host) {
    this.host = host;
    this.name = name;
    this.curves = [];
    this.message = "…";
    this.element = element;
    this.canvas = element.appendChild(document.createElement("canvas"));
    this.over = element.appendChild(document.createElement("canvas"));
    this.over.className = "over";
    this.over.tabIndex = 0;
    this.over.setAttribute("role", "img");
    this.tip = element.appendChild(document.createElement("div"));
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.listen();
  }

  view() {
    return { ...this.host.view(this), curves: this.curves, message: this.message };
  }

  resize() {
    const { clientWidth, clientHeight } = this.element;
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.over]) {
      canvas.width = Math.round(clientWidth * ratio);
      canvas.height = Math.round(clientHeight * ratio);
    }
    [this.width, this.height, this.ratio] = [clientWidth, clientHeight, ratio];
    this.draw();
  }

  /** The pixel columns that a curve needs. */
  columns() {
    return Math.max(16, Math.round((this.width - MARGIN.left - MARGIN.right) * this.ratio));
  }

  draw() {
    if (!this.width) return;
    const context = this.canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    this.placed = paint(canvasPen(context), this.view(), this.width, this.height);
    this.describe();
    this.drawOver();
  }

  describe() {
    const view = this.view();
    const parts = this.curves.filter((curve) => curve.traces.length > 0).slice(0, 6).map((curve) => {
      const values = [...extremes(curve, -Infinity, Infinity, false)].filter(Number.isFinite);
      const [least, largest] = values.reduce(
        ([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
      const found = valueAt(curve, curve.grid.to, false);
      return `${view.name(curve.run)}: from ${number(least)} to ${number(largest)}, last ${number(found?.last)}`;
    });
    const what = parts.length > 0 ? parts.join("; ") : this.message;
    this.over.setAttribute("aria-label", `${this.name} over ${view.xKind}. ${what}. Arrow keys move the cursor, plus and minus zoom.`);
  }

  drawOver() {
    if (!this.width || !this.placed) return;
    const context = this.over.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const pen = canvasPen(context);
    const { area, x, y } = this.placed;
    const view = this.view();
    if (this.drag) {
      const [start, end] = [Math.min(...this.drag), Math.max(...this.drag)];
      pen.rect(start, area.y, end - start, area.height, { fill: view.colors.select, alpha: 0.25 });
    }
    const cursor = this.host.cursor;
    const isMine = cursor && cursor.kind === view.xKind;
    if (!isMine || cursor.x < x.low || cursor.x > x.high) {
      this.tip.hidden = true;
      return;
    }
    const at = x.at(cursor.x);
    pen.lines([[at, area.y, at, area.y + area.height]], { stroke: view.colors.faint, dash: [3, 3] });
    const found = [];
    for (const curve of this.curves) {
      const value = valueAt(curve, cursor.x, view.hasSuperseded);
      if (!value) continue;
      found.push([curve, value]);
      const pixel = y.at(value.last);
      if (Number.isFinite(pixel)) {
        pen.dot(x.at(value.x), Math.min(Math.max(pixel, area.y), area.y + area.height), 3.5, {
          fill: view.style(curve.run).color,
        });
      }
    }
    if (cursor.chart !== this || found.length === 0) {
      this.tip.hidden = true;
      return;
    }
    this.showTip(found, at, area, view);
  }

  showTip(found, at, area, view) {
    const near = found.reduce((one, other) =>
      Math.abs(one[1].x - this.host.cursor.x) <= Math.abs(other[1].x - this.host.cursor.x) ? one : other);
    const head = document.createElement("div");
    head.className = "head";
    head.textContent = placeText(view.xKind, near[1].x, near[1]);
    const rows = found.slice(0, 12).map(([curve, value]) => {
      const row = document.createElement("div");
      const name = document.createElement("span");
      name.textContent = view.name(curve.run);
      const swatch = document.createElement("i");
      swatch.style.background = view.style(curve.run).color;
      const text = document.createElement("b");
      const spread = value.min < value.max ? ` (${number(value.min)} … ${number(value.max)})` : "";
      const odd = value.odd ? ["nans", "above", "below"].filter((kind) => value.odd[kind] > 0)
        .map((kind) => ` ${integer(value.odd[kind])} × ${{ nans: "NaN", above: "∞", below: "−∞" }[kind]}`).join("") : "";
      text.textContent = `${Number.isNaN(value.last) ? "" : number(value.last)}${spread}${odd}`;
      row.append(swatch, name, text);
      return row;
    });
    this.tip.replaceChildren(head, ...rows);
    this.tip.hidden = false;
    const width = this.tip.offsetWidth;
    const left = at + 14 + width > this.width ? at - 14 - width : at + 14;
    this.tip.style.left = `${Math.max(0, left)}px`;
    this.tip.style.top = `${area.y + 4}px`;
    if (this.isKeyboard) {
      const told = rows.map((row) => `${row.querySelector("span").textContent}: ${row.querySelector("b").textContent}`);
      this.host.say([head.textContent, ...told].join(", "));
    }
  }

  listen() {
    const over = this.over;
    const pixel = (event) => {
      const { area } = this.placed;
      return Math.min(Math.max(event.offsetX, area.x), area.x + area.width);
    };
    over.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.placed) return;
      over.setPointerCapture(event.pointerId);
      this.drag = [pixel(event), pixel(event)];
    });
    over.addEventListener("pointermove", (event) => {
      if (!this.placed) return;
      this.isKeyboard = false;
      if (this.drag) this.drag[1] = pixel(event);
      this.host.setCursor(this, this.placed.x.value(pixel(event)));
    });
    over.addEventListener("pointerup", () => {
      const drag = this.drag;
      this.drag = null;
      if (drag && Math.abs(drag[0] - drag[1]) >= 5) {
        const { x } = this.placed;
        this.host.setWindow(x.value(Math.min(...drag)), x.value(Math.max(...drag)), this);
      } else {
        this.drawOver();
      }
    });
    over.addEventListener("pointercancel", () => {
      this.drag = null;
      this.drawOver();
    });
    over.addEventListener("pointerleave", () => {
      if (!this.drag) this.host.setCursor(null, null);
    });
    over.addEventListener("dblclick", () => this.host.setWindow(null, null, this));
    over.addEventListener("keydown", (event) => this.key(event));
    over.addEventListener("blur", () => {
      if (this.isKeyboard) this.host.setCursor(null, null);
    });
  }

  key(event) {
    if (!this.placed || event.ctrlKey || event.metaKey || event.altKey) return;
    const { x, area } = this.placed;
    const cursor = this.host.cursor;
    const at = cursor && cursor.chart === this ? x.at(cursor.x) : area.x + area.width / 2;
    const move = (pixels) => {
      this.isKeyboard = true;
      const to = Math.min(Math.max(at + pixels, area.x), area.x + area.width);
      this.host.setCursor(this, x.value(to));
    };
    const zoom = (part) => {
      const half = (area.width * part) / 2;
      this.host.setWindow(x.value(Math.max(area.x - area.width, at - half)), x.value(Math.min(area.x + area.width * 2, at + half)), this);
    };
    const step = event.shiftKey ? 40 : 4;
    const action = {
      ArrowLeft: () => move(-step), ArrowRight: () => move(step),
      Home: () => move(-Infinity), End: () => move(Infinity),
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
      Escape: () => this.host.setWindow(null, null, this),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  /** The chart as a file: a picture of the size that it has on the screen, twice as fine. */
  async png() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.width * 2, this.height * 2];
    const context = canvas.getContext("2d");
    context.scale(2, 2);
    const view = this.view();
    context.fillStyle = view.colors.paper;
    context.fillRect(0, 0, this.width, this.height);
    paint(canvasPen(context), view, this.width, this.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  svg() {
    const pen = svgPen();
    const view = this.view();
    paint(pen, view, this.width, this.height);
    return new Blob([pen.finish(this.width, this.height, view.colors.paper)], { type: "image/svg+xml" });
  }
}
