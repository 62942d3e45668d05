// Where answers come from: a server, or the file itself.

/** What the file has inside, if it is a report. */
function inside() {
  const element = document.getElementById("data");
  return element ? JSON.parse(element.textContent) : null;
}

/** Asks the server. An answer that has not changed is not sent again. */
class ServedSource {
  constructor() {
    this.isReport = false;
    this.known = new Map();
    this.running = 0;
    this.waiting = [];
  }

  /** The answer to an address, and whether it is another one than the last. */
  async get(address, signal) {
    await this.turn();
    try {
      const known = this.known.get(address);
      const headers = known ? { "If-None-Match": known.tag } : {};
      const response = await fetch(address, { headers, signal, credentials: "same-origin", cache: "no-store" });
      if (response.status === 304 && known) return { answer: known.answer, isNew: false };
      if (!response.ok) throw new Error((await response.text()).trim() || `status ${response.status}`);
      const answer = await response.json();
      this.keep(address, { tag: response.headers.get("ETag"), answer });
      return { answer, isNew: true };
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }

  /** At most four at a time: the rest of what a browser opens stays free for what is asked next. */
  async turn() {
    if (this.running >= 4) await new Promise((go) => this.waiting.push(go));
    this.running += 1;
  }

  keep(address, entry) {
    this.known.delete(address);
    this.known.set(address, entry);
    // The oldest go first.
    for (const old of this.known.keys()) {
      if (this.known.size <= 300) break;
      this.known.delete(old);
    }
  }

  series(query, signal) {
    return this.get(`api/series?${query}`, signal);
  }
}

/** Finds the answers in the file. */
class ReportSource {
  constructor(data) {
    this.isReport = true;
    this.data = data;
    this.made = data.made;
  }

  async get(address) {
    const answer = this.data.answers[address];
    if (!answer) throw new Error("this report does not have that");
    return { answer, isNew: true };
  }

  async series(query) {
    const [name, isSystem] = [query.get("y"), query.get("system") === "1"];
    const found = this.data.series.find((one) => one.column === name && one.system === isSystem);
    if (!found) throw new Error("this report does not have that");
    const runs = query.getAll("run").map(Number);
    const series = found.series.filter((one) => runs.includes(one.run));
    return { answer: { ...found, series }, isNew: true };
  }

  /** The x that a column was drawn over. */
  xOf(name, isSystem) {
    return this.data.series.find((one) => one.column === name && one.system === isSystem)?.x ?? "step";
  }
}
