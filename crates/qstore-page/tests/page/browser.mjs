// Checks in Chromium what a person would see.
// node browser.mjs CHROMIUM PAGE EVIL REPORT PICTURES — the addresses of the page, of the page under another name, of a
// report, and a directory for pictures. "grow" on the output asks for more rows.
import assert from "node:assert/strict";
import { inked, open } from "./chromium.mjs";

const [chromium, page, evil, report, pictures] = process.argv.slice(2);
const { call, find, until, visit, picture, complaints, events, close } = await open(chromium, pictures);

try {
  await visit(page);
  await until("a curve", `${inked("train_loss")} > 100`);
  assert.equal(await find("location.search"), "", "the token is not in the address anymore");
  assert.ok((await find("document.getElementById('table').innerText")).includes("<img src=x"), "a name is shown as it is");
  assert.equal(await find("document.images.length"), 0, "and is no markup");
  await picture("light");

  // The curve grows while we look.
  const rows = await find("document.querySelector('.run .more').textContent");
  console.log("grow");
  await until("new rows", `document.querySelector('.run .more').textContent !== ${JSON.stringify(rows)}`);

  // A zoom by dragging: the window is in the address, and a finer answer is asked for.
  const box = await find(`(() => {
    const card = [...document.querySelectorAll(".card")].find((card) => card.querySelector("h2").textContent.startsWith("train_loss"));
    const { x, y, width, height } = card.querySelector(".over").getBoundingClientRect();
    return { x, y, width, height };
  })()`);
  const mouse = (type, part) => call("Input.dispatchMouseEvent", {
    type, x: box.x + box.width * part, y: box.y + box.height / 2, button: "left", buttons: type === "mouseReleased" ? 0 : 1, clickCount: 1,
  });
  await mouse("mousePressed", 0.4);
  await mouse("mouseMoved", 0.6);
  await mouse("mouseReleased", 0.6);
  await until("a zoom", "location.hash.includes('from=')");
  await until("a finer answer", `performance.getEntriesByType("resource").some((one) => one.name.includes("from="))`);
  assert.ok(await find("!document.getElementById('reset').hidden"));
  await find("document.getElementById('reset').click()");
  await until("everything again", "!location.hash.includes('from=')");

  // The keyboard: the cursor says where it is, Escape leaves, digits open views, t changes the theme.
  await find("document.querySelector('.over').focus()");
  for (const key of ["ArrowRight", "ArrowRight"]) {
    await call("Input.dispatchKeyEvent", { type: "keyDown", key });
    await call("Input.dispatchKeyEvent", { type: "keyUp", key });
  }
  await until("the cursor is read out", "/(step|epoch) \\d/.test(document.getElementById('said').textContent)");
  await find("document.querySelector('.over').blur()");
  for (const [id, word] of [["compare", "lr"], ["epochs", "val_loss"], ["checkpoints", "because"], ["attempts", "rows that count"], ["jobs", ""], ["environment", "process"]]) {
    await find(`document.getElementById('tab-${id}').click()`);
    await until(`the view ${id}`, `document.getElementById('panel').textContent.includes(${JSON.stringify(word)}) && document.querySelector('#tab-${id}[aria-selected=true]')`);
    await picture(id);
  }
  await find("document.getElementById('tab-charts').click()");
  await find("document.getElementById('theme').click()");
  await until("curves in the dark", `document.documentElement.dataset.theme === "dark" && ${inked("train_loss")} > 100`);
  await picture("dark");

  // Both exports, and every control has a name.
  const files = await find(`(async () => {
    const chart = document.querySelector(".plot").chart;
    const [png, svg] = [await chart.png(), await chart.svg().text()];
    return [png.type, png.size, svg.slice(0, 4)];
  })()`);
  assert.ok(files[0] === "image/png" && files[1] > 1000 && files[2] === "<svg", JSON.stringify(files));
  const nameless = await find(`[...document.querySelectorAll("button, input, select, canvas.over")].filter((one) =>
    !(one.getAttribute("aria-label") || one.textContent.trim() || one.closest("label")?.textContent.trim() || one.title)).map((one) => one.outerHTML)`);
  assert.deepEqual(nameless, []);
  assert.deepEqual(complaints(), [], "no exception, and nothing that the policy refuses");

  // Polls of runs that do not change have no body.
  const served = events.filter(({ method, params }) => method === "Network.responseReceived" && params.response.url.endsWith("/api/runs"));
  assert.ok(served.some(({ params }) => params.response.status === 304) || served.length < 3);

  // Another page of this browser, under a name that means this machine.
  await visit(evil);
  await until("a refusal", "document.body.innerText.includes('this name is not one of')");

  // The report asks for nothing.
  await visit(report);
  await until("a curve in the report", `${inked("train_loss")} > 100`);
  const asked = events.filter(({ method, params }) => method === "Network.requestWillBeSent" && !params.request.url.startsWith("file:"));
  assert.deepEqual(asked.map(({ params }) => params.request.url), []);
  assert.deepEqual(complaints(), []);
  await picture("report");
  console.log("all hold");
} finally {
  await close();
}
process.exit(0);
