// Accessibility by the rules of axe, in every view and both themes, of the page and of a report.
// node axe.mjs CHROMIUM AXE PAGE REPORT — the library as a file, and two addresses.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { inked, open } from "./chromium.mjs";

const [chromium, library, page, report] = process.argv.slice(2);
const { find, until, visit, close } = await open(chromium);
const axe = readFileSync(library, "utf8");
/** The rules that do not hold, and the first places. */
const broken = (what) => find(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.map(({ id, nodes }) =>
  [${JSON.stringify(what)}, id, ...nodes.slice(0, 3).map(({ html, failureSummary }) => [html.slice(0, 200), failureSummary])]))`);
const found = [];

try {
  for (const url of [page, report]) {
    await visit(url);
    await until("a curve", `${inked("train_loss")} > 100`);
    await find(`${axe}; 1`);
    for (const theme of ["light", "dark"]) {
      await find(`document.documentElement.dataset.theme === "${theme}" || document.getElementById("theme").click()`);
      await until(`the theme ${theme}`, `document.documentElement.dataset.theme === "${theme}"`);
      for (const tab of await find(`[...document.querySelectorAll("#tabs button")].map(({ id }) => id)`)) {
        await find(`document.getElementById("${tab}").click()`);
        await until(`the view ${tab}`, `document.querySelector("#${tab}[aria-selected=true]") && document.getElementById("panel").ariaBusy === "false"`);
        found.push(...await broken(`${url.slice(0, 5)} ${theme} ${tab}`));
      }
      await find(`document.getElementById("tab-charts").click()`);
    }
  }
  assert.deepEqual(found, [], JSON.stringify(found, null, 1));
  // A fault that is planted: a button without a name.
  await find(`document.getElementById("main").append(document.createElement("button"))`);
  assert.deepEqual((await broken("")).map(([, id]) => id), ["button-name"]);
  console.log("all hold");
} finally {
  await close();
}
process.exit(0);
