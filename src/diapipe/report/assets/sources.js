/* A list of sources: paging, sorting, filtering, cut-outs that blink, labels by keyboard. No library, no network.
   A page has <section class="sources" id="NAME"> with its first rows; data/NAME.js calls diapipe.add("NAME", {...}). */
"use strict";

window.diapipe ??= (() => {
  const LABELS = { real: "r", bogus: "b", unsure: "u" };
  const MINUS = "\u2212", MISSING = "\u2013";
  const BLINK_MS = 600, CALM_BLINK_MS = 1500;
  const KEYS = [
    ["j or ↓", "next"], ["k or ↑", "previous"], ["n", "next page"], ["p", "previous page"],
    ["space", "blink, or stop"], ["1 2 3", "hold one image"],
    ["r", "label as real, and go on"], ["b", "label as bogus, and go on"], ["u", "label as unsure, and go on"], ["x", "take the label off"],
    ["f", "go to the filters"], ["?", "this help"], ["Esc", "close the help; leave a filter"],
  ];
  const lists = new Map();
  let active = null;

  /* ---- small things ---- */

  /** An element with properties, attributes (in `attributes`) and children. */
  function make(tag, { attributes = {}, ...properties } = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const button = (text, onclick, properties = {}) => make("button", { type: "button", onclick, ...properties }, text);
  const labelled = (text, control) => make("label", {}, make("span", {}, text), control);
  const grouped = n => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  function fixed(value, decimals) {
    if (value === null) return MISSING;
    const text = value.toFixed(decimals);
    return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", MINUS);
  }

  /** What the browser keeps between visits; nothing where it may keep nothing. */
  const store = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); return true; } catch { return false; } },
  };

  /* ---- columns: the text of a cell, and what it is sorted by (null last) ---- */

  const KINDS = {
    number: {
      text(column, i) {
        const value = fixed(column.values[i], column.decimals), error = column.errors?.[i] ?? null;
        return error === null || value === MISSING ? value : `${value} ± ${fixed(error, column.decimals)}`;
      },
      key(column, i) {
        const value = column.values[i];
        return value !== null && column.size ? Math.abs(value) : value;
      },
    },
    word: {
      text: (column, i) => column.words[column.values[i]],
      key: (column, i) => column.words[column.values[i]],
    },
    flags: {
      text: (column, i) => column.values[i].map(code => column.words[code]).join(", "),
      key: (column, i) => KINDS.flags.text(column, i) || null,
    },
  };
  const textOf = (column, i) => KINDS[column.kind].text(column, i);
  const titleOf = column => column.unit ? `${column.label}, ${column.unit}` : column.label;

  function compared(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    return a < b ? -1 : a > b ? 1 : 0;
  }

  /** Rows in the order of a column; rows without a value last, whatever the direction. */
  function sorted(rows, column, isDown) {
    const keys = new Map(rows.map(i => [i, KINDS[column.kind].key(column, i)]));
    return [...rows].sort((i, j) => {
      const a = keys.get(i), b = keys.get(j);
      return (isDown && a !== null && b !== null ? compared(b, a) : compared(a, b)) || i - j;
    });
  }

  /* ---- labels ---- */

  class Labels {
    constructor(data) {
      this.place = "diapipe.labels." + data.key;
      this.idName = data.id_name;
      this.ids = new Set(data.ids);
      this.read();
    }

    read() {
      try { this.of = new Map(Object.entries(JSON.parse(store.get(this.place) ?? "{}"))); }
      catch { this.of = new Map(); }
    }

    get(id) { return this.of.get(id)?.[0] ?? ""; }

    /** Put or (with "") take off a label; false where the browser cannot keep it. */
    put(id, label, at = new Date().toISOString()) {
      if (label) this.of.set(id, [label, at]);
      else this.of.delete(id);
      return this.keep();
    }

    keep() { return store.set(this.place, JSON.stringify(Object.fromEntries(this.of))); }

    csv() {
      const lines = [...this.of].map(([id, [label, at]]) => `${id},${label},${at}`);
      return [`${this.idName},label,labelled_at`, ...lines].join("\n") + "\n";
    }

    /** Take labels from a table; the later of two for one source stands. Returns a sentence. */
    take(text) {
      const [head = "", ...lines] = text.trim().split(/\r?\n/);
      const names = head.split(",").map(name => name.trim());
      const [id, label, at] = [this.idName, "label", "labelled_at"].map(name => names.indexOf(name));
      if (id < 0 || label < 0) return `No labels in this file: its first line needs ${this.idName} and label.`;
      let taken = 0, unknown = 0, wrong = 0;
      for (const cells of lines.map(line => line.split(",").map(cell => cell.trim()))) {
        const when = cells[at] ?? "";
        if (!(cells[label] in LABELS)) wrong += 1;
        else if (!this.ids.has(cells[id])) unknown += 1;
        else if ((this.of.get(cells[id])?.[1] ?? "") <= when) { this.of.set(cells[id], [cells[label], when]); taken += 1; }
      }
      this.keep();
      const left = [unknown && `${unknown} of sources that are not in this list`, wrong && `${wrong} that are no label`];
      return [`${taken} of ${lines.length} labels taken`, ...left.filter(Boolean)].join("; ") + ".";
    }
  }

  /* ---- cut-outs: one line of three in the table, and the enlarged one that blinks ---- */

  class Triplets {
    constructor({ planes, side, per_sheet, n }, stem) {
      Object.assign(this, { planes, side, perSheet: per_sheet, n, stem });
      this.onSight = new IntersectionObserver(seen => seen.filter(s => s.isIntersecting).forEach(s => this.load(s.target)), { rootMargin: "300px" });
    }

    /** Say where row i lies on which sheet; the sheet is loaded by `load`. */
    place(element, i) {
      const sheet = Math.floor(i / this.perSheet);
      element.style.setProperty("--side", this.side);
      element.style.setProperty("--planes", this.planes.length);
      element.style.setProperty("--rows", Math.min(this.perSheet, this.n - sheet * this.perSheet));
      element.style.setProperty("--r", i % this.perSheet);
      element.dataset.sheet = `${this.stem}-${sheet}.png`;
      return element;
    }

    load(element) {
      element.style.backgroundImage = `url("${element.dataset.sheet}")`;
      this.onSight.unobserve(element);
    }

    thumbnail(i) {
      const element = make("span", { className: "triplet", attributes: { role: "img", "aria-label": this.planes.join(", ") } });
      this.onSight.observe(this.place(element, i));
      return element;
    }
  }

  class Blinker {
    constructor(triplets) {
      this.triplets = triplets;
      this.plane = 0;
      this.timer = 0;
      this.view = make("div", { className: "plane", attributes: { role: "img" } });
      this.name = make("figcaption");
      this.planes = triplets.planes.map((name, k) => button(name, () => this.hold(k), { title: `key ${k + 1}` }));
      this.play = button("blink", () => this.toggle(), { title: "space" });
      this.element = make("figure", { className: "blinker" }, this.view, this.name, make("div", { className: "buttons" }, ...this.planes, this.play));
    }

    show(i) {
      this.triplets.load(this.triplets.place(this.view, i));
      this.paint();
    }

    paint() {
      const name = this.triplets.planes[this.plane];
      this.view.style.setProperty("--c", this.plane);
      this.view.setAttribute("aria-label", `Enlarged ${name}`);
      this.name.textContent = name;
      this.planes.forEach((plane, k) => plane.setAttribute("aria-pressed", k === this.plane));
      this.play.setAttribute("aria-pressed", this.timer !== 0);
    }

    hold(k) {
      if (k >= this.planes.length) return;
      this.stop();
      this.plane = k;
      this.paint();
    }

    start() {
      this.stop();
      this.timer = setInterval(() => { this.plane = (this.plane + 1) % this.planes.length; this.paint(); }, isCalm() ? CALM_BLINK_MS : BLINK_MS);
      this.paint();
    }

    stop() {
      clearInterval(this.timer);
      this.timer = 0;
    }

    toggle() {
      if (this.timer) { this.stop(); this.paint(); } else this.start();
    }
  }

  /* ---- filters: controls made from the columns, and the test that they stand for ---- */

  class Filters {
    constructor(data, labels, onchange) {
      this.tests = [];
      const fields = data.columns.flatMap(column => this.fields(column));
      fields.push(this.choice("label", ["no label", ...Object.keys(LABELS)], (word, i) => (labels.get(data.ids[i]) || "no label") === word));
      fields.push(this.search(data));
      this.form = make("form", { className: "filters", onsubmit: event => event.preventDefault(), attributes: { "aria-label": "Filters" } }, ...fields);
      this.form.append(button("clear filters", () => { this.form.reset(); onchange(); }));
      this.form.addEventListener("input", onchange);
    }

    fields(column) {
      if (column.kind === "number") return column.limits.split(" ").filter(Boolean).map(limit => this.limit(column, limit));
      if (column.kind === "flags") return column.words.length ? [this.flags(column)] : [];
      return column.filter && column.words.length > 1 ? [this.choice(column.label, column.words, (word, i) => textOf(column, i) === word)] : [];
    }

    limit(column, which) {
      const input = make("input", { type: "number", step: "any", placeholder: "any" });
      this.tests.push(() => {
        const limit = input.valueAsNumber;
        if (Number.isNaN(limit)) return null;
        return i => { const key = KINDS.number.key(column, i); return key !== null && (which === "least" ? key >= limit : key <= limit); };
      });
      return labelled(`${column.label} at ${which}`, input);
    }

    choice(text, words, isOf) {
      const select = make("select", {}, new Option("any", ""), ...words.map(word => new Option(word)));
      this.tests.push(() => select.value && (i => isOf(select.value, i)));
      return labelled(text, select);
    }

    flags(column) {
      const options = way => column.words.map((word, code) => new Option(`${way} ${word}`, `${way} ${code}`));
      const select = make("select", {}, new Option("any", ""), new Option("none", "none"), ...options("with"), ...options("without"));
      this.tests.push(() => {
        const [way, code] = select.value.split(" ");
        if (!way) return null;
        if (way === "none") return i => column.values[i].length === 0;
        return i => column.values[i].includes(Number(code)) === (way === "with");
      });
      return labelled(column.label, select);
    }

    search(data) {
      const input = make("input", { type: "search", placeholder: data.id_name });
      this.tests.push(() => input.value.trim() && (i => data.ids[i].includes(input.value.trim())));
      return labelled("find", input);
    }

    /** The test of all filters that are set. */
    test() {
      const set = this.tests.map(test => test()).filter(Boolean);
      return i => set.every(test => test(i));
    }
  }

  /* ---- the list ---- */

  class SourceList {
    constructor(section, data) {
      this.section = section;
      this.data = data;
      this.labels = new Labels(data);
      this.byColumn = null;
      this.isDown = true;
      this.first = 0;
      this.rows = data.ids.map((_, i) => i);
      this.selected = 0;
      const stem = `${section.dataset.root}cutouts/${section.id}`;
      this.triplets = data.triplets && new Triplets(data.triplets, stem);
      this.blinker = this.triplets && new Blinker(this.triplets);
      this.build();
      this.listen();
      this.filter();
      if (this.blinker && !isCalm()) this.blinker.start();
    }

    part(name) { return this.section.querySelector(`[data-part=${name}]`); }

    /* what the page did not have */
    build() {
      const { data } = this;
      this.part("missing").remove();
      this.table = this.part("table");
      this.head();
      this.filters = new Filters(data, this.labels, () => this.filter());
      this.help = helpDialog();
      this.count = make("p", { className: "note count" });
      this.progress = make("progress", { max: 1, attributes: { "aria-label": "labelled" } });
      this.done = make("span", { className: "note" });
      this.original = button(data.order, () => this.sort(null), { title: "the order of the report" });
      this.part("tools").append(this.filters.form, make("div", { className: "labelling" }, this.progress, this.done, ...this.csvControls(), button("keys (?)", () => this.help.showModal())), make("div", { className: "paging" }, this.count, ...this.pageButtons(), this.original), this.help);
      this.part("tools").hidden = false;
      this.buildLook();
    }

    head() {
      const names = this.table.tHead.rows[0].cells;
      this.columns = this.data.columns.filter(column => !column.detail);
      this.columns.forEach((column, k) => {
        names[k + 1].title = column.note;
        names[k + 1].replaceChildren(button(titleOf(column), () => this.sort(column)));
      });
      names[0].after(make("th", { scope: "col" }, "label"));
    }

    pageButtons() {
      this.back = button("‹ previous", () => this.turn(-1), { title: "key p" });
      this.on = button("next ›", () => this.turn(1), { title: "key n" });
      return [this.back, this.on];
    }

    csvControls() {
      const file = make("input", { type: "file", accept: ".csv,text/csv", hidden: true, onchange: () => this.importCsv(file) });
      return [button("export labels", () => this.exportCsv()), button("import labels", () => file.click()), file];
    }

    buildLook() {
      this.figure = make("img", { className: "figure", alt: "", loading: "lazy" });
      this.title = make("h3");
      this.told = make("dl");
      this.labelButtons = Object.entries(LABELS).map(([label, key]) => button(label, () => this.label(label), { title: `key ${key}`, className: "label " + label }));
      const labels = make("div", { className: "buttons", attributes: { role: "group", "aria-label": "Label" } }, ...this.labelButtons, button("none", () => this.label(""), { title: "key x" }));
      const pictures = [this.blinker?.element, this.data.figures.length ? this.figure : null].filter(Boolean);
      this.look = this.part("look");
      this.look.setAttribute("aria-label", "The selected one");
      this.look.append(this.title, ...pictures, labels, this.told);
      this.look.hidden = false;
    }

    listen() {
      this.section.addEventListener("focusin", () => { active = this; });
      this.section.addEventListener("pointerdown", () => { active = this; });
      this.table.tBodies[0].addEventListener("click", event => {
        const row = event.target.closest("tr");
        if (row && !event.target.closest("a")) this.select(this.first + row.sectionRowIndex);
      });
      addEventListener("storage", event => { if (event.key === this.labels.place) { this.labels.read(); this.paint(); } });
    }

    /* which rows, in which order */
    filter() {
      const test = this.filters.test();
      this.kept = this.data.ids.map((_, i) => i).filter(test);
      this.arrange();
    }

    sort(column) {
      this.isDown = column !== this.byColumn || !this.isDown;
      this.byColumn = column;
      this.arrange();
    }

    arrange() {
      this.rows = this.byColumn ? sorted(this.kept, this.byColumn, this.isDown) : this.kept;
      this.columns.forEach((column, k) => {
        const cell = this.table.tHead.rows[0].cells[k + 2];
        if (column === this.byColumn) cell.setAttribute("aria-sort", this.isDown ? "descending" : "ascending");
        else cell.removeAttribute("aria-sort");
      });
      this.original.setAttribute("aria-pressed", this.byColumn === null);
      this.first = 0;
      this.selected = 0;
      this.paint();
      this.say(`${grouped(this.rows.length)} ${this.data.what}, ${this.orderWords()}`);
    }

    orderWords() {
      return this.byColumn ? `sorted by ${this.byColumn.label}, ${this.isDown ? "descending" : "ascending"}` : this.data.order;
    }

    /* drawing */
    paint() {
      const body = this.table.tBodies[0], shown = this.rows.slice(this.first, this.first + this.data.page_rows);
      body.replaceChildren(...shown.map((i, k) => this.row(i, this.first + k)));
      if (!shown.length) body.append(make("tr", {}, make("td", { colSpan: this.columns.length + 2 }, `No ${this.data.what} pass these filters.`)));
      this.paintCounts(shown.length);
      this.paintLook();
    }

    row(i, place) {
      const label = this.labels.get(this.data.ids[i]), isSelected = place === this.selected;
      const id = make("small", {}, this.data.ids[i]);
      const head = make("th", { scope: "row" }, ...(this.triplets ? [this.triplets.thumbnail(i)] : []), id);
      const row = make("tr", { tabIndex: isSelected ? 0 : -1 }, head, make("td", { className: "label " + label }, label), ...this.columns.map(column => this.cell(column, i)));
      if (isSelected) row.setAttribute("aria-current", "true");
      return row;
    }

    cell(column, i) {
      const text = textOf(column, i), address = column.addresses?.[i];
      const content = address ? make("a", { href: address }, text) : column.kind === "word" ? make("span", { className: `${column.name} ${text}` }, text) : text;
      return make("td", { className: column.kind === "number" ? "n" : "" }, content);
    }

    paintCounts(n) {
      const { ids, what } = this.data, all = this.rows.length;
      const of = all === ids.length ? grouped(all) : `${grouped(all)} (of ${grouped(ids.length)} ${what})`;
      this.count.textContent = all ? `${grouped(this.first + 1)}–${grouped(this.first + n)} of ${of}` : `none of ${grouped(ids.length)} ${what}`;
      this.back.disabled = this.first === 0;
      this.on.disabled = this.first + n >= all;
      const done = this.rows.filter(i => this.labels.get(ids[i])).length;
      this.progress.value = all ? done / all : 0;
      this.done.textContent = `${grouped(done)} of ${grouped(all)} labelled`;
    }

    paintLook() {
      const i = this.rows[this.selected];
      this.look.classList.toggle("empty", i === undefined);
      if (i === undefined) return;
      const { ids, columns, figures } = this.data, label = this.labels.get(ids[i]);
      this.title.textContent = `${this.data.id_name} ${ids[i]}`;
      this.blinker?.show(i);
      this.figure.src = figures[i] ?? "";
      this.labelButtons.forEach(labelButton => labelButton.setAttribute("aria-pressed", labelButton.textContent === label));
      this.told.replaceChildren(...columns.flatMap(column => [make("dt", { title: column.note }, titleOf(column)), make("dd", {}, textOf(column, i) || MISSING)]));
    }

    /* moving */
    select(place, { focus = true } = {}) {
      if (!this.rows.length) return;
      this.selected = Math.max(0, Math.min(place, this.rows.length - 1));
      const first = this.selected - this.selected % this.data.page_rows;
      if (first !== this.first) { this.first = first; this.paint(); } else this.mark();
      if (focus) this.currentRow().focus({ preventScroll: true });
      this.currentRow().scrollIntoView({ block: "nearest" });
      this.say(this.words());
    }

    currentRow() { return this.table.tBodies[0].rows[this.selected - this.first]; }

    mark() {
      for (const row of this.table.tBodies[0].rows) {
        const isSelected = row === this.currentRow();
        row.tabIndex = isSelected ? 0 : -1;
        if (isSelected) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
      }
      this.paintLook();
    }

    move(step) { this.select(this.selected + step); }

    turn(pages) {
      const place = this.first + pages * this.data.page_rows;
      if (place >= 0 && place < this.rows.length) this.select(place, { focus: false });
    }

    words() {
      const i = this.rows[this.selected], told = this.columns.slice(0, 3).map(column => `${column.label} ${textOf(column, i)}`);
      const label = this.labels.get(this.data.ids[i]);
      return [`${this.selected + 1} of ${this.rows.length}`, ...told, label && `labelled ${label}`].filter(Boolean).join(", ");
    }

    say(text) { this.part("said").textContent = text; }

    /* labels */
    label(label, { goOn = false } = {}) {
      const i = this.rows[this.selected];
      if (i === undefined) return;
      const isKept = this.labels.put(this.data.ids[i], label), cell = this.currentRow().cells[1];
      cell.textContent = label;
      cell.className = "label " + label;
      this.paintCounts(this.table.tBodies[0].rows.length);
      if (goOn && this.selected + 1 < this.rows.length) this.move(1); else this.paintLook();
      const told = label ? `labelled ${label}` : "label taken off";
      this.say(isKept ? `${told}; ${this.words()}` : `${told}, but this browser keeps no labels: export them before you leave`);
    }

    exportCsv() {
      const address = URL.createObjectURL(new Blob([this.labels.csv()], { type: "text/csv" }));
      make("a", { href: address, download: `labels-${this.section.id}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    }

    async importCsv(file) {
      const said = this.labels.take(await file.files[0].text());
      file.value = "";
      this.paint();
      this.done.textContent += "; " + said;
      this.say(said);
    }

    key(event) {
      const moves = { j: 1, k: -1, ...(event.target.closest("tbody") && { ArrowDown: 1, ArrowUp: -1 }) };
      const label = Object.keys(LABELS).find(name => LABELS[name] === event.key);
      if (event.key in moves) this.move(moves[event.key]);
      else if (event.key === "n" || event.key === "p") this.turn(event.key === "n" ? 1 : -1);
      else if (label) this.label(label, { goOn: true });
      else if (event.key === "x") this.label("");
      else if (event.key === "f") this.filters.form.elements[0].focus();
      else if (event.key === "?") this.help.showModal();
      else if (event.key === " " && this.blinker && !event.target.closest("button, summary, a")) this.blinker.toggle();
      else if ("123".includes(event.key) && this.blinker) this.blinker.hold(Number(event.key) - 1);
      else return;
      event.preventDefault();
    }
  }

  function helpDialog() {
    const terms = KEYS.flatMap(([key, meaning]) => [make("dt", {}, key), make("dd", {}, meaning)]);
    const dialog = make("dialog", { className: "help", attributes: { "aria-label": "Keys" } }, make("h3", {}, "Keys"), make("dl", {}, ...terms));
    dialog.append(button("close", () => dialog.close()));
    return dialog;
  }

  document.addEventListener("keydown", event => {
    if (!active || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (!event.target.closest("input, select, textarea")) active.key(event);
    else if (event.key === "Escape") event.target.blur();
  });

  return {
    /** Called by a data file: fill the list of that name. */
    add(name, data) {
      const list = new SourceList(document.getElementById(name), data);
      lists.set(name, list);
      active ??= list;
    },
    lists,
  };
})();
