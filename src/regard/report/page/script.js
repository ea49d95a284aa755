(async () => {
  const { $ } = regard;
  const meta = JSON.parse($("payload-header").textContent);
  const paint = regard.painter(regard.bytes(meta.palette));
  const { layers: L, heads: H, queries: Q, h, w, levels, cell, cellsAcross, cellsDown, hasCls } = meta;
  const { patchesAcross, patchesDown } = meta;
  const K = h * w, CLS = hasCls ? Q - 1 : -1;
  const stage = $("stage"), heat = $("heat"), cursor = $("cursor"), readout = $("readout");
  const state = { layer: L - 1, head: -1, y: 0, x: 0, cls: hasCls, pinned: hasCls, strength: 0.85, ...meta.start };
  // exactRow: attention of one token over the patches in full precision, of the heads that a plugin has it for.
  const viewer = { meta, state, draw, onDraw: [], exactRow: () => null, onPick: null, patchAt };

  if (typeof DecompressionStream === "undefined") {
    readout.textContent = "The interactive view needs a browser from 2023 or later; the pictures below do not.";
    return;
  }
  readout.textContent = "Unpacking …";
  const count = L * H * Q;
  let raw;
  try {
    raw = await regard.inflate($("payload-data").textContent.trim());
    if (raw.length !== count * (K + 8)) throw new Error(`${raw.length} bytes instead of ${count * (K + 8)}`);
    for (const start of regard.plugins) await start(viewer);
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
  const isExact = () => viewer.exactRow(state) !== null;
  const step = () => (isExact() ? 1 : cell); // a cell of patches stands for each of them, unless more is known
  const query = () => (state.cls ? CLS : Math.floor(state.y / cell) * cellsAcross + Math.floor(state.x / cell));
  const corner = () => ({ y: Math.floor(state.y / step()) * step(), x: Math.floor(state.x / step()) * step() });

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
      button.type = "button";
      button.title = `layer ${layer}, head ${head}`;
      button.setAttribute("aria-label", button.title);
      button.addEventListener("click", () => { state.layer = layer; state.head = head; draw(); });
      button.append(canvas);
      if (viewer.exactRow({ ...state, layer, head })) button.classList.add("exact");
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
    const exact = viewer.exactRow(state);
    const shown = exact ?? row(state.layer, state.head, query());
    const grid = exact ? { w: patchesAcross, h: patchesDown, pool: 1 } : { w, h, pool: meta.keyPool };
    // The last column or row of pooled keys may hold fewer patches than the others: it hangs over the edge.
    heat.style.width = `${(100 * grid.w * grid.pool) / patchesAcross}%`;
    heat.style.height = `${(100 * grid.h * grid.pool) / patchesDown}%`;
    paint(heat, shown.values, state.strength, grid.w, grid.h);
    for (const t of thumbs) {
      paint(t.canvas, row(t.layer, t.head, query(), scratch).values, null, w, h);
      t.button.setAttribute("aria-pressed", String(t.layer === state.layer && t.head === state.head));
      t.button.tabIndex = t.layer === state.layer && t.head === Math.max(0, state.head) ? 0 : -1; // one stop for Tab
    }
    $("layer").value = state.layer;
    $("layer-name").textContent = state.layer;
    for (const b of document.querySelectorAll("[data-head]")) {
      b.setAttribute("aria-pressed", String(Number(b.dataset.head) === state.head));
    }
    if (hasCls) $("cls").setAttribute("aria-pressed", String(state.cls));
    place();
    say(shown, grid, exact !== null);
    for (const tell of viewer.onDraw) tell(shown);
  }
  function place() {
    cursor.hidden = state.cls;
    cursor.classList.toggle("pinned", state.pinned);
    if (cursor.hidden) return;
    const { y, x } = corner(), size = step();
    const box = { left: x, top: y, width: Math.min(size, patchesAcross - x), height: Math.min(size, patchesDown - y) };
    for (const side of ["left", "width"]) cursor.style[side] = `${(100 * box[side]) / patchesAcross}%`;
    for (const side of ["top", "height"]) cursor.style[side] = `${(100 * box[side]) / patchesDown}%`;
  }
  function say({ values, sum }, grid, exact) {
    let best = 0;
    for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k;
    const { y, x } = corner(), size = step();
    const what = size > 1 ? `The ${size} × ${size} patches at row ${y}, column ${x}` : `The patch at row ${y}, column ${x}`;
    const who = state.cls ? "CLS" : what;
    const head = state.head < 0 ? "mean of heads" : `head ${state.head}`;
    const rest = meta.prefix ? `; ${(100 * Math.max(0, 1 - sum)).toFixed(0)} % goes to CLS${meta.prefix > 1 ? " and registers" : ""}` : "";
    readout.textContent =
      `${who}, layer ${state.layer}, ${head}: ${(100 * sum).toFixed(0)} % of its attention lands on the picture${rest}. ` +
      `Most on row ${Math.floor(best / grid.w) * grid.pool}, column ${(best % grid.w) * grid.pool} (${(100 * values[best]).toFixed(2)} %).` +
      (exact ? " In full precision." : "") +
      (state.pinned && !state.cls ? " Pinned: click the patch again or press Enter to let go." : "");
  }

  function patchAt(event) {
    const box = stage.getBoundingClientRect();
    const x = Math.min(patchesAcross - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * patchesAcross)));
    const y = Math.min(patchesDown - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * patchesDown)));
    return { y, x };
  }
  const same = (at) => !state.cls && ["y", "x"].every((a) => Math.floor(at[a] / step()) === Math.floor(state[a] / step()));
  stage.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || (state.pinned && !state.cls)) return;
    const at = patchAt(event);
    if (!same(at)) { Object.assign(state, at, { cls: false, pinned: false }); draw(); }
  });
  stage.addEventListener("click", (event) => {
    const at = patchAt(event);
    if (viewer.onPick?.(at)) return;
    state.pinned = !(state.pinned && same(at));
    Object.assign(state, at, { cls: false });
    draw();
  });
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own: copy, switch tabs
    if (event.key in steps) {
      const size = step(), way = steps[event.key];
      const from = state.cls ? { y: Math.floor(cellsDown / 2) * cell, x: Math.floor(cellsAcross / 2) * cell } : corner();
      const last = (n) => Math.floor((n - 1) / size) * size;
      state.y = Math.min(last(patchesDown), Math.max(0, from.y + way[0] * size));
      state.x = Math.min(last(patchesAcross), Math.max(0, from.x + way[1] * size));
      state.cls = false;
      state.pinned = true;
    } else if (event.key === "Enter" || event.key === " ") state.pinned = !state.pinned;
    else if (event.key === "PageUp") state.layer = Math.min(L - 1, state.layer + 1);
    else if (event.key === "PageDown") state.layer = Math.max(0, state.layer - 1);
    else if (event.key.toLowerCase() === "m") state.head = -1;
    else if (event.key.toLowerCase() === "c" && hasCls) state.cls = state.pinned = true;
    else if (/^[0-9]$/.test(event.key) && Number(event.key) < H) state.head = Number(event.key);
    else return;
    event.preventDefault();
    draw();
  });
  $("layer").addEventListener("input", (event) => { state.layer = Number(event.target.value); draw(); });
  $("strength").addEventListener("input", (event) => { state.strength = Number(event.target.value) / 100; draw(); });
  $("smooth").addEventListener("change", (event) => stage.classList.toggle("smooth", event.target.checked));
  if (hasCls) $("cls").addEventListener("click", () => { state.cls = state.pinned = true; draw(); });
  for (const b of document.querySelectorAll("[data-head]")) {
    b.addEventListener("click", () => { state.head = Number(b.dataset.head); draw(); });
  }
  draw();
  document.documentElement.dataset.ready = "yes";
})();
