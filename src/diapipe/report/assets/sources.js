/* A list of sources: paging, sorting, filtering, cut-outs that blink, labels by keyboard. No library, no network.
   A page has <section class="sources" id="NAME"> with its first rows; data/NAME.js calls diapipe.add("NAME", {...}). */
"use strict";

window.diapipe ??= (() => {
  const LABELS = { real: "r", bogus: "b", unsure: "u" };
  const REFUSALS = ["older than what is here", "of sources that are not in this list", "that are no label"];
  const MINUS = "\u2212", MISSING = "\u2013";
  const BLINK_MS = 600, CALM_BLINK_MS = 1500;
  const AHEAD = "300px";  // cut-outs are loaded this long before they come into sight
  const KEYS = [
    ["j or ↓", "next"], ["k or ↑", "previous"], ["n", "next page"], ["p", "previous page"],
    ["f", "go to the filters"], ["Esc", "leave a field, or this help"], ["?", "this help"],
  ];
  const LABEL_KEYS = [
    ["r", "label as real, and go on"], ["b", "label as bogus, and go on"], ["u", "label as unsure, and go on"], ["x", "take the label off"],
  ];
  const PAGE_KEYS = [["Enter", "open its page"]];
  const BLINK_KEYS = [["space", "blink, or stop"], ["1 2 3", "hold one image"]];
  const ONLY_WITH_FOCUS = "diapipe.keysOff";
  const lists = new Map();
  let active = null;  // the list that keys go to

  /* ---- small things ---- */

  /** An element with properties, attributes (in `attributes`) and children. */
  function make(tag, { attributes = {}, ...properties } = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** Set an attribute, or with null take it off. */
  function putAttribute(element, name, value) {
    if (value === null) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }

  const button = (text, onclick, properties = {}) => make("button", { type: "button", onclick, ...properties }, text);
  const labelled = (text, control) => make("label", {}, make("span", {}, text), control);
  const grouped = n => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const keyed = (text, key, onclick, properties = {}) => {
    const element = button(text, onclick, { ...properties, attributes: { "aria-keyshortcuts": key } });
    element.append(make("kbd", { attributes: { "aria-hidden": true } }, key.toLowerCase()));
    return element;
  };
  const linked = (text, address) => address ? make("a", { href: address }, text) : text;
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
    remove(key) { try { localStorage.removeItem(key); } catch { /* nothing was kept */ } },
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
      key: (column, i) => column.words[column.values[i]] || null,
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
    take(text, now = new Date().toISOString()) {
      const [names, ...rows] = text.trim().split(/\r?\n/).map(cellsOf);
      const [id, label, at] = [this.idName, "label", "labelled_at"].map(name => names.indexOf(name));
      if (id < 0 || label < 0) return `No labels in this file: its first line needs ${this.idName} and label.`;
      const refusals = rows.map(cells => this.takeOne(cells[id], cells[label], cells[at] || now));
      this.keep();
      const count = why => refusals.filter(refusal => refusal === why).length;
      const left = REFUSALS.filter(count).map(why => `${count(why)} ${why}`);
      return [`${count("")} of ${rows.length} labels taken`, ...left].join("; ") + ".";
    }

    /** Why a label is not taken; "" if it is. */
    takeOne(id, label, at) {
      const [OLDER, UNKNOWN, WRONG] = REFUSALS;
      if (!Object.hasOwn(LABELS, label)) return WRONG;
      if (!this.ids.has(id)) return UNKNOWN;
      if ((this.of.get(id)?.[1] ?? "") > at) return OLDER;
      this.of.set(id, [label, at]);
      return "";
    }
  }

  const cellsOf = line => line.split(",").map(cell => cell.trim().replace(/^"(.*)"$/, "$1"));

  /* ---- cut-outs: one line of three in the table, and the enlarged one that blinks ---- */

  class Triplets {
    constructor({ planes, side, per_sheet, n }, stem) {
      Object.assign(this, { planes, side, perSheet: per_sheet, n, stem });
      const load = seen => seen.filter(entry => entry.isIntersecting).forEach(entry => this.load(entry.target));
      this.onSight = new IntersectionObserver(load, { rootMargin: AHEAD, scrollMargin: AHEAD });
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
      this.name = make("span");
      this.planes = triplets.planes.map((name, k) => keyed(name, String(k + 1), () => this.hold(k)));
      this.play = keyed("blink", "Space", () => this.toggle());
      const buttons = make("div", { className: "buttons", attributes: { role: "group", "aria-label": "Image shown" } }, ...this.planes);
      const caption = make("figcaption", {}, this.name, this.play);
      this.element = make("figure", { className: "blinker" }, this.view, caption, buttons);
    }

    show(i) {
      this.triplets.load(this.triplets.place(this.view, i));
      this.paint();
    }

    paint() {
      const name = this.triplets.planes[this.plane];
      this.view.style.setProperty("--c", this.plane);
      this.view.setAttribute("aria-label", this.timer ? "Enlarged, blinking" : `Enlarged ${name}`);
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
      if (this.timer) this.hold(this.plane);
      else this.start();
    }
  }

  /* ---- the selected one: enlarged, with its labels and all that is told of it ---- */

  class CloseUp {
    constructor(data, triplets, onlabel) {
      this.data = data;
      this.title = make("h3");
      this.blinker = triplets && new Blinker(triplets);
      this.figure = data.figures.length ? make("img", { className: "figure" }) : null;
      this.labels = Object.entries(LABELS).map(([label, key]) => keyed(label, key, () => onlabel(label), { className: "label " + label, value: label }));
      this.told = make("dl");
      const buttons = make("div", { className: "buttons", attributes: { role: "group", "aria-label": "Label" } }, ...this.labels, keyed("none", "x", () => onlabel("")));
      this.parts = [this.title, this.blinker?.element, this.figure, data.labelled && buttons, this.told].filter(Boolean);
      if (!isCalm()) this.blinker?.start();
    }

    show(i, label) {
      const { id_name: idName, ids, columns, figures, addresses } = this.data;
      this.title.replaceChildren(`${idName} `, linked(ids[i], addresses[i]));
      this.blinker?.show(i);
      if (this.figure) Object.assign(this.figure, { src: figures[i], alt: `Of ${ids[i]}`, hidden: !figures[i] });
      this.labels.forEach(element => element.setAttribute("aria-pressed", element.value === label));
      this.told.replaceChildren(...columns.flatMap(column => [make("dt", { title: column.note }, titleOf(column)), make("dd", {}, textOf(column, i) || MISSING)]));
    }

    /** Whether a key was for the cut-outs. */
    key({ key, target }) {
      if (!this.blinker) return false;
      if (key === " " && !target.closest("button, summary, a")) this.blinker.toggle();
      else if (key >= "1" && key <= "9") this.blinker.hold(Number(key) - 1);
      else return false;
      return true;
    }
  }

  /* ---- filters: controls made from the columns, and the test that they stand for ---- */

  class Filters {
    constructor(data, labels, onchange) {
      this.tests = [];
      const fields = data.columns.flatMap(column => this.fields(column));
      if (data.labelled) fields.push(this.choice("label", ["no label", ...Object.keys(LABELS)], (word, i) => (labels.get(data.ids[i]) || "no label") === word));
      fields.push(this.search(data));
      this.form = make("form", { className: "filters", onsubmit: event => event.preventDefault(), attributes: { "aria-label": "Filters" } }, ...fields);
      this.onchange = onchange;
      this.form.append(button("clear filters", () => this.clear()));
      this.form.addEventListener("input", onchange);
    }

    clear() {
      this.form.reset();
      this.onchange();
    }

    fields(column) {
      if (column.kind === "number") return column.limits.split(" ").filter(Boolean).map(limit => this.limit(column, limit));
      if (column.kind === "flags") return column.words.length ? [this.flags(column)] : [];
      return column.filter && column.words.length > 1 ? [this.choice(column.label, column.words.filter(Boolean), (word, i) => textOf(column, i) === word)] : [];
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
      this.table = this.part("table");
      this.columns = data.columns.filter(column => !column.is_detail);
      this.triplets = data.triplets && new Triplets(data.triplets, `${section.dataset.root}cutouts/${section.id}`);
      this.byColumn = null;  // the report's own order
      this.isDown = true;
      this.build();
      this.listen();
      this.filter();
    }

    part(name) { return this.section.querySelector(`[data-part=${name}]`); }

    /* -- what the page did not have -- */

    build() {
      this.part("missing").remove();
      this.buildHead();
      this.filters = new Filters(this.data, this.labels, () => this.filter());
      this.help = helpDialog(this.keys());
      this.closeUp = new CloseUp(this.data, this.triplets, label => this.label(label));
      this.part("close-up").append(...this.closeUp.parts);
      this.part("tools").append(...this.tools());
      for (const name of ["tools", "close-up"]) this.part(name).hidden = false;
    }

    /** Those that do something here, with what they do. */
    keys() {
      const { addresses, labelled } = this.data;
      return [...KEYS, ...(addresses.length ? PAGE_KEYS : []), ...(labelled ? LABEL_KEYS : []), ...(this.triplets ? BLINK_KEYS : [])];
    }

    buildHead() {
      const cells = this.table.tHead.rows[0].cells;
      this.heads = this.columns.map((column, k) => {
        cells[k + 1].title = column.note;
        cells[k + 1].replaceChildren(button(titleOf(column), () => this.sort(column)));
        return cells[k + 1];
      });
      if (this.data.labelled) cells[0].after(make("th", { scope: "col" }, "label"));
    }

    tools() {
      const labelling = make("div", { className: "tools" }, ...this.labelControls());
      const keys = keyed("keys", "?", () => this.help.showModal());
      const paging = make("div", { className: "tools" }, ...this.pageControls(), ...this.orderControls(), keys);
      return [this.filters.form, ...(this.data.labelled ? [labelling] : []), paging, this.help];
    }

    labelControls() {
      this.progress = make("progress", { max: 1, attributes: { "aria-label": "labelled" } });
      this.done = make("span", { className: "note" });
      const file = make("input", { type: "file", accept: ".csv,text/csv", hidden: true, onchange: () => this.importCsv(file) });
      return [this.progress, this.done, button("export labels", () => this.exportCsv()), button("import labels", () => file.click()), file];
    }

    pageControls() {
      this.back = keyed("‹ previous", "p", () => this.turn(-1));
      this.on = keyed("next ›", "n", () => this.turn(1));
      this.pageNumber = make("input", { type: "number", min: 1, onchange: () => this.goToPage(this.pageNumber.valueAsNumber - 1) });
      this.pageCount = make("span");
      this.count = make("span", { className: "note count" });
      return [this.back, make("label", { className: "page" }, "page ", this.pageNumber, this.pageCount), this.on, this.count];
    }

    orderControls() {
      const names = this.data.columns.map((column, k) => new Option(column.label, k));
      this.order = make("select", { onchange: () => this.sort(this.data.columns[this.order.value] ?? null) }, new Option(this.data.order, ""), ...names);
      this.direction = button("", () => { this.isDown = !this.isDown; this.arrange(); });
      return [make("label", { className: "order" }, "order ", this.order), this.direction];
    }

    listen() {
      this.section.addEventListener("focusin", () => { active = this; });
      this.section.addEventListener("pointerdown", () => { active = this; });
      this.table.tBodies[0].addEventListener("click", event => {
        const row = event.target.closest("tr");
        if (this.rows.length && !event.target.closest("a")) this.select(this.first + row.sectionRowIndex);
      });
      addEventListener("storage", event => { if (event.key === this.labels.place) { this.labels.read(); this.paint(); } });
    }

    /* -- which rows, in which order -- */

    filter() {
      this.kept = this.data.ids.map((_, i) => i).filter(this.filters.test());
      this.arrange();
    }

    sort(column) {
      this.isDown = column === this.byColumn ? !this.isDown : column?.kind === "number";
      this.byColumn = column;
      this.arrange();
    }

    arrange() {
      this.rows = this.byColumn ? sorted(this.kept, this.byColumn, this.isDown) : this.kept;
      this.first = this.selected = 0;
      this.paintOrder();
      this.paint();
      this.say(`${grouped(this.rows.length)} ${this.data.what}, ${this.orderWords()}`);
    }

    orderWords() {
      return this.byColumn ? `by ${this.byColumn.label}, ${this.isDown ? "descending" : "ascending"}` : this.data.order;
    }

    /* -- drawing -- */

    paintOrder() {
      const way = this.isDown ? "descending" : "ascending", k = this.data.columns.indexOf(this.byColumn);
      this.heads.forEach((head, c) => putAttribute(head, "aria-sort", this.columns[c] === this.byColumn ? way : null));
      this.order.value = k < 0 ? "" : k;
      this.direction.textContent = way;
      this.direction.hidden = k < 0;
    }

    paint() {
      const body = this.table.tBodies[0], shown = this.rows.slice(this.first, this.first + this.data.page_rows);
      this.triplets?.onSight.disconnect();
      body.replaceChildren(...shown.map(i => this.row(i)));
      if (!shown.length) body.append(make("tr", {}, make("td", { colSpan: this.table.tHead.rows[0].cells.length }, `No ${this.data.what} pass these filters.`)));
      this.paintCounts();
      this.mark();
    }

    row(i) {
      const label = this.labels.get(this.data.ids[i]), id = make("small", {}, linked(this.data.ids[i], this.data.addresses[i]));
      const cells = [make("th", { scope: "row" }, ...(this.triplets ? [this.triplets.thumbnail(i)] : []), id)];
      if (this.data.labelled) cells.push(make("td", { className: "label " + label }, label));
      return make("tr", { tabIndex: -1 }, ...cells, ...this.columns.map(column => cell(column, i)));
    }

    paintCounts() {
      const { ids, what, page_rows: size } = this.data, n = this.rows.length;
      const last = Math.min(this.first + size, n), of = n === ids.length ? "" : ` (of ${grouped(ids.length)})`;
      this.count.textContent = `${grouped(n && this.first + 1)}–${grouped(last)} of ${grouped(n)} ${what}${of}`;
      this.pageNumber.value = this.first / size + 1;
      this.pageNumber.max = Math.max(1, Math.ceil(n / size));
      this.pageCount.textContent = ` of ${grouped(this.pageNumber.max)}`;
      this.back.disabled = this.first === 0;
      this.on.disabled = last === n;
      this.paintProgress();
    }

    paintProgress() {
      if (!this.data.labelled) return;
      const labels = this.rows.map(i => this.labels.get(this.data.ids[i])).filter(Boolean), n = this.rows.length;
      const each = Object.keys(LABELS).map(label => [labels.filter(given => given === label).length, label]);
      this.progress.value = n ? labels.length / n : 0;
      this.done.textContent = `${grouped(labels.length)} of ${grouped(n)} labelled`;
      this.done.title = each.map(([count, label]) => `${grouped(count)} ${label}`).join(", ");
    }

    /** Show which row is the selected one, in the table and enlarged beside it. */
    mark() {
      const current = this.currentRow(), i = this.rows[this.selected];
      for (const row of this.table.tBodies[0].rows) {
        row.tabIndex = row === current ? 0 : -1;
        putAttribute(row, "aria-current", row === current && i !== undefined ? "true" : null);
      }
      this.part("close-up").classList.toggle("empty", i === undefined);
      if (i === undefined) return;
      this.closeUp.show(i, this.labels.get(this.data.ids[i]));
      this.section.dispatchEvent(new CustomEvent("diapipe:select", { detail: i, bubbles: true }));
    }

    say(text) { this.part("said").textContent = text; }

    /* -- moving -- */

    currentRow() { return this.table.tBodies[0].rows[this.selected - this.first]; }

    select(place, { focus = true } = {}) {
      if (!this.rows.length) return;
      const isFocused = this.table.tBodies[0].contains(document.activeElement);
      this.selected = Math.max(0, Math.min(place, this.rows.length - 1));
      const first = this.selected - this.selected % this.data.page_rows;
      if (first !== this.first) {
        this.first = first;
        this.paint();
      } else this.mark();
      if (focus || isFocused) this.currentRow().focus({ preventScroll: true });
      this.currentRow().scrollIntoView({ block: "nearest" });
      this.say(this.words());
    }

    turn(pages) { this.goToPage(this.first / this.data.page_rows + pages); }

    goToPage(page) {
      const place = page * this.data.page_rows;
      if (place >= 0 && place < this.rows.length) this.select(place, { focus: false });
      else this.paintCounts();
    }

    /** Go to row i of the report, whatever is filtered; false where there is none. */
    goTo(i) {
      if (!(i in this.data.ids)) return false;
      if (!this.rows.includes(i)) this.filters.clear();
      this.select(this.rows.indexOf(i));
      return true;
    }

    /** Go to the page of the selected row, if it has one. */
    open() {
      const address = this.data.addresses[this.rows[this.selected]];
      if (address) location.href = address;
    }

    words() {
      const i = this.rows[this.selected], label = this.labels.get(this.data.ids[i]);
      const told = this.columns.slice(0, 3).map(column => `${column.label} ${textOf(column, i)}`);
      return [`${this.selected + 1} of ${this.rows.length}`, ...told, label && `labelled ${label}`].filter(Boolean).join(", ");
    }

    /* -- labels -- */

    label(label, { goOn = false } = {}) {
      const i = this.rows[this.selected];
      if (i === undefined || !this.data.labelled) return;
      const isKept = this.labels.put(this.data.ids[i], label), cell = this.currentRow().cells[1];
      cell.textContent = label;
      cell.className = "label " + label;
      this.paintProgress();
      if (goOn && this.selected + 1 < this.rows.length) this.select(this.selected + 1);
      else this.mark();
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

    /* -- keys -- */

    key(event) {
      const { key, target } = event, label = Object.keys(LABELS).find(name => LABELS[name] === key);
      const steps = { j: 1, k: -1, ...(target.closest("tbody") && { ArrowDown: 1, ArrowUp: -1 }) };
      if (key in steps) this.select(this.selected + steps[key]);
      else if (label) this.label(label, { goOn: true });
      else if (key === "x") this.label("");
      else if (key === "n" || key === "p") this.turn(key === "n" ? 1 : -1);
      else if (key === "Enter" && !target.closest("button, summary, a")) this.open();
      else if (key === "f") this.filters.form.elements[0].focus();
      else if (key === "?") this.help.showModal();
      else if (!this.closeUp.key(event)) return;
      event.preventDefault();
    }
  }

  function cell(column, i) {
    const text = textOf(column, i);
    const content = column.name === "kind" ? make("span", { className: `kind ${text}` }, text) : linked(text, column.addresses?.[i]);
    return make("td", { className: column.style }, content);
  }

  /** What the keys do, and the choice of having them only inside of a list. */
  function helpDialog(keys) {
    const terms = keys.flatMap(([key, meaning]) => [make("dt", {}, key), make("dd", {}, meaning)]);
    const only = make("input", { type: "checkbox", checked: store.get(ONLY_WITH_FOCUS) !== null });
    only.addEventListener("change", () => { if (only.checked) store.set(ONLY_WITH_FOCUS, "1"); else store.remove(ONLY_WITH_FOCUS); });
    const choice = make("label", { className: "note" }, only, " only while the table has the focus");
    const dialog = make("dialog", { className: "help", attributes: { "aria-label": "Keys" } }, make("h3", {}, "Keys"), make("dl", {}, ...terms), choice);
    dialog.append(button("close", () => dialog.close()));
    return dialog;
  }

  document.addEventListener("keydown", event => {
    const { target } = event;
    if (!active || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target.closest("input, select, textarea")) { if (event.key === "Escape") target.blur(); return; }
    if (store.get(ONLY_WITH_FOCUS) === null || target.closest(".sources table")) active.key(event);
  });

  /** An address that ends in #NAME/ID leads to that row. */
  function followAddress() {
    const [name, id] = location.hash.slice(1).split("/"), list = lists.get(name);
    if (list && id) list.goTo(list.data.ids.indexOf(id));
  }
  addEventListener("hashchange", followAddress);

  return {
    /** Called by a data file: fill the list of that name. */
    add(name, data) {
      const list = new SourceList(document.getElementById(name), data);
      lists.set(name, list);
      active ??= list;
      followAddress();
    },

    /** Go to row i of a list. */
    goTo: (name, i) => lists.get(name)?.goTo(i) ?? false,
  };
})();
