// The page: what is chosen, what is shown, and asking again.

const COLORS = {
  light: ["#0072b2", "#d55e00", "#007a59", "#b0528b", "#946100", "#2a7fb8", "#6b5b95", "#4d4d4d"],
  dark: ["#56b4e9", "#f28e4b", "#2fc9a0", "#e58fc3", "#e6b422", "#9ecbff", "#b8a6f0", "#c9ced6"],
};
const DASHES = [undefined, [7, 4], [2, 3]];
const TABS = [
  ["charts", "Charts"], ["compare", "Compare"], ["epochs", "Epochs"], ["checkpoints", "Checkpoints"],
  ["attempts", "Attempts"], ["jobs", "Quantum"], ["system", "System"], ["environment", "Environment"],
];
/** A run with more rows is first drawn from the bounds in its footer. */
const QUICK_ROWS = 300000;
const SHOWN_AT_FIRST = 5;

const by = (id) => document.getElementById(id);

class App {
  constructor() {
    const data = inside();
    this.source = data ? new ReportSource(data) : new ServedSource();
    this.runs = [];
    this.details = new Map();
    this.chosen = null;
    this.slots = new Map();
    this.cards = new Map();
    this.cursor = null;
    this.window = null;
    this.tab = "charts";
    this.status = null;
    this.tag = null;
    this.isAll = false;
    this.failures = 0;
    this.watcher = new IntersectionObserver((entries) => this.seen(entries), { root: null, rootMargin: "200px" });
    this.sizes = new ResizeObserver((entries) => {
      for (const { target } of entries) target.chart?.resize();
    });
    this.restore();
    this.listen();
    this.showTabs();
    this.theme();
    this.poll();
  }

  // What is chosen ------------------------------------------------------------------------------------------------

  /** The address has the view: who opens it sees the same. */
  restore() {
    const link = new URLSearchParams(location.hash.slice(1));
    if (link.has("runs")) this.wanted = link.getAll("runs");
    if (TABS.some(([id]) => id === link.get("tab"))) this.tab = link.get("tab");
    for (const [id, name] of [["filter", "charts"], ["search", "search"], ["order", "order"], ["x", "x"], ["columns", "size"]]) {
      const control = by(id);
      const value = link.get(name) ?? "";
      if (value && (control.tagName === "INPUT" || [...control.options].some((option) => option.value === value))) control.value = value;
    }
    if (!link.has("size")) by("columns").value = "2";
    for (const [id, name] of [["log-x", "logx"], ["log-y", "logy"], ["superseded", "all"]]) by(id).checked = link.get(name) === "1";
    const weight = Number(link.get("smooth"));
    by("smooth").value = String(weight >= 0 && weight < 1 ? weight : 0);
    const [from, to] = [Number(link.get("from")), Number(link.get("to"))];
    this.window = link.has("from") && link.has("to") && from < to ? [from, to] : null;
    this.shade = ["light", "dark"].includes(link.get("theme")) ? link.get("theme") : null;
    this.isLinked = link.has("x");
    if (this.window) this.window.kind = by("x").value;
  }

  save() {
    const link = new URLSearchParams();
    for (const run of this.selected()) link.append("runs", run.name);
    if (this.tab !== "charts") link.set("tab", this.tab);
    for (const [id, name, usual] of [["filter", "charts", ""], ["search", "search", ""], ["order", "order", "name"], ["x", "x", "step"], ["columns", "size", "2"], ["smooth", "smooth", "0"]]) {
      if (by(id).value !== usual) link.set(name, by(id).value);
    }
    for (const [id, name] of [["log-x", "logx"], ["log-y", "logy"], ["superseded", "all"]]) if (by(id).checked) link.set(name, "1");
    if (this.window) {
      link.set("from", String(this.window[0]));
      link.set("to", String(this.window[1]));
    }
    if (this.shade) link.set("theme", this.shade);
    history.replaceState(null, "", `#${link}`);
  }

  selected() {
    return this.runs.filter((run) => this.chosen?.has(run.id));
  }

  run(id) {
    return this.runs.find((run) => run.id === id);
  }

  choose(id, isOn) {
    if (isOn) this.chosen.add(id);
    else this.chosen.delete(id);
    this.assign();
    this.save();
    this.showRuns();
    this.refresh(true);
  }

  /** A run keeps its color while it is chosen. */
  assign() {
    for (const id of [...this.slots.keys()]) if (!this.chosen.has(id)) this.slots.delete(id);
    const taken = new Set(this.slots.values());
    for (const run of this.selected()) {
      if (this.slots.has(run.id)) continue;
      let slot = 0;
      while (taken.has(slot)) slot += 1;
      taken.add(slot);
      this.slots.set(run.id, slot);
    }
  }

  style(id) {
    const slot = this.slots.get(id) ?? 0;
    const colors = COLORS[this.isDark ? "dark" : "light"];
    return { color: colors[slot % colors.length], dash: DASHES[Math.floor(slot / colors.length) % DASHES.length] };
  }

  // Asking --------------------------------------------------------------------------------------------------------

  async poll() {
    clearTimeout(this.timer);
    try {
      const { answer, isNew } = await this.source.get("api/runs");
      this.failures = 0;
      if (isNew) await this.take(answer);
      this.sayState();
    } catch (error) {
      this.failures += 1;
      const state = by("state");
      state.textContent = `No answer: ${error.message}. What is shown may be old.`;
      state.className = "bad";
    }
    if (this.source.isReport) return;
    const usual = document.hidden ? 10000 : 1000;
    this.timer = setTimeout(() => this.poll(), this.failures > 0 ? Math.min(30000, usual * 2 ** this.failures) : usual);
  }

  async take(answer) {
    const before = new Map(this.runs.map((run) => [run.id, run]));
    const chosenBefore = this.chosen;
    this.runs = answer.runs;
    this.title = answer.title;
    by("title").textContent = document.title && this.source.isReport ? document.title : answer.title;
    if (!this.source.isReport) document.title = `${answer.title} · qstore`;
    if (this.chosen === null) {
      const wanted = this.wanted && this.runs.filter((run) => this.wanted.includes(run.name));
      const first = wanted?.length > 0 ? wanted : this.atFirst();
      this.chosen = new Set(first.map((run) => run.id));
    }
    this.assign();
    this.showRuns();
    const changed = this.selected().filter((run) => {
      const old = before.get(run.id);
      return !old || old.version !== run.version || old.status !== run.status;
    });
    if (changed.length > 0 || chosenBefore === null) await this.refresh(false);
  }

  /** The runs of a report, or the newest. */
  atFirst() {
    if (this.source.isReport) return this.runs.slice(0, COLORS.light.length);
    return [...this.runs].sort((one, other) => (other.changed ?? 0) - (one.changed ?? 0)).slice(0, SHOWN_AT_FIRST);
  }

  sayState() {
    const running = this.runs.filter((run) => run.status === "running").length;
    const state = by("state");
    state.className = "";
    const text = this.source.isReport
      ? `Report of ${utc(this.source.made)} UTC`
      : `${this.runs.length} ${this.runs.length === 1 ? "run" : "runs"}, ${running} running`;
    if (state.textContent !== text) state.textContent = text;
    this.showAges();
  }

  say(text) {
    by("said").textContent = text;
  }

  now() {
    return this.source.isReport ? this.source.made : Date.now();
  }

  async detail(id) {
    const { answer } = await this.source.get(`api/run/${id}`);
    this.details.set(id, answer);
    return answer;
  }

  /** Reads what is chosen again; `isOther` if other runs were chosen. */
  async refresh(isOther) {
    const runs = this.selected();
    const all = await Promise.allSettled(runs.map((run) => this.detail(run.id)));
    this.problems = all.flatMap((one, at) => one.status === "rejected"
      ? [`${runs[at].name}: ${one.reason.message}`]
      : one.value.problems.map((text) => `${runs[at].name}: ${text}`));
    if (!this.isLinked && !this.source.isReport) await this.findX();
    this.showPanel(isOther);
  }

  /** Values that sum up epochs have no step: a run that has only those is shown over its epochs. */
  async findX() {
    this.isLinked = true;
    const details = this.selected().map((run) => this.details.get(run.id)).filter(Boolean);
    const has = (name) => details.some((detail) => detail.columns.some((column) => column.name === name));
    if (details.length > 0 && !has("step")) by("x").value = has("epoch") ? "epoch" : "row";
  }

  // The list of runs ------------------------------------------------------------------------------------------------

  shownRuns() {
    const search = by("search").value;
    const shown = this.runs.filter((run) => {
      const text = [run.name, run.status, run.group ?? "", run.notes, ...run.tags].join(" ");
      return hasWords(text, search) && (!this.status || run.status === this.status) && (!this.tag || run.tags.includes(this.tag));
    });
    const order = by("order").value;
    const value = (run) => (typeof run.metric?.best === "number" ? (run.metric.goal === "max" ? -run.metric.best : run.metric.best) : Infinity);
    const compare = {
      name: (one, other) => byName(one.name, other.name),
      changed: (one, other) => (other.changed ?? 0) - (one.changed ?? 0),
      best: (one, other) => (value(one) === value(other) ? 0 : value(one) - value(other)),
      rows: (one, other) => other.rows - one.rows,
    }[order];
    return shown.sort(compare);
  }

  showRuns() {
    const counts = (values) => {
      const all = new Map();
      for (const value of values) all.set(value, (all.get(value) ?? 0) + 1);
      return [...all].sort(([one], [other]) => byName(one, other));
    };
    const chips = (element, pairs, current, set) => {
      element.replaceChildren(...pairs.map(([name, count]) => {
        const button = make("button", "", `${name} ${count}`);
        button.type = "button";
        button.setAttribute("aria-pressed", String(name === current));
        button.addEventListener("click", () => {
          set(name === current ? null : name);
          this.showRuns();
        });
        return button;
      }));
    };
    const states = counts(this.runs.map((run) => run.status));
    chips(by("states"), states.length > 1 ? states : [], this.status, (name) => (this.status = name));
    chips(by("tags"), counts(this.runs.flatMap((run) => run.tags)).slice(0, 24), this.tag, (name) => (this.tag = name));
    const focused = document.activeElement?.dataset?.run;
    const shown = this.shownRuns();
    const limit = this.limit ?? 200;
    const rows = shown.slice(0, limit).map((run) => this.runRow(run));
    if (shown.length === 0) rows.push(note(this.runs.length === 0 ? "There is no run yet. This page shows it as soon as there is one." : "No run matches."));
    if (shown.length > limit) {
      const more = make("button", "", `Show all ${shown.length} runs`);
      more.addEventListener("click", () => {
        this.limit = Infinity;
        this.showRuns();
      });
      rows.push(more);
    }
    by("table").replaceChildren(...rows);
    if (focused) by("table").querySelector(`input[data-run="${Number(focused)}"]`)?.focus();
  }

  runRow(run) {
    const box = make("input", "");
    box.type = "checkbox";
    box.checked = this.chosen.has(run.id);
    box.dataset.run = String(run.id);
    box.setAttribute("aria-label", `Show ${run.name}, ${run.status}`);
    if (box.checked) box.style.accentColor = this.style(run.id).color;
    box.addEventListener("change", () => this.choose(run.id, box.checked));
    const best = run.metric?.best ?? run.metric?.last;
    const value = make("span", "value", number(best));
    if (run.metric) value.title = `${run.metric.name}, best ${number(run.metric.best)} (${run.metric.goal}), last ${number(run.metric.last)}`;
    const told = [run.rows > 0 ? `${integer(run.rows)} rows` : "no rows", run.attempts > 1 ? `${run.attempts} attempts` : "", run.lost > 0 ? `${integer(run.lost)} lost` : "", ...run.tags];
    const word = status(run.status);
    word.title = run.error ?? run.reason;
    const more = make("span", "more", word, ` ${told.filter(Boolean).join(" · ")}`);
    if (run.error) more.append(` · ${run.error}`);
    const when = make("span", "age", age(run.changed, this.now()));
    when.dataset.changed = String(run.changed ?? "");
    const row = make("label", "run", box, make("span", "name", run.name), value, more, when);
    row.dataset.on = String(box.checked);
    return row;
  }

  showAges() {
    for (const element of by("table").querySelectorAll(".age")) {
      const text = element.dataset.changed === "" ? "" : age(Number(element.dataset.changed), this.now());
      if (element.textContent !== text) element.textContent = text;
    }
  }

  // Views -----------------------------------------------------------------------------------------------------------

  showTabs() {
    by("tabs").replaceChildren(...TABS.map(([id, name]) => {
      const button = make("button", "", name);
      button.type = "button";
      button.id = `tab-${id}`;
      button.setAttribute("role", "tab");
      button.setAttribute("aria-selected", String(id === this.tab));
      button.setAttribute("aria-controls", "panel");
      button.tabIndex = id === this.tab ? 0 : -1;
      button.addEventListener("click", () => this.open(id));
      return button;
    }));
    by("panel").setAttribute("aria-labelledby", `tab-${this.tab}`);
  }

  open(id) {
    this.tab = id;
    this.showTabs();
    this.save();
    this.showPanel(true);
    by("main").scrollTop = 0;
  }

  showPanel(isOther) {
    const isCharts = this.tab === "charts" || this.tab === "system";
    by("settings").hidden = !isCharts;
    by("reset").hidden = !this.window;
    const panel = by("panel");
    panel.ariaBusy = String(!isCharts);
    if (isCharts) {
      this.showCharts(isOther);
      return;
    }
    this.clearCharts();
    const runs = this.selected();
    const draw = async () => {
      if (runs.length === 0) return [note("Choose a run on the left.")];
      if (this.tab === "compare") {
        const details = runs.map((run) => this.details.get(run.id));
        const known = runs.filter((_, at) => details[at]);
        const { parts, equal } = comparePanel(known, details.filter(Boolean), this.isAll);
        if (equal > 0) {
          const button = make("button", "", this.isAll ? "Only parameters that differ" : "All parameters");
          button.addEventListener("click", () => {
            this.isAll = !this.isAll;
            this.showPanel(false);
          });
          parts.push(button);
        }
        return parts;
      }
      const parts = [];
      for (const run of runs) {
        const detail = this.details.get(run.id);
        if (!detail) continue;
        if (runs.length > 1) {
          const swatch = make("i", "");
          swatch.style.background = this.style(run.id).color;
          parts.push(make("h2", "part", swatch, " ", run.name));
        }
        if (this.tab === "epochs") parts.push(...epochsPanel((await this.source.get(`api/epochs/${run.id}`)).answer));
        if (this.tab === "checkpoints") parts.push(...checkpointsPanel(detail));
        if (this.tab === "attempts") parts.push(...attemptsPanel(detail));
        if (this.tab === "jobs") parts.push(...jobsPanel(detail));
        if (this.tab === "environment") parts.push(...environmentPanel(detail));
      }
      return parts;
    };
    const tab = this.tab;
    draw().catch((error) => [make("p", "problem", error.message)]).then((parts) => {
      // Another view may have been opened in the meantime.
      if (this.tab !== tab) return;
      panel.replaceChildren(...this.problemParts(), ...parts);
      panel.ariaBusy = "false";
    });
  }

  problemParts() {
    return (this.problems ?? []).map((text) => make("p", "problem", text));
  }

  // Charts ----------------------------------------------------------------------------------------------------------

  clearCharts() {
    for (const card of this.cards.values()) this.close(card);
    this.cards.clear();
    this.grid = null;
  }

  chartNames() {
    const isSystem = this.tab === "system";
    const names = new Set();
    for (const run of this.selected()) {
      const detail = this.details.get(run.id);
      if (!detail) continue;
      const columns = isSystem ? detail.system : detail.columns.filter((column) => column.number).map((column) => column.name);
      for (const name of columns) if (!["epoch", "step", "timestamp"].includes(name)) names.add(name);
    }
    if (this.source.isReport) {
      for (const name of [...names]) if (!this.source.data.series.some((one) => one.column === name && one.system === isSystem)) names.delete(name);
    }
    const filter = by("filter").value;
    const goals = new Set(this.selected().map((run) => run.metric?.name));
    // What the runs are judged by comes first.
    return [...names].filter((name) => hasWords(name, filter))
      .sort((one, other) => Number(goals.has(other)) - Number(goals.has(one)) || byName(one, other));
  }

  showCharts(isOther) {
    const isSystem = this.tab === "system";
    for (const id of ["x", "superseded"]) by(id).closest("label").hidden = isSystem || (this.source.isReport && id === "x");
    const names = this.chartNames();
    const key = `${isSystem} ${names.join("\u0000")}`;
    const panel = by("panel");
    if (!this.grid || this.gridKey !== key || !panel.contains(this.grid)) {
      this.clearCharts();
      this.gridKey = key;
      this.legend = make("div", "legend");
      this.grid = make("div", "charts");
      const group = (name) => (name.includes("/") ? name.slice(0, name.indexOf("/")) : "");
      const groups = new Set(names.map(group));
      let current = null;
      const ordered = groups.size > 1 ? [...names].sort((one, other) => byName(group(one), group(other))) : names;
      for (const name of ordered) {
        if (groups.size > 1 && group(name) !== current) {
          current = group(name);
          this.grid.append(make("h2", "part group", current === "" ? "metrics" : current));
        }
        const card = this.card(name, isSystem);
        this.cards.set(name, card);
        this.grid.append(card.element);
      }
      const empty = this.selected().length === 0 ? "Choose a run on the left."
        : by("filter").value ? "No chart matches." : isSystem ? "No system metrics were recorded: RunSettings::system_metrics turns them on." : "No numbers were logged yet.";
      panel.replaceChildren(...this.problemParts(), this.legend, this.grid, ...(names.length === 0 ? [note(empty)] : []));
      if (this.source.isReport && names.length > 0 && !isSystem) {
        panel.append(note("Each curve is exact for the pixel columns that this report holds: nothing between the least and the largest value is left out. A closer look needs the run itself."));
      }
    }
    const across = by("columns").value;
    this.grid.dataset.across = across;
    this.grid.style.setProperty("--across", across);
    this.legend.replaceChildren(...this.selected().map((run) => {
      const swatch = make("i", "");
      swatch.style.background = this.style(run.id).color;
      return make("span", "", swatch, run.name);
    }));
    for (const card of this.cards.values()) {
      if (isOther && card.chart) card.chart.curves = card.chart.curves.filter((curve) => this.chosen.has(curve.run));
      card.isOld = true;
      if (card.isSeen) this.fetch(card);
    }
  }

  card(name, isSystem) {
    const plot = make("div", "plot");
    const over = make("small", "");
    const title = make("h2", "", name, " ", over);
    const button = (text, label, action) => {
      const element = make("button", "", text);
      element.type = "button";
      element.setAttribute("aria-label", `${label} of ${name}`);
      element.title = label;
      element.addEventListener("click", action);
      return element;
    };
    const card = { name, isSystem, plot, over, x: null, isSeen: false, isOld: true };
    card.element = make("section", "card", make("div", "bar", title,
      button("PNG", "Picture as PNG", async () => this.download(`${fileName(name)}.png`, await card.chart?.png())),
      button("SVG", "Picture as SVG", () => this.download(`${fileName(name)}.svg`, card.chart?.svg()))), plot);
    card.element.card = card;
    this.watcher.observe(card.element);
    return card;
  }

  download(name, blob) {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  /** Only what is on the screen is drawn, and only that is read. */
  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = target.card;
      card.isSeen = isIntersecting;
      if (isIntersecting && !card.chart) {
        card.chart = new Chart(card.plot, card.name, this);
        card.chart.card = card;
        card.plot.chart = card.chart;
        card.chart.resize();
        this.sizes.observe(card.plot);
      }
      if (isIntersecting && card.isOld) this.fetch(card);
      if (!isIntersecting && card.chart) this.forget(card);
    }
  }

  forget(card) {
    card.abort?.abort();
    this.sizes.unobserve(card.plot);
    card.plot.replaceChildren();
    card.chart = null;
    card.plot.chart = null;
    card.isOld = true;
  }

  close(card) {
    this.watcher.unobserve(card.element);
    if (card.chart) this.forget(card);
  }

  xKind(card) {
    if (this.source.isReport) return this.source.xOf(card.name, card.isSystem);
    return card.isSystem ? "time" : card.x ?? by("x").value;
  }

  async fetch(card) {
    const chart = card.chart;
    if (!chart) return;
    card.isOld = false;
    card.abort?.abort();
    card.abort = new AbortController();
    const { signal } = card.abort;
    const runs = this.selected();
    const query = new URLSearchParams();
    for (const run of runs) query.append("run", String(run.id));
    query.set("y", card.name);
    query.set("x", this.xKind(card));
    query.set("width", String(chart.columns()));
    if (card.isSystem) query.set("system", "1");
    if (by("log-x").checked && !this.source.isReport) query.set("log", "1");
    if (by("superseded").checked && !card.isSystem) query.set("all", "1");
    if (this.window && !this.source.isReport && this.zoomKind === this.xKind(card)) {
      query.set("from", String(this.window[0]));
      query.set("to", String(this.window[1]));
    }
    try {
      const isEmpty = chart.curves.length === 0;
      if (isEmpty && !this.source.isReport && runs.some((run) => run.rows > QUICK_ROWS)) {
        const quick = new URLSearchParams(query);
        quick.set("quick", "1");
        const { answer } = await this.source.series(quick, signal);
        if (signal.aborted) return;
        chart.curves = curves(answer);
        chart.draw();
      }
      let { answer, isNew } = await this.source.series(query, signal);
      if (answer.series.every((one) => one.traces.length === 0) && query.get("x") === "step" && !query.has("from")) {
        // A value that sums up an epoch has no step.
        query.set("x", "epoch");
        ({ answer, isNew } = await this.source.series(query, signal));
        card.x = answer.series.some((one) => one.traces.length > 0) ? "epoch" : null;
      }
      if (signal.aborted || card.chart !== chart) return;
      const kind = this.xKind(card);
      card.over.textContent = (card.x || this.source.isReport) && kind !== "step" && !card.isSystem ? `over ${kind}` : "";
      if (isNew || chart.answer !== answer) {
        chart.answer = answer;
        chart.curves = curves(answer);
      }
      chart.message = runs.length === 0 ? "No run is chosen." : "No row has a place on this axis.";
      chart.draw();
    } catch (error) {
      if (signal.aborted) return;
      card.isOld = true;
      chart.message = error.message;
      chart.draw();
    }
  }

  /** What all charts share; see `layout`. */
  view(chart) {
    const card = chart.card;
    const kind = this.xKind(card);
    const gaps = card.isSystem ? [] : this.selected().flatMap((run) => this.details.get(run.id)?.gaps ?? []);
    return {
      window: this.window && this.zoomKind === kind ? this.window : null,
      isLogX: by("log-x").checked, isLogY: by("log-y").checked, smoothing: Number(by("smooth").value),
      hasSuperseded: by("superseded").checked, xKind: kind, gaps,
      style: (id) => this.style(id), name: (id) => this.run(id)?.name ?? "", colors: this.colors,
    };
  }

  get zoomKind() {
    return this.window?.kind ?? (this.source.isReport ? "step" : by("x").value);
  }

  setCursor(chart, x) {
    this.cursor = chart ? { chart, x, kind: this.xKind(chart.card) } : null;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      for (const card of this.cards.values()) card.chart?.drawOver();
    });
  }

  setWindow(from, to, chart) {
    this.window = from === null ? null : [from, to];
    if (this.window && chart) this.window.kind = this.xKind(chart.card);
    by("reset").hidden = !this.window;
    this.save();
    this.say(this.window ? `From ${number(from)} to ${number(to)}` : "Everything is shown");
    for (const card of this.cards.values()) {
      card.isOld = true;
      if (!card.chart) continue;
      // At once from what is there; the finer curves follow.
      card.chart.draw();
      this.fetch(card);
    }
  }

  redraw(isOther) {
    by("smooth-text").textContent = Number(by("smooth").value).toFixed(2).replace(/\.?0+$/, "") || "0";
    this.save();
    for (const card of this.cards.values()) {
      card.isOld = card.isOld || isOther;
      if (!card.chart) continue;
      if (isOther) this.fetch(card);
      else card.chart.draw();
    }
  }

  // Around it -------------------------------------------------------------------------------------------------------

  theme() {
    const isDark = this.shade ? this.shade === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    this.isDark = isDark;
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colors = {
      paper: color("card"), grid: color("grid"), axis: color("axis"), faint: color("faint"), gap: color("gap"), select: color("accent"),
    };
    if (this.chosen) {
      this.showRuns();
      this.showPanel(false);
      this.redraw(false);
    }
  }

  listen() {
    by("theme").addEventListener("click", () => {
      this.shade = this.isDark ? "light" : "dark";
      this.theme();
      this.save();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.theme());
    for (const id of ["search", "order"]) by(id).addEventListener("input", () => {
      this.save();
      this.showRuns();
    });
    by("filter").addEventListener("input", () => {
      this.save();
      this.showPanel(false);
    });
    by("columns").addEventListener("input", () => {
      this.save();
      this.showPanel(false);
    });
    by("x").addEventListener("input", () => {
      this.window = null;
      by("reset").hidden = true;
      for (const card of this.cards.values()) {
        card.x = null;
        if (card.chart) card.chart.curves = [];
      }
      this.redraw(true);
    });
    by("log-x").addEventListener("input", () => this.redraw(true));
    by("superseded").addEventListener("input", () => this.redraw(true));
    for (const id of ["log-y", "smooth"]) by(id).addEventListener("input", () => this.redraw(false));
    by("reset").addEventListener("click", () => this.setWindow(null, null, null));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !this.source.isReport) this.poll();
    });
    window.addEventListener("hashchange", () => location.reload());
    by("tabs").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const at = TABS.findIndex(([id]) => id === this.tab);
      this.open(TABS[(at + step + TABS.length) % TABS.length][0]);
      by(`tab-${this.tab}`).focus();
    });
    document.addEventListener("keydown", (event) => this.key(event));
    by("smooth-text").textContent = by("smooth").value;
  }

  /** One letter for what is done often, where no text is being written. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const toggle = (id) => {
      by(id).checked = !by(id).checked;
      by(id).dispatchEvent(new Event("input"));
    };
    const action = {
      "/": () => by(this.tab === "charts" || this.tab === "system" ? "filter" : "search").focus(),
      y: () => toggle("log-y"), l: () => toggle("log-x"), a: () => toggle("superseded"), t: () => by("theme").click(),
      x: () => {
        const select = by("x");
        select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
        select.dispatchEvent(new Event("input"));
      },
      s: () => this.smoothen(0.1), S: () => this.smoothen(-0.1),
      Escape: () => this.window && this.setWindow(null, null, null),
    }[event.key];
    const place = /^[1-8]$/.test(event.key) ? Number(event.key) - 1 : -1;
    if (place >= 0) this.open(TABS[place][0]);
    else if (action) action();
    else return;
    event.preventDefault();
  }

  smoothen(more) {
    const weight = Math.min(0.99, Math.max(0, Number(by("smooth").value) + more));
    by("smooth").value = String(weight);
    this.redraw(false);
  }
}

new App();
