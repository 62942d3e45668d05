// Chromium over its own protocol, through a pipe: opens pages, looks at them, presses keys, takes pictures.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Starts the program; `pictures` is a directory for pictures, or nothing. */
export const open = async (chromium, pictures) => {
  const profile = mkdtempSync(join(tmpdir(), "qstore-page-"));
  const child = spawn(chromium, [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-zygote", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
    // Nothing but the page: no update, no account, no look at a network. Colors and edges of letters as on every other screen.
    "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
    "--remote-debugging-pipe", `--user-data-dir=${profile}`, "--host-resolver-rules=MAP evil.test 127.0.0.1", "about:blank",
  ], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  let [last, rest] = [0, ""];
  const waiting = new Map();
  const events = [];
  child.stdio[4].on("data", (data) => {
    rest += data;
    for (let end = rest.indexOf("\0"); end >= 0; end = rest.indexOf("\0")) {
      const message = JSON.parse(rest.slice(0, end));
      rest = rest.slice(end + 1);
      if (message.id) waiting.get(message.id)(message);
      else events.push(message);
    }
  });
  const send = (method, params = {}, sessionId) => new Promise((done, failed) => {
    last += 1;
    waiting.set(last, (message) => (message.error ? failed(new Error(`${method}: ${message.error.message}`)) : done(message.result)));
    child.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
  });
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const call = (method, params) => send(method, params, sessionId);
  for (const domain of ["Page", "Runtime", "Network", "Log"]) await call(`${domain}.enable`);
  await call("Emulation.setDeviceMetricsOverride", { width: 1400, height: 900, deviceScaleFactor: 1, mobile: false });
  const find = async (expression) => {
    const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression.slice(0, 500)}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  };
  /** Looks until something holds; the limit is for what never will. */
  const until = async (what, expression) => {
    for (const start = Date.now(); Date.now() < start + 60_000;) {
      if (await find(expression)) return;
      await new Promise((done) => setTimeout(done, 20));
    }
    throw new Error(`${what} did not happen: ${await find("document.body?.innerText.slice(0, 2000)")}`);
  };
  const visit = async (url) => {
    events.length = 0;
    await call("Page.navigate", { url });
    await until(`${url} is loaded`, "document.readyState === 'complete'");
  };
  /** What is on the screen, as a PNG. */
  const screen = async () => Buffer.from((await call("Page.captureScreenshot", { format: "png" })).data, "base64");
  const picture = async (name) => {
    if (pictures) writeFileSync(join(pictures, `${name}.png`), await screen());
  };
  const complaints = () => events.filter(({ method, params }) =>
    method === "Runtime.exceptionThrown" || (method === "Log.entryAdded" && ["error", "security"].includes(params.entry.level)))
    .map(({ params }) => JSON.stringify(params));
  const close = async () => {
    const isOver = new Promise((done) => child.once("exit", done));
    child.kill();
    await isOver;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { call, find, until, visit, screen, picture, complaints, events, close };
};

/** An expression: how many dots of a chart are not background, of the colors of curves. */
export const inked = (name) => `(() => {
  const card = [...document.querySelectorAll(".card")].find((card) => card.querySelector("h2").textContent.startsWith(${JSON.stringify(name)}));
  const canvas = card?.querySelector("canvas");
  if (!canvas?.width) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue, alpha] = data.subarray(at, at + 4);
    if (alpha > 128 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) count += 1;
  }
  return count;
})()`;
