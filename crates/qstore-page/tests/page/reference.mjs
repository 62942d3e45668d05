// The page in both themes, pixel by pixel, beside reference pictures.
// node reference.mjs CHROMIUM REPORT DIR MAKE — a report, the directory of the pictures, and whether to make them.
//
// Letters differ from machine to machine, so each is a block: `blocks.ttf` has one glyph, 550 of 1 000 units wide, for every
// character that the page writes, and one without ink for spaces. Controls that the browser draws by itself are hidden, and so is what depends on the clock.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inked, open } from "./chromium.mjs";

const [chromium, report, dir, make] = process.argv.slice(2);
// A channel may differ by this much: what two versions of the rasterizer make of the edge of a line. A pixel that is drawn or not
// differs by more than 100 in one channel at least.
const TOLERANCE = 24;
const font = readFileSync(new URL("blocks.ttf", import.meta.url)).toString("base64");
const { call, find, until, visit, screen, close } = await open(chromium);

/** How many pixels of two pictures differ. */
const different = (one, other) => find(`(async () => {
  const read = async (data) => {
    const image = new Image();
    image.src = "data:image/png;base64," + data;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  };
  const [one, other] = [await read("${one.toString("base64")}"), await read("${other.toString("base64")}")];
  if (one.width !== other.width || one.height !== other.height) return -1;
  let count = 0;
  for (let at = 0; at < one.data.length; at += 4) {
    if ([0, 1, 2, 3].some((channel) => Math.abs(one.data[at + channel] - other.data[at + channel]) > ${TOLERANCE})) count += 1;
  }
  return count;
})()`);

/** Two frames, so that everything that was drawn is on the screen. */
const settle = () => find("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))");

const compare = async (name) => {
  await settle();
  const found = await screen();
  const path = join(dir, `${name}.png`);
  if (make) writeFileSync(path, found);
  const known = readFileSync(path);
  const count = await different(found, known);
  // What is there now lies beside the test's files, for the eye.
  if (count !== 0) writeFileSync(join(dir, `${name}.found.png`), found);
  assert.equal(count, 0, `pixels of ${name}.png that are others now; ${name}.found.png has them`);
  // A fault of one pixel, planted where nothing else is drawn: in the middle between two lines of the grid.
  await find(`(() => {
    const canvas = document.querySelector(".card canvas");
    const context = canvas.getContext("2d");
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const isFree = (x, y) => data[4 * (y * canvas.width + x) + 3] === 0;
    for (let y = 60; y < canvas.height; y += 1) {
      for (let x = 100; x < canvas.width - 100; x += 1) {
        if (!isFree(x, y)) continue;
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--faint");
        context.fillRect(x, y, 1, 1);
        return 1;
      }
    }
    throw new Error("no pixel is free");
  })()`);
  await settle();
  assert.equal(await different(await screen(), known), 1, "a planted pixel is found");
};

try {
  await call("Emulation.setDeviceMetricsOverride", { width: 1000, height: 600, deviceScaleFactor: 1, mobile: false });
  await call("Page.addScriptToEvaluateOnNewDocument", { source: `{
    const face = new FontFace("blocks", Uint8Array.from(atob("${font}"), (one) => one.charCodeAt(0)).buffer);
    document.fonts.add(face);
    const font = Object.getOwnPropertyDescriptor(CanvasRenderingContext2D.prototype, "font");
    Object.defineProperty(CanvasRenderingContext2D.prototype, "font", { ...font, set(text) { font.set.call(this, text.replace(/px.*/, "px blocks")); } });
    addEventListener("DOMContentLoaded", () => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync("* { font-family: blocks !important; } input[type=checkbox], input[type=range], select, input::placeholder, .age, #state { visibility: hidden !important; opacity: 0 !important; }");
      document.adoptedStyleSheets.push(sheet);
    });
    window.isBlocks = face.load().then(() => 1);
  }` });
  await visit(report);
  await until("a curve", `${inked("train_loss")} > 100 && ${inked("energy")} > 100`);
  await find("isBlocks");
  for (const theme of ["dark", "light"]) {
    // Both ways, so that everything is drawn again with the blocks.
    for (const one of [theme === "dark" ? "light" : "dark", theme]) {
      await find(`document.documentElement.dataset.theme === "${one}" || document.getElementById("theme").click()`);
      await until(`curves in the theme ${one}`, `document.documentElement.dataset.theme === "${one}" && ${inked("train_loss")} > 100 && ${inked("energy")} > 100`);
    }
    await compare(theme);
  }
  // A smoother line on top of the raw one, and a log axis.
  await find(`for (const [id, key, value] of [["smooth", "value", "0.9"], ["log-y", "checked", true]]) {
    const control = document.getElementById(id);
    control[key] = value;
    control.dispatchEvent(new Event("input"));
  }`);
  await until("smoothing", "location.hash.includes('smooth=0.9') && location.hash.includes('logy=1')");
  await compare("smooth");
  console.log("all hold");
} finally {
  await close();
}
process.exit(0);
