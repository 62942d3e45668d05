// Axes: from values to pixels, and where ticks are. Pure.

/** An axis from `low` to `high` on the pixels `start` to `end`; `isLog` divides it by powers. */
function scale(low, high, start, end, isLog) {
  const place = isLog ? (value) => Math.log(Math.max(value, Number.MIN_VALUE)) : (value) => value;
  const [from, to] = [place(low), place(high)];
  const length = to - from || 1;
  return {
    low, high, start, end, isLog,
    /** The pixel of a value. */
    at: (value) => start + ((place(value) - from) / length) * (end - start),
    /** The value at a pixel. */
    value: (pixel) => {
      const part = from + ((pixel - start) / (end - start)) * length;
      return isLog ? Math.exp(part) : part;
    },
  };
}

/** The ends of a y axis that shows all of these values, with room at both ends. */
function covering(values, isLog) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value) || (isLog && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return isLog ? [1, 10] : [0, 1];
  if (low === high) {
    if (isLog) return [low / 2, high * 2];
    const room = low === 0 ? 1 : Math.abs(low) * 0.1;
    return [low - room, high + room];
  }
  if (isLog) {
    const room = (high / low) ** 0.05;
    return [low / room, high * room];
  }
  // Halves, so that nothing overflows.
  const room = (high * 0.5 - low * 0.5) * 0.1;
  return [Math.max(low - room, -Number.MAX_VALUE), Math.min(high + room, Number.MAX_VALUE)];
}

/** Ticks of an axis of numbers, at most `count`: values with their texts. */
function ticks(low, high, count, isLog) {
  if (!(high > low)) return [];
  if (isLog) {
    const found = powers(low, high, count);
    if (found.length >= 2) return found;
  }
  const step = niceStep((high * 0.5 - low * 0.5) * 2 / Math.max(1, count));
  if (!(step > 0) || !Number.isFinite(step)) return [];
  const found = [];
  const first = Math.ceil(low / step - 1e-9);
  for (let number = first; number * step <= high + step * 1e-9 && found.length <= count + 1; number += 1) {
    // Division by a whole number is exact where multiplication by 0.1 is not.
    const value = step < 1 ? number / Math.round(1 / step) || number * step : number * step;
    const exact = Math.abs(value - number * step) <= step * 1e-6 ? value : number * step;
    found.push({ value: exact, text: tickText(exact, step) });
  }
  return found;
}

function powers(low, high, count) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / Math.max(1, count)));
  const found = [];
  const factors = every === 1 && (last - first + 1) * 3 <= count ? [1, 2, 5] : [1];
  for (let power = first - 1; power <= last; power += 1) {
    if ((((power - first) % every) + every) % every !== 0) continue;
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) {
        found.push({ value, text: tickText(value, value) });
      }
    }
  }
  return found;
}

/** The least of 1, 2 or 5 times a power of ten that is not below. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  for (const factor of [1, 2, 5]) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

const STEPS_OF_TIME = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
  172800, 604800, 1209600, 2592000, 7776000, 31536000,
];

/** Ticks of an axis of seconds: lengths of time, or times of day in UTC if `isClock`. */
function timeTicks(low, high, count, isClock) {
  if (!(high > low)) return [];
  const least = (high - low) / Math.max(1, count);
  if (least < 1 && !isClock) {
    return ticks(low, high, count, false).map((tick) => ({ ...tick, text: `${tick.text} s` }));
  }
  const step = STEPS_OF_TIME.find((step) => step >= least) ?? niceStep(least / 31536000) * 31536000;
  const found = [];
  for (let number = Math.ceil(low / step); number * step <= high && found.length <= count + 1; number += 1) {
    const value = number * step;
    found.push({ value, text: isClock ? clockText(value, step) : value === 0 ? "0" : duration(value) });
  }
  return found;
}

function clockText(seconds, step) {
  const text = utc(seconds * 1000);
  if (step >= 86400) return text.slice(0, 10);
  const clock = step < 60 ? text.slice(11, 19) : text.slice(11, 16);
  return seconds % 86400 === 0 ? text.slice(5, 10) : clock;
}
