// Numbers, times and texts as people read them. Pure: no document, no clock.

/** A value in at most `digits` significant digits: 0.0123, 1.5e-9, 12 345. */
function number(value, digits = 5) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return { Infinity: "∞", "-Infinity": "−∞" }[value] ?? value;
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return integer(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) {
    return minus(value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e"));
  }
  const places = Math.min(100, Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
  const text = value.toFixed(places);
  return minus(text.includes(".") ? text.replace(/\.?0+$/, "") : text);
}

/** A count in groups of three digits, which a thin space separates. */
function integer(value) {
  const text = String(Math.abs(value));
  return (value < 0 ? "−" : "") + (text.length > 4 ? text.replace(/\B(?=(\d{3})+$)/g, "\u2009") : text);
}

function minus(text) {
  return text.replaceAll("-", "−");
}

/** The tick of an axis: only the digits that tell it from its neighbors. */
function tickText(value, step) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    const power = Math.floor(Math.log10(size) + 1e-9);
    const digits = Math.max(0, power - Math.floor(Math.log10(step) + 1e-9));
    return minus(value.toExponential(Math.min(digits, 15)).replace("e+", "e"));
  }
  const places = Math.min(20, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return minus(value.toFixed(places)).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, size >= 1e4 ? "\u2009" : "");
}

/** Bytes with three digits: 1.25 MB. */
function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  while (bytes >= 999.5 && at < units.length - 1) {
    bytes /= 1000;
    at += 1;
  }
  return `${at === 0 ? bytes : Number(bytes.toPrecision(3))} ${units[at]}`;
}

/** A length of time in its two largest units: 2 h 5 min. */
function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const rounded = Math.round(seconds);
  const first = parts.findIndex(([length]) => rounded >= length);
  let rest = rounded;
  const words = [];
  for (const [length, unit] of parts.slice(first, first + 2)) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) words.push(`${count} ${unit}`);
  }
  return words.join(" ");
}

/** How long ago, in one unit. */
function age(then, now) {
  if (then === null || then === undefined) return "";
  const seconds = Math.max(0, (now - then) / 1000);
  for (const [length, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}

/** A time in UTC: two people who look at one run see the same text. */
function utc(millis) {
  if (!Number.isFinite(millis) || Math.abs(millis) > 8.64e15) return "";
  return new Date(millis).toISOString().replace("T", " ").replace(/(\.000)?Z$/, "");
}

/** Whether a text has all words of a search, in any order, whatever their case. */
function hasWords(text, search) {
  const low = text.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => low.includes(word));
}

/** Names by their words, and numbers in names by their value: run_2 comes before run_10. */
function byName(one, other) {
  return one.localeCompare(other, "en", { numeric: true, sensitivity: "variant" });
}

/** A text inside XML, or inside an attribute. What XML cannot have at all is replaced. */
function xml(text) {
  return String(text)
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

/** A name that every file system takes. */
function fileName(text) {
  return text.replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^[._]+/, "").slice(0, 80) || "chart";
}
