// The pictures of the documentation: the page in both themes, and a report.
// node pictures.mjs CHROMIUM PAGE REPORT PICTURES
import { inked, open } from "./chromium.mjs";

const [chromium, page, report, pictures] = process.argv.slice(2);
const { call, find, until, visit, picture, close } = await open(chromium, pictures);
const theme = (name) => find(`document.documentElement.dataset.theme === "${name}" || document.getElementById("theme").click()`);
/** Waits until every chart that is on the screen shows its curves. */
const curves = (name) => until(`curves in the theme ${name}`, `document.documentElement.dataset.theme === "${name}" && ${inked("train_loss")} > 100
  && [...document.querySelectorAll(".plot")].every(({ chart }) => !chart || chart.curves.some(({ traces }) => traces.length > 0))`);

try {
  await call("Emulation.setDeviceMetricsOverride", { width: 1200, height: 700, deviceScaleFactor: 1, mobile: false });
  // Three charts beside each other: all of them are on the picture.
  await visit(`${page}#size=3`);
  for (const name of ["light", "dark"]) {
    await theme(name);
    await curves(name);
    await picture(`page-${name}`);
  }
  await theme("light");
  await visit(`${report}#size=3`);
  await until("the report", "document.querySelectorAll('.run').length === 3");
  await theme("light");
  await curves("light");
  await call("Emulation.setDeviceMetricsOverride", { width: 1200, height: 520, deviceScaleFactor: 1, mobile: false });
  await find("document.getElementById('tab-compare').click()");
  await until("the comparison", "document.getElementById('panel').textContent.includes('optimizer')");
  await picture("report-compare");
  console.log("all hold");
} finally {
  await close();
}
process.exit(0);
