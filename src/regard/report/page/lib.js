"use strict";
// What the scripts of a page share. A plugin gets the viewer before it is first drawn.
const regard = { plugins: [] };
regard.$ = (id) => document.getElementById(id);
regard.bytes = (base64) => {
  const text = atob(base64), out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
};
regard.inflate = async (base64) => {
  const stream = new Blob([regard.bytes(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};
// The 99.5th percentile, so that one extreme patch does not turn all others black.
regard.reach = (values) => {
  const sorted = Float32Array.from(values).sort(), last = sorted.length - 1;
  return sorted[Math.min(last, Math.floor(0.995 * last))] || sorted[last] || 1;
};
regard.painter = (palette) => (canvas, values, strength, w, h) => {
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = canvas.getContext("2d"), image = context.createImageData(w, h), high = regard.reach(values);
  for (let k = 0; k < w * h; k++) {
    const unit = Math.min(1, values[k] / high), at = Math.round(unit * 255) * 3;
    image.data[4 * k] = palette[at];
    image.data[4 * k + 1] = palette[at + 1];
    image.data[4 * k + 2] = palette[at + 2];
    image.data[4 * k + 3] = strength === null ? 255 : 255 * strength * Math.sqrt(unit);
  }
  context.putImageData(image, 0, 0);
};
