// Runs behind the pure parts of the page, in one scope with them.
import assert from "node:assert/strict";

const check = (found, expected) => assert.deepEqual(found, expected);

check([0, 1, -3, 12345, 0.1, 0.123456, 1.5e-9, 2e12, 1e20, 99999.5].map((value) => number(value)),
  ["0", "1", "−3", "12\u2009345", "0.1", "0.12346", "1.5e−9", "2\u2009000\u2009000\u2009000\u2009000", "1e20", "100000"]);
check([NaN, Infinity, -Infinity, "NaN", "-Infinity", null].map((value) => number(value)), ["NaN", "∞", "−∞", "NaN", "−∞", ""]);
check([0, 999, 1000, 12500000, 1e15].map(size), ["0 B", "999 B", "1 kB", "12.5 MB", "1 PB"]);
check([0.05, 9, 75, 3600, 90061, NaN].map(duration), ["50 ms", "9.0 s", "1 min 15 s", "1 h", "1 d 1 h", ""]);
check([age(0, 4000), age(0, 7200000), age(5000, 0), age(null, 0)], ["4 s ago", "2 h ago", "0 s ago", ""]);
check([utc(0), utc(1500), utc(NaN), utc(9e15)], ["1970-01-01 00:00:00", "1970-01-01 00:00:01.500", "", ""]);
check(["run_10", "run_9", "a"].sort(byName), ["a", "run_9", "run_10"]);
assert.ok(hasWords("Run one, baseline", "BASE run") && !hasWords("run", "other"));

// What is hostile stays text, in XML and in names of files.
check(xml(`<img src=x onerror="a" b='c'>&\u0000\ud800`), "&lt;img src=x onerror=&quot;a&quot; b=&#39;c&#39;&gt;&amp;\ufffd\ufffd");
check(fileName("../../etc/passwd"), "etc_passwd");
check(fileName("<b>"), "b_");
check(fileName("///"), "chart");
const alphabet = ["<", ">", "&", '"', "'", "]]>", "<!--", "</text>", "\u0000", "\ud800", "é", "a", " "];
for (let seed = 0; seed < 2000; seed += 1) {
  let text = "";
  for (let at = 0, left = seed * 7919; at < 6; at += 1, left = Math.floor(left / 3) + seed) text += alphabet[left % alphabet.length];
  assert.ok(!/[<>"'\u0000]/.test(xml(text)) && !/&(?!(amp|lt|gt|quot|#39);)/.test(xml(text)), text);
  assert.ok(!/[/\\\u0000]/.test(fileName(text)));
}

// Ticks are inside, rise, and differ.
for (const isLog of [false, true]) {
  for (let seed = 1; seed < 400; seed += 1) {
    const low = isLog ? 10 ** ((seed % 19) - 9) : ((seed * 37) % 101) - 50;
    const high = isLog ? low * 1.5 ** (seed % 40 + 1) : low + 10 ** ((seed % 13) - 6);
    const found = ticks(low, high, 6, isLog);
    assert.ok(found.length >= 1 && found.length <= 8, `${low} ${high} ${isLog}: ${found.length}`);
    const room = (high - low) * 1e-6;
    assert.ok(found.every(({ value }) => value >= low - room && value <= high + room));
    assert.ok(found.every(({ value }, at) => at === 0 || value > found[at - 1].value));
    assert.equal(new Set(found.map(({ text }) => text)).size, found.length, JSON.stringify(found));
  }
}
check(ticks(0, 1, 5, false).map(({ text }) => text), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
check(ticks(1, 1000, 5, true).map(({ text }) => text), ["1", "10", "100", "1000"]);
check(ticks(5, 5, 5, false), []);
check(timeTicks(0, 7200, 4, false).map(({ text }) => text), ["0", "30 min", "1 h", "1 h 30 min", "2 h"]);
check(timeTicks(1796025600, 1796032800, 3, true).map(({ text }) => text), ["08:00", "09:00", "10:00"]);
check(covering([NaN, -3, 0.01, 100, Infinity], true).map((value) => Number(value.toPrecision(3))), [0.00631, 158]);
check(covering([], false), [0, 1]);
const wide = covering([-Number.MAX_VALUE, Number.MAX_VALUE], false);
assert.ok(wide.every(Number.isFinite));
const there = scale(1, 1000, 0, 300, true);
assert.ok(Math.abs(there.at(10) - 100) < 1e-9 && Math.abs(there.value(200) - 100) < 1e-9);

// A trace as the server packs it: columns 2, 3 and 7; the middle one has a spike, the last is NaN.
const f4 = (values) => {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, at) => bytes.writeFloatLE(value, at * 4));
  return { t: "f4", d: bytes.toString("base64") };
};
const u1 = (values) => {
  const bytes = Buffer.from(values.map((value) => Math.round(value * 255)));
  return { t: "u1", d: bytes.toString("base64") };
};
const answer = {
  log: false, x: "step",
  series: [{
    run: 0, column: "loss", grid: { from: 0, to: 10, columns: 10 },
    traces: [{
      attempt: 1, superseded: false, lead: [-4, 1], tail: null, columns: [[2, 2], [7, 1]], rows: 9,
      min: f4([1, 1, NaN]), rest: { max: f4([1, 1000, NaN]), first: f4([1, 2, NaN]), last: f4([1, 3, NaN]), mean: u1([0, 0.5, 0]) },
      odd: [[2, 4, 0, 1]], broken: [[2, 3]],
    }],
  }],
};
const [curve] = curves(answer);
check([...curve.traces[0].columns], [2, 3, 7]);
const [x, y] = [scale(0, 10, 0, 100, false), scale(0, 1000, 1000, 0, false)];
check(lines(curve.traces[0], curve.grid, x, y), [[-40, 999, 20, 999, 30, 998, 30, 999, 30, 0, 30, 997]]);
assert.ok(Math.max(...[...extremes(curve, 0, 10, false)].filter(Number.isFinite)) === 1000, "the spike is in it");
check([...extremes(curve, 8.5, 10, false)].length, 0);
check(reach(curve, false), [2, 7]);
const found = valueAt(curve, 3.7, false);
check([found.min, found.max, found.last, found.from, found.to, found.odd], [1, 1000, 3, 3, 4, null]);
const tenths = { from: 0, to: 1, columns: 10, isWhole: true };
check([placeOf(tenths, 0), placeOf(tenths, 3)], [0, xOf(tenths, 3)]);
check(placeOf({ from: 0, to: 100, columns: 10, isWhole: true }, 1), 15);
check(valueAt(curve, 9, false).odd, { nans: 4, above: 0, below: 1 });
check(valueAt(curve, 0, false).last, 1);
check(placeText("step", found.x, found), "step 3");
const smoothed = smooth([2, 4, NaN, 4], 0.5);
check([smoothed[0], smoothed[1], Number.isNaN(smoothed[2])], [2, (4 * 0.5 + 2 * 0.25) / 0.75, true]);
check(smooth([1, 5], 0), [1, 5]);

// The same drawing as SVG: names are text, and it is as large as it says.
const hostile = "</text><script>alert(1)</script>";
const colors = { paper: "#fff", grid: "#eee", axis: "#999", faint: "#555", gap: "#888", select: "#06c" };
const view = {
  curves: [curve], window: null, isLogX: false, isLogY: false, smoothing: 0.5, xKind: "step", hasSuperseded: false,
  gaps: [{ from: 4, to: 5 }], style: () => ({ color: "#0072b2" }), name: () => hostile, colors, message: hostile,
};
const draw = (more) => {
  const pen = svgPen();
  paint(pen, { ...view, ...more }, 400, 200);
  return pen.finish(400, 200, "#fff");
};
const [picture, empty] = [draw({}), draw({ curves: [] })];
for (const text of [picture, empty]) {
  assert.ok(!text.includes("<script") && text.startsWith("<svg") && text.endsWith("</svg>\n"));
  assert.ok(!/NaN|undefined|Infinity/.test(text.replaceAll(hostile, "")), text);
}
assert.ok(empty.includes("&lt;script&gt;") && picture.includes('fill-opacity="0.35"'));
assert.equal(draw({}), picture, "the same picture each time");
console.log("all hold");
