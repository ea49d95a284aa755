// Queries and keys of a head as points of one plane: near means a large dot product.
regard.plugins.push(async (viewer) => {
  const { $ } = regard;
  const box = $("joint-header");
  if (!box) return;
  const meta = JSON.parse(box.textContent), raw = await regard.inflate($("joint-data").textContent.trim());
  const n = meta.tokens, P = meta.planes.length;
  const places = new Float32Array(raw.buffer, 0, P * n * 4), tokens = new Uint32Array(raw.buffer, P * n * 16, n);
  const pictures = new Uint32Array(raw.buffer, P * n * 16 + 4 * n, n), colours = raw.subarray(P * n * 16 + 8 * n);
  if (colours.length !== 3 * n) throw new Error("the planes are damaged");
  const canvas = $("plane"), context = canvas.getContext("2d"), select = $("plane-head"), paintBy = $("plane-colour");
  const card = $("plane-card"), cardImage = $("plane-image"), cardBox = $("plane-box"), told = $("plane-told");
  const state = { plane: 0, near: -1 };
  const tint = { query: "#14b8a6", key: "#ec4899" };
  const grid = viewer.meta;

  function fit() { // the middle 99.6 % of both axes, one scale for both; further points stand at the edge
    const xs = [], ys = [], from = state.plane * n * 4;
    for (let i = 0; i < 2 * n; i++) { xs.push(places[from + 2 * i]); ys.push(places[from + 2 * i + 1]); }
    const ends = (v) => { v.sort((a, b) => a - b); const cut = Math.floor(0.002 * v.length); return [v[cut], v[v.length - 1 - cut]]; };
    const [x0, x1] = ends(xs), [y0, y1] = ends(ys), w = canvas.clientWidth, h = canvas.clientHeight, pad = 16;
    const scale = Math.min((w - 2 * pad) / (x1 - x0 || 1), (h - 2 * pad) / (y1 - y0 || 1));
    return { w, h, at: (i) => [
      Math.min(w - 5, Math.max(5, w / 2 + scale * (places[from + 2 * i] - (x0 + x1) / 2))),
      Math.min(h - 5, Math.max(5, h / 2 - scale * (places[from + 2 * i + 1] - (y0 + y1) / 2))),
    ] };
  }
  const hue = (i, of) => `hsl(${(360 * i) / of} 75% 55%)`;
  function colour(i) {
    const t = i % n, key = i >= n;
    if (paintBy.value === "patch") return `rgb(${colours[3 * t]} ${colours[3 * t + 1]} ${colours[3 * t + 2]})`;
    if (paintBy.value === "photo") return hue(pictures[t], meta.pictures.length);
    const one = meta.pictures[pictures[t]], patch = tokens[t] - one.prefix;
    if (paintBy.value === "row") return patch < 0 ? "#888" : `hsl(${(280 * Math.floor(patch / one.w)) / one.h} 75% 55%)`;
    if (paintBy.value === "column") return patch < 0 ? "#888" : `hsl(${(280 * (patch % one.w)) / one.w} 75% 55%)`;
    return key ? tint.key : tint.query;
  }
  let frame = null;
  function draw() {
    const dense = window.devicePixelRatio || 1;
    frame = fit();
    if (!frame.w) return;
    canvas.width = frame.w * dense; canvas.height = frame.h * dense;
    context.scale(dense, dense);
    const ink = getComputedStyle(document.body).color;
    for (let i = 0; i < 2 * n; i++) {
      const [x, y] = frame.at(i), t = i % n, special = tokens[t] < meta.pictures[pictures[t]].prefix;
      context.globalAlpha = (state.near >= 0 ? 0.45 : 0.65) + (paintBy.value === "kind" ? 0 : 0.3);
      context.fillStyle = context.strokeStyle = colour(i);
      context.beginPath();
      if (i >= n) context.arc(x, y, 2.4, 0, 7); // keys are discs, queries rings
      else context.arc(x, y, 2.6, 0, 7);
      if (i >= n) context.fill(); else { context.lineWidth = 1.3; context.stroke(); }
      if (special) { context.globalAlpha = 1; context.lineWidth = 1.5; context.strokeStyle = ink; context.strokeRect(x - 5, y - 5, 10, 10); }
    }
    context.globalAlpha = 1;
    const [a, b] = [state.near, state.near < n ? state.near + n : state.near - n];
    if (state.near >= 0) {
      partners().forEach(([i, share]) => {
        context.strokeStyle = ink; context.globalAlpha = 0.3 + 0.7 * share; context.lineWidth = 0.8 + 2.4 * share;
        context.beginPath(); context.moveTo(...frame.at(a)); context.lineTo(...frame.at(i)); context.stroke();
        context.globalAlpha = 1; context.fillStyle = colour(i); context.beginPath(); context.arc(...frame.at(i), 4, 0, 7); context.fill();
      });
      context.lineWidth = 2; context.strokeStyle = ink; context.fillStyle = colour(a);
      context.beginPath(); context.arc(...frame.at(a), 6, 0, 7); context.fill(); context.stroke();
      context.setLineDash([3, 3]); context.lineWidth = 1; // the same token's other side
      context.beginPath(); context.arc(...frame.at(b), 6, 0, 7); context.stroke(); context.setLineDash([]);
    }
  }
  // Of the first picture the attention is known: a query's five strongest keys among the points.
  function partners() {
    const e = exact(), t = state.near;
    if (!e || t >= n || pictures[t] !== 0) return [];
    const row = regard.exact.attention(e, tokens[t]), found = [];
    for (let i = 0; i < n; i++) if (pictures[i] === 0) found.push([n + i, row[tokens[i]]]);
    found.sort((x, y) => y[1] - x[1]);
    return found.slice(0, 5).map(([i, p]) => [i, p / (found[0][1] || 1)]);
  }
  const exact = () => [...(regard.exact?.heads.values() ?? [])].find((e) => e.site === meta.planes[state.plane].site && e.head === meta.planes[state.plane].head);
  function say() {
    const p = meta.planes[state.plane], r = p.correlation, number = (v) => v.toFixed(2).replace("-", "−");
    $("plane-numbers").textContent =
      `Distance against dot product, correlation over all pairs of a photo: ${number(r["as they are"])} as they are, ` +
      `${number(r["keys centred"])} with the keys centred, ${number(r["scaled too"])} with c = ${p.scale.toFixed(2)}; ` +
      `${number(r["in the plane"])} in this plane, which holds ${(100 * p.explained).toFixed(0)} % of the variance.`;
    if (state.near < 0) { told.textContent = "Point at a dot to see its patch."; card.hidden = true; return; }
    const t = state.near % n, one = meta.pictures[pictures[t]], patch = tokens[t] - one.prefix;
    const where = patch < 0 ? (tokens[t] === 0 ? "CLS" : `register ${tokens[t]}`) : `row ${Math.floor(patch / one.w)}, column ${patch % one.w}`;
    told.textContent = `${state.near < n ? "Query" : "Key"}: ${where} of ${one.name}.` + (partners().length ? " Lines: the keys it looks at most." : "");
    card.hidden = false;
    cardImage.src = $(`plane-photo-${pictures[t]}`).textContent;
    cardBox.hidden = patch < 0;
    Object.assign(cardBox.style, {
      left: `${(100 * (patch % one.w)) / one.w}%`, top: `${(100 * Math.floor(patch / one.w)) / one.h}%`,
      width: `${100 / one.w}%`, height: `${100 / one.h}%`,
    });
  }
  function nearest(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = -1, reach = 18 ** 2;
    for (let i = 0; i < 2 * n; i++) {
      const [px, py] = frame.at(i), d = (px - x) ** 2 + (py - y) ** 2;
      if (d < reach) { reach = d; best = i; }
    }
    return best;
  }
  function show(near) { if (near !== state.near) { state.near = near; draw(); say(); } }
  canvas.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") show(nearest(event)); });
  canvas.addEventListener("pointerleave", () => viewer.onDraw.at(-1)());
  canvas.addEventListener("click", (event) => {
    const near = nearest(event), e = exact();
    show(near);
    if (near < 0 || !e || pictures[near % n] !== 0) return;
    const patch = tokens[near % n] - meta.pictures[0].prefix;
    Object.assign(viewer.state, { layer: e.layer, head: e.head, cls: patch < 0 && grid.hasCls, pinned: true });
    if (patch >= 0) Object.assign(viewer.state, { y: Math.floor(patch / grid.patchesAcross), x: patch % grid.patchesAcross });
    viewer.draw();
  });
  select.addEventListener("change", () => { state.plane = Number(select.value); state.near = -1; draw(); say(); });
  paintBy.addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  regard.joint = { meta, places, tokens, pictures, state, show };
  // The patch chosen on the photo is shown here, too, if it is among the tokens drawn.
  viewer.onDraw.push(() => {
    const s = viewer.state, token = s.cls ? 0 : grid.prefix + s.y * grid.patchesAcross + s.x;
    show(tokens.findIndex((t, i) => t === token && pictures[i] === 0));
  });
  draw();
  say();
});
