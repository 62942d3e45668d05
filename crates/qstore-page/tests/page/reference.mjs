// The curves in both themes, pixel by pixel. No text is drawn: fonts differ from machine to machine, curves must not.
// node reference.mjs CHROMIUM REPORT DIR MAKE — a report, the directory of the pictures, and whether to make them.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inked, open } from "./chromium.mjs";

const [chromium, report, dir, make] = process.argv.slice(2);
// A channel may differ by this much: what two versions of the rasterizer make of the edge of a line. A pixel that is drawn or not
// differs by more than 100 in one channel at least.
const TOLERANCE = 24;
const { call, find, until, visit, close } = await open(chromium);
/** An expression: the pixels of a picture that differ from those of another one. */
const different = (one, other) => `(async () => {
  const read = async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  };
  const [one, other] = [await read(${JSON.stringify(one)}), await read(${JSON.stringify(other)})];
  if (one.width !== other.width || one.height !== other.height) return -1;
  let count = 0;
  for (let at = 0; at < one.data.length; at += 4) {
    const far = [0, 1, 2, 3].some((channel) => Math.abs(one.data[at + channel] - other.data[at + channel]) > ${TOLERANCE});
    if (far) count += 1;
  }
  return count;
})()`;
/** An expression: a chart as it is drawn, on its background, or with one pixel of a curve taken away. */
const drawn = (fault) => `(() => {
  const canvas = document.querySelector(".card canvas");
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d");
  context.fillStyle = getComputedStyle(document.querySelector(".card")).backgroundColor;
  context.fillRect(0, 0, copy.width, copy.height);
  const back = context.getImageData(0, 0, 1, 1);
  context.drawImage(canvas, 0, 0);
  if (${fault}) {
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue] = data.subarray(at, at + 3);
      if (Math.max(red, green, blue) - Math.min(red, green, blue) > 110) {
        context.putImageData(back, at / 4 % copy.width, Math.floor(at / 4 / copy.width));
        break;
      }
    }
  }
  return copy.toDataURL("image/png");
})()`;

try {
  await call("Page.addScriptToEvaluateOnNewDocument", { source: `
    CanvasRenderingContext2D.prototype.fillText = () => {};
    CanvasRenderingContext2D.prototype.measureText = (text) => ({ width: 7 * String(text).length });
  ` });
  await visit(report);
  await until("a curve", `${inked("train_loss")} > 100`);
  // The same size whatever the text around it takes.
  await find(`(() => { const plot = document.querySelector(".plot"); plot.style.width = "520px"; plot.style.height = "220px"; })()`);
  await until("its size", "document.querySelector('.card canvas').width === 520 && document.querySelector('.card canvas').height === 220");
  for (const theme of ["light", "dark"]) {
    await find(`document.documentElement.dataset.theme === "${theme}" || document.getElementById("theme").click()`);
    await until(`curves in the theme ${theme}`, `document.documentElement.dataset.theme === "${theme}" && ${inked("train_loss")} > 100`);
    const found = await find(drawn(false));
    const path = join(dir, `${theme}.png`);
    if (make) writeFileSync(path, Buffer.from(found.split(",")[1], "base64"));
    const known = `data:image/png;base64,${readFileSync(path).toString("base64")}`;
    assert.equal(await find(different(found, known)), 0, `pixels of ${theme}.png that are others now`);
    assert.equal(await find(different(await find(drawn(true)), known)), 1, "a pixel that is missing is found");
  }
  console.log("all hold");
} finally {
  close();
}
process.exit(0);
