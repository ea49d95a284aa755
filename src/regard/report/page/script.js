"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  const meta = JSON.parse($("payload-header").textContent);
  const palette = bytes(meta.palette);
  const { layers: L, heads: H, queries: Q, h, w, levels, cell, cellsAcross, cellsDown, hasCls } = meta;
  const K = h * w, CLS = hasCls ? Q - 1 : -1;
  const stage = $("stage"), heat = $("heat"), cursor = $("cursor"), readout = $("readout");
  const state = { layer: L - 1, head: -1, query: hasCls ? CLS : 0, pinned: hasCls, strength: 0.85 };
  heat.width = w; heat.height = h;
  // The last column or row of pooled keys may hold fewer patches than the others: it hangs over the edge.
  heat.style.width = `${(100 * w * meta.keyPool) / meta.patchesAcross}%`;
  heat.style.height = `${(100 * h * meta.keyPool) / meta.patchesDown}%`;

  function bytes(base64) {
    const text = atob(base64), out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out;
  }
  async function inflate(data) {
    const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  if (typeof DecompressionStream === "undefined") {
    readout.textContent = "The interactive view needs a browser from 2023 or later; the pictures below do not.";
    return;
  }
  readout.textContent = "Unpacking …";
  const count = L * H * Q;
  let raw;
  try {
    raw = await inflate(bytes($("payload-data").textContent.trim()));
    if (raw.length !== count * (K + 8)) throw new Error(`${raw.length} bytes instead of ${count * (K + 8)}`);
  } catch (error) {
    readout.textContent = "The data of this view is damaged: copy or make the page again. The pictures below are whole.";
    throw error;
  }
  const codes = raw.subarray(0, count * K);
  const floats = new Float32Array(raw.slice(count * K).buffer);
  const top = floats.subarray(0, count), sums = floats.subarray(count);

  // Attention of one query over the grid; head -1 is the mean over heads.
  function row(layer, head, query, out = new Float32Array(K)) {
    out.fill(0);
    const from = head < 0 ? 0 : head, to = head < 0 ? H : head + 1;
    let sum = 0;
    for (let i = from; i < to; i++) {
      const at = (layer * H + i) * Q + query, scale = top[at] / (levels * levels) / (to - from);
      const base = at * K;
      for (let k = 0; k < K; k++) out[k] += codes[base + k] * codes[base + k] * scale;
      sum += sums[at] / (to - from);
    }
    return { values: out, sum };
  }
  // The 99.5th percentile, so that one extreme patch does not turn all others black.
  function reach(values) {
    const sorted = Float32Array.from(values).sort();
    return sorted[Math.min(K - 1, Math.floor(0.995 * (K - 1)))] || sorted[K - 1] || 1;
  }
  function paint(canvas, values, strength) {
    const context = canvas.getContext("2d"), image = context.createImageData(w, h), high = reach(values);
    for (let k = 0; k < K; k++) {
      const unit = Math.min(1, values[k] / high), at = Math.round(unit * 255) * 3;
      image.data[4 * k] = palette[at];
      image.data[4 * k + 1] = palette[at + 1];
      image.data[4 * k + 2] = palette[at + 2];
      image.data[4 * k + 3] = strength === null ? 255 : 255 * strength * Math.sqrt(unit);
    }
    context.putImageData(image, 0, 0);
  }

  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const thumbs = [];
  const board = $("thumbs");
  board.style.gridTemplateColumns = `1.6rem repeat(${H}, 1fr)`;
  board.style.maxWidth = `${1.6 + 6 * H}rem`; // a model with few heads gets no posters
  board.append(document.createElement("span"));
  for (let head = 0; head < H; head++) board.append(Object.assign(document.createElement("span"), { textContent: head }));
  for (let layer = 0; layer < L; layer++) {
    board.append(Object.assign(document.createElement("span"), { textContent: layer }));
    for (let head = 0; head < H; head++) {
      const button = document.createElement("button"), canvas = document.createElement("canvas");
      canvas.width = w; canvas.height = h;
      button.type = "button";
      button.title = `layer ${layer}, head ${head}`;
      button.setAttribute("aria-label", button.title);
      button.addEventListener("click", () => { state.layer = layer; state.head = head; draw(); });
      button.append(canvas);
      board.append(button);
      thumbs.push({ layer, head, canvas, button });
    }
  }
  board.addEventListener("keydown", (event) => {
    const way = steps[event.key], from = thumbs.find((t) => t.button === document.activeElement);
    if (!way || !from || event.ctrlKey || event.metaKey || event.altKey) return;
    state.layer = Math.min(L - 1, Math.max(0, from.layer + way[0]));
    state.head = Math.min(H - 1, Math.max(0, from.head + way[1]));
    event.preventDefault();
    draw();
    thumbs[state.layer * H + state.head].button.focus();
  });
  const scratch = new Float32Array(K);
  function draw() {
    const { values, sum } = row(state.layer, state.head, state.query);
    paint(heat, values, state.strength);
    for (const t of thumbs) {
      paint(t.canvas, row(t.layer, t.head, state.query, scratch).values, null);
      t.button.setAttribute("aria-pressed", String(t.layer === state.layer && t.head === state.head));
      t.button.tabIndex = t.layer === state.layer && t.head === Math.max(0, state.head) ? 0 : -1; // one stop for Tab
    }
    $("layer").value = state.layer;
    $("layer-name").textContent = state.layer;
    for (const b of document.querySelectorAll("[data-head]")) {
      b.setAttribute("aria-pressed", String(Number(b.dataset.head) === state.head));
    }
    if (hasCls) $("cls").setAttribute("aria-pressed", String(state.query === CLS));
    place();
    say(values, sum);
  }
  function place() {
    cursor.hidden = state.query === CLS;
    cursor.classList.toggle("pinned", state.pinned);
    if (cursor.hidden) return;
    const y = Math.floor(state.query / cellsAcross) * cell, x = (state.query % cellsAcross) * cell;
    const box = { left: x, top: y, width: Math.min(cell, meta.patchesAcross - x), height: Math.min(cell, meta.patchesDown - y) };
    for (const side of ["left", "width"]) cursor.style[side] = `${(100 * box[side]) / meta.patchesAcross}%`;
    for (const side of ["top", "height"]) cursor.style[side] = `${(100 * box[side]) / meta.patchesDown}%`;
  }
  function say(values, sum) {
    let best = 0;
    for (let k = 1; k < K; k++) if (values[k] > values[best]) best = k;
    const y = Math.floor(state.query / cellsAcross) * cell, x = (state.query % cellsAcross) * cell;
    const what = cell > 1 ? `The ${cell} × ${cell} patches at row ${y}, column ${x}` : `The patch at row ${y}, column ${x}`;
    const who = state.query === CLS ? "CLS" : what;
    const head = state.head < 0 ? "mean of heads" : `head ${state.head}`;
    const rest = meta.prefix ? `; ${(100 * Math.max(0, 1 - sum)).toFixed(0)} % goes to CLS${meta.prefix > 1 ? " and registers" : ""}` : "";
    readout.textContent =
      `${who}, layer ${state.layer}, ${head}: ${(100 * sum).toFixed(0)} % of its attention lands on the picture${rest}. ` +
      `Most on row ${Math.floor(best / w) * meta.keyPool}, column ${(best % w) * meta.keyPool} (${(100 * values[best]).toFixed(2)} %).` +
      (state.pinned && state.query !== CLS ? " Pinned: click the patch again or press Enter to let go." : "");
  }

  function queryAt(event) {
    const box = stage.getBoundingClientRect();
    const px = Math.min(meta.patchesAcross - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * meta.patchesAcross)));
    const py = Math.min(meta.patchesDown - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * meta.patchesDown)));
    return Math.floor(py / cell) * cellsAcross + Math.floor(px / cell);
  }
  stage.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse") return;
    const query = queryAt(event);
    if (state.pinned && state.query !== CLS) return;
    if (query !== state.query) { state.query = query; state.pinned = false; draw(); }
  });
  stage.addEventListener("click", (event) => {
    const query = queryAt(event);
    state.pinned = !(state.pinned && query === state.query);
    state.query = query;
    draw();
  });
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own: copy, switch tabs
    if (event.key in steps) {
      const from = state.query === CLS ? Math.floor(cellsDown / 2) * cellsAcross + Math.floor(cellsAcross / 2) : state.query;
      const y = Math.min(cellsDown - 1, Math.max(0, Math.floor(from / cellsAcross) + steps[event.key][0]));
      const x = Math.min(cellsAcross - 1, Math.max(0, (from % cellsAcross) + steps[event.key][1]));
      state.query = y * cellsAcross + x;
      state.pinned = true;
    } else if (event.key === "Enter" || event.key === " ") state.pinned = !state.pinned;
    else if (event.key === "PageUp") state.layer = Math.min(L - 1, state.layer + 1);
    else if (event.key === "PageDown") state.layer = Math.max(0, state.layer - 1);
    else if (event.key.toLowerCase() === "m") state.head = -1;
    else if (event.key.toLowerCase() === "c" && hasCls) { state.query = CLS; state.pinned = true; }
    else if (/^[0-9]$/.test(event.key) && Number(event.key) < H) state.head = Number(event.key);
    else return;
    event.preventDefault();
    draw();
  });
  $("layer").addEventListener("input", (event) => { state.layer = Number(event.target.value); draw(); });
  $("strength").addEventListener("input", (event) => { state.strength = Number(event.target.value) / 100; draw(); });
  $("smooth").addEventListener("change", (event) => stage.classList.toggle("smooth", event.target.checked));
  if (hasCls) $("cls").addEventListener("click", () => { state.query = CLS; state.pinned = true; draw(); });
  for (const b of document.querySelectorAll("[data-head]")) {
    b.addEventListener("click", () => { state.head = Number(b.dataset.head); draw(); });
  }
  draw();
  document.documentElement.dataset.ready = "yes";
})();
