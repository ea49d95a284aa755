// Heads in full precision: any row of attention from q and k, links to the strongest keys, products of one pair.
regard.plugins.push(async (viewer) => {
  const { $ } = regard;
  const box = $("exact-header");
  if (!box) return;
  const meta = JSON.parse(box.textContent), { state, meta: grid } = viewer;
  const raw = await regard.inflate($("exact-data").textContent.trim());
  if (raw.length !== 4 * meta.numbers) throw new Error(`${raw.length} bytes instead of ${4 * meta.numbers}`);
  const floats = new Float32Array(raw.buffer), whole = new Uint32Array(raw.buffer);
  const part = (e, name, from = floats) => (e.parts[name] ? from.subarray(e.parts[name][0], e.parts[name][0] + e.parts[name][1]) : null);
  const heads = new Map();
  for (const e of meta.heads) {
    heads.set(`${e.layer}.${e.head}`, {
      ...e, q: part(e, "q"), k: part(e, "k"), bias: part(e, "bias"), probs: part(e, "probs"),
      places: part(e, "places", whole), kept: part(e, "kept"),
    });
  }
  const here = (at = state) => heads.get(`${at.layer}.${at.head}`) ?? null;

  function product(e, i, j, d) { return e.scale * e.q[i * e.width + d] * e.k[j * e.width + d]; }
  function logit(e, i, j) {
    let sum = e.bias ? e.bias[i * e.tokens + j] : 0;
    for (let d = 0; d < e.width; d++) sum += product(e, i, j, d);
    return sum;
  }
  // One row of attention, as the model had it: softmax of the logits, entries that rounding had moved put back.
  function attention(e, i) {
    if (e.probs) return Float64Array.from(e.probs.subarray(i * e.tokens, (i + 1) * e.tokens));
    const row = new Float64Array(e.tokens);
    let top = -Infinity, sum = 0;
    for (let j = 0; j < e.tokens; j++) { row[j] = logit(e, i, j); top = Math.max(top, row[j]); }
    if (top === -Infinity) return row.fill(0);
    for (let j = 0; j < e.tokens; j++) { row[j] = Math.exp(row[j] - top); sum += row[j]; }
    for (let j = 0; j < e.tokens; j++) row[j] /= sum;
    const from = first(e.places, i * e.tokens), to = first(e.places, (i + 1) * e.tokens);
    let freed = 0, held = 0;
    for (let at = from; at < to; at++) { freed += row[e.places[at] - i * e.tokens]; held += e.kept[at]; }
    const rest = 1 - freed; // the other entries of the row share what is left, so that it sums to 1
    if (to > from && rest > 0) for (let j = 0; j < e.tokens; j++) row[j] *= (1 - held) / rest;
    for (let at = from; at < to; at++) row[e.places[at] - i * e.tokens] = e.kept[at];
    return row;
  }
  function first(sorted, value) {
    let low = 0, high = sorted.length;
    while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] < value) low = middle + 1; else high = middle; }
    return low;
  }
  regard.exact = { heads, attention, logit, product };

  const token = (at) => (at.cls ? 0 : grid.prefix + at.y * grid.patchesAcross + at.x);
  const nameOf = (t) => (t >= grid.prefix
    ? `row ${Math.floor((t - grid.prefix) / grid.patchesAcross)}, column ${(t - grid.prefix) % grid.patchesAcross}`
    : t === 0 ? "CLS" : `register ${t}`);
  let last = { name: "", row: null };
  function rowHere() {
    const e = here(), name = `${state.layer}.${state.head}.${token(state)}`;
    if (e && last.name !== name) last = { name, row: attention(e, token(state)) };
    return e ? last.row : null;
  }
  viewer.exactRow = (at) => {
    if (!here(at)) return null;
    if (at !== state) return true;
    const values = rowHere().subarray(grid.prefix);
    return { values, sum: values.reduce((a, b) => a + b, 0) };
  };

  // Links: lines from the query to the keys it looks at most.
  const links = $("links"), wanted = $("show-links"), SVG = "http://www.w3.org/2000/svg";
  links.setAttribute("viewBox", `0 0 ${grid.patchesAcross} ${grid.patchesDown}`);
  const lines = Array.from({ length: 14 }, () => links.appendChild(document.createElementNS(SVG, "line")));
  function link(values) {
    links.toggleAttribute("hidden", state.cls || !wanted.checked);
    if (state.cls || !wanted.checked) return;
    const from = here() ? state : { y: (Math.floor(state.y / grid.cell) + 0.5) * grid.cell - 0.5, x: (Math.floor(state.x / grid.cell) + 0.5) * grid.cell - 0.5 };
    const pool = here() ? 1 : grid.keyPool, w = here() ? grid.patchesAcross : grid.w;
    const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
    lines.forEach((line, i) => {
      const k = order[i], share = k === undefined ? 0 : values[k] / (values[order[0]] || 1);
      line.style.opacity = share < 0.04 ? 0 : 0.25 + 0.7 * share;
      line.style.strokeWidth = `${0.8 + 4 * share}px`;
      line.setAttribute("x1", from.x + 0.5);
      line.setAttribute("y1", from.y + 0.5);
      line.setAttribute("x2", ((k ?? 0) % w + 0.5) * pool);
      line.setAttribute("y2", (Math.floor((k ?? 0) / w) + 0.5) * pool);
    });
  }
  wanted.addEventListener("change", () => viewer.draw());

  // Neuron view: the products whose sum is the logit.
  const neurons = $("neurons"), told = $("neuron-told"), keyCursor = $("key-cursor"), mode = $("pick-key");
  let key = null, picking = false, drawn = "";
  const strips = ["q", "k"];
  function build(width) {
    if (drawn === String(width)) return;
    drawn = String(width);
    neurons.replaceChildren();
    neurons.setAttribute("viewBox", `0 0 ${width} 100`);
    const cells = (y, height, name) => Array.from({ length: width }, (_, d) => {
      const rect = neurons.appendChild(document.createElementNS(SVG, "rect"));
      for (const [a, v] of Object.entries({ x: d + 0.06, y, width: 0.88, height, class: name })) rect.setAttribute(a, v);
      rect.appendChild(document.createElementNS(SVG, "title"));
      return rect;
    });
    neurons.parts = { q: cells(0, 13, "strip"), k: cells(17, 13, "strip"), bars: cells(66, 0, "product") };
    const zero = neurons.appendChild(document.createElementNS(SVG, "line"));
    for (const [a, v] of Object.entries({ x1: 0, x2: width, y1: 67, y2: 67, class: "zero" })) zero.setAttribute(a, v);
  }
  function sign(rect, value, top, text) {
    rect.classList.toggle("minus", value < 0);
    rect.style.opacity = top ? 0.06 + (0.94 * Math.abs(value)) / top : 0.06;
    rect.firstChild.textContent = text;
  }
  function neuron() {
    const e = here(), usable = e && e.q;
    $("neuron-view").classList.toggle("off", !usable);
    keyCursor.hidden = true;
    if (!usable) {
      told.textContent = e
        ? "This head's attention is not a softmax of products of queries and keys: its weights are shown, there are no products."
        : `Choose one of the ${heads.size} heads in full precision (dotted): ${[...heads.keys()].join(", ")} (layer.head).`;
      return;
    }
    build(e.width);
    const i = token(state), row = rowHere();
    let j = key ?? 0;
    if (key === null) for (let t = 1; t < e.tokens; t++) if (row[t] > row[j]) j = t;
    const D = [...Array(e.width).keys()], products = D.map((d) => product(e, i, j, d));
    for (const name of strips) {
      const at = (name === "q" ? i : j) * e.width, top = D.reduce((m, d) => Math.max(m, Math.abs(e[name][at + d])), 0);
      D.forEach((d) => sign(neurons.parts[name][d], e[name][at + d], top, `${name === "q" ? "query" : "key"}[${d}] = ${e[name][at + d].toFixed(3)}`));
    }
    const top = Math.max(...products.map(Math.abs), 1e-12);
    D.forEach((d) => {
      const bar = neurons.parts.bars[d], height = (33 * Math.abs(products[d])) / top;
      bar.setAttribute("y", products[d] < 0 ? 67 : 67 - height);
      bar.setAttribute("height", height);
      sign(bar, products[d], 0, `product ${d}: ${products[d].toFixed(4)}`);
      bar.style.opacity = 1;
    });
    const sum = products.reduce((a, b) => a + b, 0), bias = e.bias ? e.bias[i * e.tokens + j] : 0;
    const best = [...D].sort((a, b) => Math.abs(products[b]) - Math.abs(products[a])).slice(0, 3);
    told.replaceChildren();
    told.append(
      `Query ${nameOf(i)}; key ${nameOf(j)}${key === null ? " (the one it looks at most)" : ""}. `,
      `${e.width} products, most of them in dimensions ${best.map((d) => `${d} (${products[d] >= 0 ? "+" : "−"}${Math.abs(products[d]).toFixed(2)})`).join(", ")}, `,
      `sum to ${sum.toFixed(3)}${e.bias ? `, with a bias of ${bias.toFixed(3)} to ${(sum + bias).toFixed(3)}` : ""}: the logit. `,
      `The softmax over ${e.tokens} keys makes ${(100 * row[j]).toPrecision(3)} % of it.`,
    );
    told.dataset.query = i; told.dataset.key = j; told.dataset.sum = sum;
    if (j >= grid.prefix) {
      keyCursor.hidden = false;
      const y = Math.floor((j - grid.prefix) / grid.patchesAcross), x = (j - grid.prefix) % grid.patchesAcross;
      Object.assign(keyCursor.style, {
        left: `${(100 * x) / grid.patchesAcross}%`, top: `${(100 * y) / grid.patchesDown}%`,
        width: `${100 / grid.patchesAcross}%`, height: `${100 / grid.patchesDown}%`,
      });
    }
  }
  function pick(on) {
    picking = on;
    mode.setAttribute("aria-pressed", String(on));
    $("stage").classList.toggle("picking", on);
  }
  viewer.onPick = (at) => {
    if (!picking || !here()) return false;
    key = token({ ...at, cls: false });
    pick(false);
    viewer.draw();
    return true;
  };
  mode.addEventListener("click", () => pick(!picking));
  $("strongest-key").addEventListener("click", () => { key = null; viewer.draw(); });
  for (const e of document.querySelectorAll("[data-pick]")) {
    e.addEventListener("click", () => {
      [state.layer, state.head] = e.dataset.pick.split(".").map(Number);
      viewer.draw();
      $("stage").scrollIntoView({ block: "center" });
    });
  }
  viewer.onDraw.push(({ values }) => { link(values); neuron(); });
});
