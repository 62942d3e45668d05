// What a browser sees of a page, in numbers: one line of JSON.
// node live.mjs CHROMIUM ADDRESS POLLS — the page of a server, or a report; and how many polls to wait for.
import { open } from "../crates/qstore-page/tests/page/chromium.mjs";

const [chromium, address, polls] = process.argv.slice(2);
const { call, find, until, visit, complaints, close } = await open(chromium);
try {
  // A report is on one tall screen, so that all its charts are drawn.
  const height = address.startsWith("file:") ? 3000 : 900;
  await call("Emulation.setDeviceMetricsOverride", { width: 1400, height, deviceScaleFactor: 1, mobile: false });
  // Times since the navigation began. A frame that begins after all charts were drawn shows them.
  await call("Page.addScriptToEvaluateOnNewDocument", { source: `{
    window.times = {};
    const drawn = (is) => {
      const charts = [...document.querySelectorAll(".plot")].map((plot) => plot.chart).filter(Boolean);
      return charts.length > 0 && charts.every((chart) => chart.placed && chart.curves.length > 0 && chart.curves.every(is)) ? charts.length : 0;
    };
    const look = () => {
      const now = performance.now();
      const [first, exact] = [drawn((curve) => curve.bands || curve.traces.length > 0), drawn((curve) => curve.traces.length > 0)];
      if (first && !times.ready) times.ready = now;
      else if (first && !times.painted) times.painted = now;
      if (exact && !times.all) times.all = now;
      else if (exact && !times.exact) Object.assign(times, { exact: now, charts: exact });
      if (!times.exact) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }` });
  await visit(address);
  await until("curves", "times.exact > 0");
  const times = await find(`({ ...times, data: performance.getEntriesByType("resource").find(({ name }) => name.includes("/api/series"))?.responseEnd ?? 0 })`);
  // The first answer is no poll of something that was known.
  const answers = `performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/api/runs")).slice(1)`;
  await until("enough polls", `${answers}.length >= ${polls}`);
  times.polls = await find(`${answers}.length`);
  times.empty = await find(`${answers}.filter(({ responseStatus }) => responseStatus === 304).length`);
  if (complaints().length > 0) throw new Error(complaints().join("\n"));
  console.log(JSON.stringify(times));
} finally {
  await close();
}
process.exit(0);
