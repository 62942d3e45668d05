// Curves: from the lists of an answer to lines on pixels. Pure.

/** Floats or fractions out of base64. */
function unpack(packed) {
  const text = atob(packed.d);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  const view = new DataView(bytes.buffer);
  const [width, read] = {
    f4: [4, (at) => view.getFloat32(at, true)],
    f8: [8, (at) => view.getFloat64(at, true)],
    u1: [1, (at) => view.getUint8(at) / 255],
  }[packed.t];
  const values = new Float64Array(bytes.length / width);
  for (let at = 0; at < values.length; at += 1) values[at] = read(at * width);
  return values;
}

/** A line of an answer with its lists unpacked. */
function trace(body) {
  const min = unpack(body.min);
  const columns = new Int32Array(min.length);
  let at = 0;
  for (const [start, count] of body.columns) {
    for (let column = start; column < start + count; column += 1) columns[at++] = column;
  }
  const rest = body.rest;
  const max = rest ? unpack(rest.max) : min;
  const first = rest ? unpack(rest.first) : min;
  const last = rest ? unpack(rest.last) : min;
  const mean = rest ? unpack(rest.mean).map((part, at) => min[at] + (max[at] - min[at]) * part) : min;
  const broken = new Uint8Array(min.length);
  for (const [at, sides] of body.broken ?? []) broken[at] = sides;
  const { attempt, superseded, lead, tail, rows } = body;
  return { attempt, superseded, lead, tail, rows, columns, min, max, first, last, mean, broken, odd: body.odd ?? [] };
}

/** The curves of an answer. */
function curves(answer) {
  return answer.series.map((series) => ({
    run: series.run,
    column: series.column,
    grid: { ...series.grid, isLog: answer.log, isWhole: ["step", "epoch", "row"].includes(answer.x) },
    bands: series.bands ?? null,
    traces: series.traces.map(trace),
  }));
}

/** The x in the middle of a pixel column, or at another part of it. */
function xOf(grid, column, part = 0.5) {
  const share = (column + part) / grid.columns;
  return grid.isLog ? grid.from * (grid.to / grid.from) ** share : grid.from + (grid.to - grid.from) * share;
}

/** Where the rows of a pixel column are drawn: at their x if it can be only one, else in the middle. */
function placeOf(grid, column) {
  if (grid.isWhole) {
    const [from, to] = [xOf(grid, column, 0), xOf(grid, column, 1)];
    // No negative zero.
    const whole = Math.ceil(from - (to - from) * 1e-6) + 0;
    if (whole < to && whole + 1 >= to) return whole;
  }
  return xOf(grid, column);
}

/** The pixel column of an x. */
function columnOf(grid, x) {
  const share = grid.isLog
    ? Math.log(x / grid.from) / Math.log(grid.to / grid.from)
    : (x - grid.from) / (grid.to - grid.from);
  return Math.floor(share * grid.columns);
}

/** The exponential average of some values with bias correction, as TensorBoard has it. */
function smooth(values, weight) {
  let [sum, counted] = [0, 1];
  return Array.from(values, (value) => {
    if (!Number.isFinite(value)) return NaN;
    sum = sum * weight + value * (1 - weight);
    counted *= weight;
    return sum / (1 - counted);
  });
}

/** The indices of the pixel columns of a trace that a window shows, and one more on both sides. */
function shown(line, grid, from, to) {
  const { columns } = line;
  let [start, end] = [0, columns.length];
  while (start < end && xOf(grid, columns[start], 1) < from) start += 1;
  while (end > start && xOf(grid, columns[end - 1], 0) > to) end -= 1;
  return [start, end];
}

/** From which x to which a curve has rows; the pixel columns of an answer go a little further. */
function reach(curve, hasSuperseded) {
  let [from, to] = [Infinity, -Infinity];
  for (const [low, high] of curve.traces.length > 0 ? [] : curve.bands ?? []) {
    [from, to] = [Math.min(from, low), Math.max(to, high)];
  }
  for (const line of curve.traces) {
    if ((line.superseded && !hasSuperseded) || line.columns.length === 0) continue;
    from = Math.min(from, placeOf(curve.grid, line.columns[0]));
    to = Math.max(to, placeOf(curve.grid, line.columns.at(-1)));
  }
  return [from, to];
}

/** All values that a y axis must reach in a window. */
function* extremes(curve, from, to, hasSuperseded) {
  for (const [low, high, least, largest] of curve.bands ?? []) {
    if (high >= from && low <= to) yield* [least, largest];
  }
  for (const line of curve.traces) {
    if (line.superseded && !hasSuperseded) continue;
    const [start, end] = shown(line, curve.grid, from, to);
    for (let at = start; at < end; at += 1) yield* [line.min[at], line.max[at]];
  }
}

/**
 * The lines through all that a trace has: of each pixel column the first, the least, the largest and the last
 * value, and from its last value to the first one of the next. A list of x and y in pixels for each line.
 */
function lines(line, grid, x, y) {
  const all = [];
  let points = [];
  const end = () => {
    if (points.length > 0) all.push(points);
    points = [];
  };
  const outside = (point) => {
    if (point) points.push(x.at(placeOf(grid, point[0])), y.at(Number(point[1])));
  };
  outside(line.lead);
  for (let at = 0; at < line.columns.length; at += 1) {
    const [min, max] = [line.min[at], line.max[at]];
    if (Number.isNaN(min)) {
      end();
      continue;
    }
    if (line.broken[at] & 1) end();
    const pixel = x.at(placeOf(grid, line.columns[at]));
    points.push(pixel, y.at(line.first[at]));
    if (min !== max) points.push(pixel, y.at(min), pixel, y.at(max), pixel, y.at(line.last[at]));
    if (line.broken[at] & 2) end();
  }
  outside(line.tail);
  end();
  return all;
}

/** The lines of the average of a trace. */
function smoothLines(line, grid, x, y, weight) {
  const all = [];
  let points = [];
  const values = smooth(line.mean, weight);
  values.forEach((value, at) => {
    if (Number.isNaN(value)) {
      if (points.length > 0) all.push(points);
      points = [];
    } else {
      points.push(x.at(placeOf(grid, line.columns[at])), y.at(value));
    }
  });
  if (points.length > 0) all.push(points);
  return all;
}

/** What a curve has at an x, of the newest attempt that has it: the nearest pixel column at or before it. */
function valueAt(curve, x, hasSuperseded) {
  const column = columnOf(curve.grid, x);
  let best = null;
  for (const line of curve.traces) {
    if ((line.superseded && !hasSuperseded) || line.columns.length === 0) continue;
    let [low, high] = [0, line.columns.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (line.columns[middle] <= column) low = middle + 1;
      else high = middle;
    }
    const at = Math.max(0, low - 1);
    const distance = Math.abs(line.columns[at] - column);
    if (best === null || distance <= best.distance) best = { distance, line, at };
  }
  if (best === null) return null;
  const { line, at } = best;
  const odd = line.odd.find(([place]) => place === at);
  return {
    x: placeOf(curve.grid, line.columns[at]),
    from: xOf(curve.grid, line.columns[at], 0),
    to: xOf(curve.grid, line.columns[at], 1),
    min: line.min[at], max: line.max[at], last: line.last[at], attempt: line.attempt,
    odd: odd ? { nans: odd[1], above: odd[2], below: odd[3] } : null,
  };
}
