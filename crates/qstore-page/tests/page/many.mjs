// A thousand metrics and two hundred runs stay usable: only what is seen is read and drawn.
// node many.mjs CHROMIUM METRICS RUNS — the addresses of a page with one wide run, and of one with many runs.
import assert from "node:assert/strict";
import { inked, open } from "./chromium.mjs";

const [chromium, metrics, runs] = process.argv.slice(2);
const { call, find, until, visit, complaints, events, close } = await open(chromium);
/** The columns that series were asked for. */
const asked = () => {
  const requests = events.filter(({ method }) => method === "Network.requestWillBeSent").map(({ params }) => new URL(params.request.url));
  const series = requests.filter((url) => url.pathname.endsWith("/api/series"));
  return new Set(series.flatMap((url) => url.searchParams.getAll("y").flatMap((names) => names.split(","))));
};

try {
  await visit(metrics);
  await until("a curve", `${inked("m000")} > 20`);
  const cards = await find("document.querySelectorAll('.card').length");
  assert.ok(cards <= 1000, `${cards} cards`);
  assert.ok(asked().size > 0 && asked().size <= 60, `${asked().size} of 1 000 columns were read for the first screen`);
  // The last of them, by its name.
  await find(`(() => { const filter = document.getElementById("filter"); filter.value = "m999"; filter.dispatchEvent(new Event("input", { bubbles: true })); })()`);
  await until("the chart that was searched", `${inked("m999")} > 20 && document.querySelectorAll(".card").length === 1`);
  assert.ok(asked().size <= 62, `${asked().size} columns`);
  assert.deepEqual(complaints(), []);

  await visit(runs);
  await until("all runs", "document.querySelectorAll('.run').length === 200");
  await until("a curve of the runs that are chosen at first", `${inked("train_loss")} > 20`);
  await find(`(() => { const search = document.getElementById("search"); search.value = "run_17"; search.dispatchEvent(new Event("input", { bubbles: true })); })()`);
  await until("the runs that were searched", "[...document.querySelectorAll('.run')].filter((run) => run.offsetParent).length === 10");
  await find("document.querySelector('.run[data-on=\"false\"] input, .run:not([data-on=\"true\"]) input').click()");
  await until("one more run is chosen", "document.querySelectorAll('.run[data-on=\"true\"]').length >= 1");
  assert.deepEqual(complaints(), []);
  console.log("all hold");
} finally {
  close();
}
process.exit(0);
