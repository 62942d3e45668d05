// A thousand metrics and two hundred runs stay usable: only what is seen is asked for and drawn.
// node many.mjs CHROMIUM METRICS RUNS — the addresses of a page with one wide run, and of one with many runs.
import assert from "node:assert/strict";
import { inked, open } from "./chromium.mjs";

const [chromium, metrics, runs] = process.argv.slice(2);
const { call, find, until, visit, complaints, events, close } = await open(chromium);
// Charts of a screen of 1 400 × 900, and of 200 pixels above and below it: two beside each other, each about 260 pixels high.
const SCREEN = 12;
/** The addresses that were asked for, and not answered with "as before". */
const asked = (path) => {
  const old = new Set(events.filter(({ method, params }) => method === "Network.responseReceived" && params.response.status === 304)
    .map(({ params }) => params.requestId));
  return events.filter(({ method, params }) => method === "Network.requestWillBeSent" && !old.has(params.requestId))
    .map(({ params }) => new URL(params.request.url)).filter(({ pathname }) => pathname.startsWith(path));
};
/** The columns that series were asked for. */
const columns = () => new Set(asked("/api/series").flatMap(({ searchParams }) => searchParams.getAll("y")));
const drawn = "document.querySelectorAll('.card canvas').length / 2";
const type = (id, text) => find(`(() => {
  const field = document.getElementById("${id}");
  field.value = "${text}";
  field.dispatchEvent(new Event("input", { bubbles: true }));
})()`);

try {
  await visit(metrics);
  await until("a curve", `${inked("m000")} > 20`);
  assert.equal(await find("document.querySelectorAll('.card').length"), 1000);
  const first = columns().size;
  assert.ok(first > 0 && first <= SCREEN, `${first} of 1 000 columns were read for the first screen`);
  // The end of the page: what was seen is given back, what is there now is read, and nothing between.
  await find("document.getElementById('main').scrollTop = 1e9");
  await until("the last curve", `${inked("m999")} > 20`);
  await until("only charts on the screen", `${drawn} <= ${SCREEN}`);
  assert.ok(columns().size <= first + SCREEN, `${columns().size} columns were read for two screens`);
  assert.ok(!columns().has("m500"));
  // One in the middle, by its name.
  await type("filter", "m500");
  await until("the chart that was searched", `${inked("m500")} > 20 && document.querySelectorAll(".card").length === 1`);
  assert.ok(columns().size <= first + SCREEN + 1, `${columns().size} columns`);
  // Back to all of them: the first screen again, and no more.
  await type("filter", "");
  await until("all charts", `document.querySelectorAll(".card").length === 1000 && ${drawn} > 0`);
  await until("only charts on the screen", `${drawn} <= ${SCREEN}`);
  assert.ok(columns().size <= first + 2 * SCREEN, `${columns().size} columns`);
  assert.deepEqual(complaints(), []);

  await visit(runs);
  await until("all runs", "document.querySelectorAll('.run').length === 200");
  await until("a curve", `${inked("train_loss")} > 20`);
  const chosen = "document.querySelectorAll('.run[data-on=\"true\"]').length";
  assert.equal(await find(chosen), 5, "the newest runs are chosen at first");
  assert.equal(asked("/api/run/").length, 5, "nothing of the others is read");
  assert.ok(asked("/api/series").every(({ searchParams }) => searchParams.getAll("run").length === 5));
  await type("search", "run_17");
  await until("the runs that were searched", "document.querySelectorAll('.run').length === 10");
  const before = new Set(asked("/api/run/").map(String));
  await find("document.querySelector('.run[data-on=\"false\"] input').click()");
  await until("curves of one run more", `performance.getEntriesByType("resource").some(({ name }) => new URL(name).searchParams.getAll("run").length === 6)`);
  assert.equal(asked("/api/run/").map(String).filter((one) => !before.has(one)).length, 1, "only that run is read");
  await type("search", "");
  await until("six runs are chosen", `${chosen} === 6`);
  await until("curves in six colors", `document.querySelectorAll(".legend span").length === 6 && ${inked("train_loss")} > 20`);
  assert.deepEqual(complaints(), []);
  console.log("all hold");
} finally {
  await close();
}
process.exit(0);
