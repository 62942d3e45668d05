// The views beside the charts. Every text of a run is a text node: nothing here can become markup.

/** An element with a class and what is in it: texts and elements. */
function make(tag, name, ...inside) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...inside.filter((part) => part !== null && part !== undefined && part !== ""));
  return element;
}

/**
 * A table: heads, and rows of cells. A cell is a text, an element, or `{ text, className }`; the first of a row
 * is its head.
 */
function table(caption, heads, rows) {
  const cell = (value, isHead, tag) => {
    const { text, className } = value instanceof Node || typeof value !== "object" || value === null ? { text: value } : value;
    const element = make(tag, className ?? "", text instanceof Node ? text : String(text ?? ""));
    if (isHead) element.scope = tag === "th" && rows ? "row" : "col";
    return element;
  };
  const head = make("tr", "", ...heads.map((text) => {
    // The corner above the heads of rows is no head of anything.
    if (text === "") return make("td", "");
    const element = cell(text, true, "th");
    element.scope = "col";
    return element;
  }));
  const body = rows.map((row) => make("tr", "", ...row.map((value, at) => cell(value, at === 0, at === 0 ? "th" : "td"))));
  const element = make("table", "", make("caption", "", caption), make("thead", "", head), make("tbody", "", ...body));
  const box = make("div", "scroll", element);
  box.tabIndex = 0;
  // Not a region: several runs have the same tables, and landmarks must have names of their own.
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", caption);
  return box;
}

const right = (text) => ({ text, className: "n" });

/** A time to the second. */
function when(millis) {
  return utc(Math.floor(millis / 1000) * 1000);
}

function status(word) {
  return make("span", `status ${word}`, word);
}

function note(text) {
  return make("p", "note", text);
}

function plain(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function figures(pairs) {
  return make("div", "figures", ...pairs.filter(([, value]) => value !== "" && value !== null)
    .map(([name, value]) => make("div", "", make("b", "", String(value)), make("span", "", name))));
}

/** Parameters of several runs, those that differ first; the numbers that they are judged by above them. */
function comparePanel(runs, details, isAll) {
  const heads = ["", ...runs.map((run) => run.name)];
  const rows = [];
  const metrics = new Set(runs.map((run) => run.metric?.name).filter(Boolean));
  for (const name of metrics) {
    const of = runs.map((run) => (run.metric?.name === name ? run.metric : null));
    for (const [label, key] of [["last", "last"], [of.find(Boolean).goal, "best"]]) {
      const values = of.map((metric) => metric?.[key] ?? null);
      const numbers = values.filter((value) => typeof value === "number");
      const best = of.find(Boolean).goal === "min" ? Math.min(...numbers) : Math.max(...numbers);
      rows.push([`${name} (${label})`, ...values.map((value) => ({
        text: number(value), className: numbers.length > 1 && value === best ? "n best" : "n",
      }))]);
    }
  }
  for (const [name, of] of [
    ["status", (run) => status(run.status)], ["rows", (run) => right(integer(run.rows))],
    ["created", (run) => when(run.created)], ["tags", (run) => run.tags.join(", ")],
    ["group", (run) => run.group ?? ""], ["notes", (run) => run.notes],
  ]) {
    if (runs.some((run) => run[name] !== null && String(run[name]) !== "")) rows.push([name, ...runs.map(of)]);
  }
  const params = details.map((detail) => flatParams(detail));
  const names = [...new Set(params.flatMap((one) => Object.keys(one)))].sort(byName);
  let equal = 0;
  for (const name of names) {
    const values = params.map((one) => plain(one[name]));
    if (runs.length > 1 && values.every((value) => value === values[0])) {
      equal += 1;
      if (!isAll) continue;
    }
    rows.push([name, ...values]);
  }
  const parts = [table(runs.length > 1 ? "Runs side by side: results, and parameters that differ" : "Results and parameters", heads, rows)];
  if (equal > 0 && !isAll) parts.push(note(`${equal} ${equal === 1 ? "parameter is" : "parameters are"} equal and not shown.`));
  return { parts, equal };
}

/** The parameters of a run with what its last attempt changed, its seed and its commit. */
function flatParams(detail) {
  const run = detail.run;
  const last = run.attempts.at(-1);
  const all = { ...run.params, ...last?.params };
  if (run.seed !== undefined && run.seed !== null) all.seed = run.seed;
  if (last?.git) all["git commit"] = last.git.commit.slice(0, 12) + (last.git.is_dirty ? " (changed files)" : "");
  return all;
}

function attemptsPanel(detail) {
  const rows = detail.attempts.map((one) => {
    const from = one.from ? `${one.from.step === undefined || one.from.step === null ? `checkpoint ${one.from.number}` : `step ${integer(one.from.step)}`}` : "the beginning";
    const started = Date.parse(one.started);
    const ended = one.ended ? Date.parse(one.ended) : NaN;
    const isLast = one === detail.attempts.at(-1);
    const end = one.outcome ?? (isLast ? detail.status : "crashed");
    return [
      `attempt ${one.number}`, status(end), from, when(started), Number.isNaN(ended) ? "" : duration((ended - started) / 1000),
      right(integer(one.rows)), right(one.superseded > 0 ? integer(one.superseded) : ""), one.host ?? "", one.error ?? "",
    ];
  });
  const parts = [note(`${detail.status}: ${detail.reason}`)];
  if (rows.length > 0) {
    parts.push(table("Each start of the run", ["", "ended", "went on from", "started", "took", right("rows that count"), right("superseded"), "host", "error"], rows));
  }
  if (detail.losses.length > 0) {
    parts.push(make("h2", "part", "Rows and values that are not in the file"));
    parts.push(table("What was lost, over all attempts", ["what", right("count")], detail.losses.map(([what, count]) => [what, right(integer(count))])));
  }
  if (detail.gaps.length > 0) {
    parts.push(table("Steps between which rows are missing; gray bands in the charts", ["what", right("from step"), right("to step"), right("rows"), "attempt"],
      detail.gaps.map((gap) => [gap.kind, right(integer(gap.from)), right(integer(gap.to)), right(integer(gap.rows)), plain(gap.attempt)])));
  }
  if (detail.losses.length === 0) parts.push(note("No row was lost."));
  return parts;
}

function epochsPanel(epochs) {
  if (epochs.rows.length === 0) return [note("No row sums up an epoch: none has the step −1.")];
  const best = epochs.columns.map((name, at) => {
    const values = epochs.rows.map((row) => row[at]).filter((value) => typeof value === "number");
    if (at === 0 || values.length < 2) return null;
    if (/loss|error|perplexity/.test(name)) return Math.min(...values);
    return /acc|score|fidelity|reward|auc|f1/.test(name) ? Math.max(...values) : null;
  });
  const rows = [...epochs.rows].reverse().map((row) => row.map((value, at) =>
    at === 0 ? number(value) : { text: number(value), className: value !== null && value === best[at] ? "n best" : "n" }));
  const more = epochs.count > epochs.rows.length ? `, the newest ${epochs.rows.length} of ${integer(epochs.count)}` : "";
  return [table(`Rows that sum up an epoch${more}; the best value of a column is bold`, epochs.columns.map((name, at) => (at === 0 ? name : right(name))), rows)];
}

function checkpointsPanel(detail) {
  const kept = detail.checkpoints;
  if (!kept || kept.list.length === 0) return [note("The run has no checkpoints.")];
  const list = kept.list;
  const said = make("output", "", "Newest save on the right. Choose one to see why it stays or goes.");
  const line = make("div", "line", ...list.slice(-60).map((one, at, shown) => {
    const button = make("button", one.keep ? "" : "goes", String(one.number));
    button.type = "button";
    button.style.left = `${shown.length === 1 ? 50 : 2 + (96 * at) / (shown.length - 1)}%`;
    const text = `${kept.counter} ${one.number}, save ${one.save_seq}: ${one.keep ? "stays" : "goes with the next save"}${one.reason ? `, because ${one.reason}` : ""}`;
    button.setAttribute("aria-label", text);
    button.title = text;
    button.addEventListener("click", () => said.replaceChildren(text));
    return button;
  }), said);
  const names = [...new Set(list.flatMap((one) => one.metrics.map(([name]) => name)))].slice(0, 8);
  const rows = [...list].reverse().map((one) => [
    `${kept.counter} ${one.number}`, right(one.save_seq), make("span", `status ${one.keep ? "finished" : "goes"}`, one.keep ? "stays" : "goes"),
    one.reason, when(one.time), right(one.bytes > 0 ? size(one.bytes) : ""),
    ...names.map((name) => right(number(one.metrics.find(([other]) => other === name)?.[1]))),
  ]);
  const total = list.reduce((sum, one) => sum + one.bytes, 0);
  return [
    make("div", "scroll", line),
    table(`${list.length} ${list.length === 1 ? "checkpoint" : "checkpoints"}, ${size(total)}${kept.planned ? "" : "; the directory has no rules, so all stay"}`,
      ["", right("save"), "", "because", "saved", right("size"), ...names.map((name) => right(name))], rows),
  ];
}

function jobsPanel(detail) {
  const jobs = detail.jobs;
  if (!jobs) return [note("The run has no ledger of jobs on quantum computers.")];
  const usd = (value) => `$${value.toFixed(2)}`;
  const parts = [figures([
    ["jobs", integer(jobs.count)], ["open", integer(jobs.open)], ["in doubt", jobs.in_doubt > 0 ? integer(jobs.in_doubt) : ""],
    ["failed", jobs.failed > 0 ? integer(jobs.failed) : ""], ["shots", integer(jobs.shots)], ["paid", usd(jobs.cost_usd)],
    ["reserved", usd(jobs.reserved_usd)], ["waited in queues", jobs.queue_ms === null ? "" : duration(jobs.queue_ms / 1000)],
    ["ran on devices", jobs.exec_ms === null ? "" : duration(jobs.exec_ms / 1000)],
  ])];
  if (jobs.in_doubt > 0) {
    parts.push(make("p", "problem", `${jobs.in_doubt} in doubt: their requests may have arrived although no identifier is known, unless the process that sends them is at work. Look for their keys at the provider before anything is sent again.`));
  }
  parts.push(table("By device", ["device", "provider", right("jobs"), right("shots"), right("paid"), right("reserved")],
    jobs.devices.map((one) => [one.device, one.provider, right(integer(one.jobs)), right(integer(one.shots)), right(usd(one.cost_usd)), right(usd(one.reserved_usd))])));
  parts.push(make("h2", "part", "Jobs"));
  parts.push(table(`The newest ${jobs.list.length} of ${integer(jobs.count)}`,
    ["key", "state", "device", "provider's job", right("step"), right("shots"), right("usd"), right("queued"), right("ran"), "intended", "error"],
    jobs.list.map((one) => [
      make("code", "", one.key), one.in_doubt ? make("span", "status odd", "in doubt") : `${one.state}${one.state === "queued" && one.queue_position !== null ? ` at ${one.queue_position}` : ""}`,
      one.device, one.provider_job ?? "", right(one.step === null ? "" : integer(one.step)), right(integer(one.shots)),
      right(one.cost_usd !== null ? Number(one.cost_usd).toFixed(2) : one.est_usd !== null && !["failed", "cancelled"].includes(one.state) ? `~${Number(one.est_usd).toFixed(2)}` : ""),
      right(one.queue_ms === null ? "" : duration(one.queue_ms / 1000)), right(one.exec_ms === null ? "" : duration(one.exec_ms / 1000)),
      when(one.intended), one.error ?? "",
    ])));
  return parts;
}

function environmentPanel(detail) {
  const run = detail.run;
  const rows = [["id", run.id], ["created", when(Date.parse(run.created))], ["group", run.group ?? ""], ["notes", run.notes ?? ""]];
  const parts = [table("The run", ["", ""], rows.filter(([, value]) => value !== ""))];
  for (const one of [...run.attempts].reverse()) {
    const git = one.git ? `${one.git.commit}${one.git.branch ? ` on ${one.git.branch}` : ""}${one.git.is_dirty ? ", with changed files" : ""}${one.git.remote ? `, ${one.git.remote}` : ""}` : "";
    const known = [
      ["command", make("code", "", (one.argv ?? []).join(" "))], ["directory", one.cwd ?? ""], ["host", one.host ?? ""],
      ["process", plain(one.pid)], ["processor", one.cpu ?? ""], ["git", git],
      ...Object.entries(one.env ?? {}).map(([name, value]) => [name, value]),
      ...Object.entries(one.params ?? {}).map(([name, value]) => [`${name} (changed)`, plain(value)]),
    ];
    parts.push(make("h2", "part", `Attempt ${one.number}`));
    parts.push(table(`Where attempt ${one.number} ran`, ["", ""], known.filter(([, value]) => value instanceof Node || value !== "")));
  }
  return parts;
}
