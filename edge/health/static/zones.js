// Zones and privacy masks, drawn on the live picture with finger, mouse or keys.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg", MASKS = ["never_stored", "never_seen"], NEAR = 0.02, STEP = 0.005, LEAP = 0.05;
  const state = JSON.parse(document.getElementById("zones-state").textContent);
  const el = (id) => document.getElementById(id);
  const drawing = el("drawing"), svg = el("shapes"), hint = el("hint"), saved = el("saved");
  const isMask = (shape) => MASKS.includes(shape.kind);
  const mine = [...state.zones, ...state.masks].filter((s) => s.camera === state.camera);
  const others = [...state.zones, ...state.masks].filter((s) => s.camera !== state.camera);
  const fixed = [...state.fixed.zones, ...state.fixed.masks].filter((s) => s.camera === state.camera);
  let chosen = null, setting = false, changed = false, dragged = null;

  const clamp = (v) => Math.min(1, Math.max(0, Math.round(v * 10000) / 10000));
  const size = () => ({w: svg.clientWidth || 1, h: svg.clientHeight || 1});
  const say = (text) => { hint.textContent = text; };
  const touched = () => {
    changed = true;
    saved.textContent = "";
    const whole = mine.every((s) => s.polygon.length >= 3);
    el("save").disabled = !state.editable || !whole;
  };

  const make = (name, attributes, parent) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) { node.setAttribute(key, value); }
    parent.append(node);
    return node;
  };
  const px = ([x, y]) => { const {w, h} = size(); return [x * w, y * h]; };

  const draw = () => {
    const focus = document.activeElement?.dataset?.corner;
    svg.replaceChildren();
    for (const shape of [...fixed, ...mine]) {
      const own = mine.includes(shape), open = shape === chosen && setting;
      const kind = isMask(shape) ? "mask" : shape.kind;
      const points = shape.polygon.map((c) => px(c).join(",")).join(" ");
      const node = make(open ? "polyline" : "polygon", {points, class: `${kind}${shape === chosen ? " chosen" : ""}${own ? "" : " fixed"}`}, svg);
      if (own && !setting) { node.addEventListener("pointerdown", (event) => { event.stopPropagation(); choose(shape); }); }
      if (shape.polygon.length && (!chosen || shape === chosen)) {
        const n = shape.polygon.length, middle = shape.polygon.reduce((a, b) => [a[0] + b[0] / n, a[1] + b[1] / n], [0, 0]);
        const [x, y] = px(shape === chosen ? shape.polygon.reduce((a, b) => (a[1] <= b[1] ? a : b)) : middle);
        const label = make("text", {x, y: Math.max(16, shape === chosen ? y - 16 : y + 4), "text-anchor": "middle"}, svg);
        label.textContent = `${shape.name}${isMask(shape) ? " (mask)" : ""}`;
        const half = label.getBBox().width / 2 + 4;
        label.setAttribute("x", Math.min(Math.max(x, half), Math.max(half, size().w - half)));
      }
    }
    if (chosen) { corners(chosen); }
    if (focus !== undefined) { svg.querySelector(`[data-corner="${focus}"]`)?.focus(); }
    el("properties").hidden = !chosen;
  };

  const corners = (shape) => {
    shape.polygon.forEach((corner, i) => {
      const [cx, cy] = px(corner);
      const node = make("circle", {cx, cy, r: 9, tabindex: 0, role: "button", "data-corner": i,
        "aria-label": `Corner ${i + 1} of ${shape.polygon.length} of ${shape.name}, at ${Math.round(corner[0] * 100)} % from the left, ${Math.round(corner[1] * 100)} % from the top`}, svg);
      node.addEventListener("pointerdown", (event) => grab(event, shape, i));
      node.addEventListener("keydown", (event) => keys(event, shape, i));
    });
    if (setting || shape.polygon.length >= 64) { return; }
    shape.polygon.forEach((corner, i) => {
      const next = shape.polygon[(i + 1) % shape.polygon.length];
      const middle = [clamp((corner[0] + next[0]) / 2), clamp((corner[1] + next[1]) / 2)];
      const [cx, cy] = px(middle);
      const node = make("circle", {cx, cy, r: 6, class: "between", "aria-hidden": "true"}, svg);
      node.addEventListener("pointerdown", (event) => { shape.polygon.splice(i + 1, 0, middle); touched(); grab(event, shape, i + 1); });
    });
  };

  const at = (event) => {
    const box = svg.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
  };
  const grab = (event, shape, i) => {
    event.preventDefault();
    event.stopPropagation();
    if (setting && i === 0 && shape.polygon.length >= 3) { finish(); return; }
    dragged = {shape, i};
    svg.setPointerCapture(event.pointerId);
  };
  svg.addEventListener("pointermove", (event) => {
    if (!dragged) { return; }
    dragged.shape.polygon[dragged.i] = at(event);
    touched();
    draw();
  });
  const release = () => { dragged = null; draw(); };
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);
  svg.addEventListener("pointerdown", (event) => {
    if (!state.editable || dragged) { return; }
    if (!setting) { choose(null); return; }
    addCorner(at(event));
  });

  const keys = (event, shape, i) => {
    const step = event.shiftKey ? LEAP : STEP;
    const move = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
    if (move) {
      shape.polygon[i] = [clamp(shape.polygon[i][0] + move[0]), clamp(shape.polygon[i][1] + move[1])];
    } else if (event.key === "Delete" && (setting || shape.polygon.length > 3)) {
      shape.polygon.splice(i, 1);
    } else { return; }
    event.preventDefault();
    touched();
    draw();
  };

  const addCorner = (corner) => {
    const first = chosen.polygon[0];
    if (chosen.polygon.length >= 3 && Math.hypot(corner[0] - first[0], corner[1] - first[1]) < NEAR) { finish(); return; }
    if (chosen.polygon.length >= 64) { say("64 corners are the most."); return; }
    chosen.polygon.push(corner);
    touched();
    const n = chosen.polygon.length;
    say(n < 3 ? `${n} of at least 3 corners.` : `${n} corners. Go on, or name it and save.`);
    draw();
  };
  const finish = () => { setting = false; say(`"${chosen.name}" has ${chosen.polygon.length} corners. Drag them, or save.`); draw(); };
  const choose = (shape) => {
    if (setting && chosen && chosen.polygon.length < 3) { mine.splice(mine.indexOf(chosen), 1); touched(); }
    setting = false;
    chosen = shape;
    if (shape) { el("kind").value = shape.kind; el("name").value = shape.name; say(`"${shape.name}": drag its corners, change what it is, or delete it.`); }
    draw();
  };
  const freeName = (kind) => {
    const names = new Set([...mine, ...fixed].map((s) => s.name));
    const stem = kind.startsWith("never") ? "mask" : kind;
    for (let n = 1; ; n += 1) { if (!names.has(`${stem}-${n}`)) { return `${stem}-${n}`; } }
  };

  el("new").addEventListener("click", () => {
    choose(null);
    chosen = {camera: state.camera, name: freeName("restricted"), kind: "restricted", polygon: []};
    mine.push(chosen);
    setting = true;
    el("kind").value = chosen.kind;
    el("name").value = chosen.name;
    say("Tap the first corner on the picture. With the keyboard: Add corner, then the arrow keys.");
    touched();
    draw();
  });
  el("corner").addEventListener("click", () => {
    if (!chosen) { say('Choose "New" first, or a zone on the picture.'); return; }
    const last = chosen.polygon.at(-1);
    chosen.polygon.push(last ? [clamp(last[0] + 0.1), last[1]] : [0.4, 0.5]);
    touched();
    draw();
    svg.querySelector(`[data-corner="${chosen.polygon.length - 1}"]`)?.focus();
  });
  el("undo").addEventListener("click", () => {
    if (setting && chosen?.polygon.length) { chosen.polygon.pop(); touched(); draw(); } else { say("Earlier versions are listed below."); }
  });
  el("remove").addEventListener("click", () => {
    if (!chosen) { say("Choose a zone on the picture first."); return; }
    mine.splice(mine.indexOf(chosen), 1);
    say(`"${chosen.name}" is deleted once you save.`);
    setting = false;
    chosen = null;
    touched();
    draw();
  });
  el("kind").addEventListener("change", (event) => {
    const automatic = /^[a-z]+-\d+$/.test(chosen.name);
    chosen.kind = event.target.value;
    if (automatic) { chosen.name = freeName(chosen.kind); el("name").value = chosen.name; }
    touched();
    draw();
  });
  el("name").addEventListener("input", (event) => { chosen.name = event.target.value; touched(); draw(); });

  const plain = (s) => ({camera: s.camera, name: s.name, kind: s.kind, polygon: s.polygon});
  const used = (found) => { changed = false; state.version = found.version; location.reload(); };
  el("save").addEventListener("click", async () => {
    const all = [...others, ...mine].map(plain);
    el("save").disabled = true;
    saved.className = "";
    saved.textContent = "\u2026";
    try {
      const found = await kiosk.send("PUT", "/acts/zones", {
        zones: all.filter((s) => !isMask(s)), masks: all.filter(isMask), version: state.version});
      saved.className = "good";
      saved.textContent = "\u2713 Saved and in use.";
      setTimeout(() => used(found), 900);
    } catch (error) {
      saved.className = "bad";
      saved.textContent = kiosk.words(error);
      el("save").disabled = false;
    }
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-restore]");
    if (!button) { return; }
    try { used(await kiosk.send("POST", "/acts/zones/restore", {version: button.dataset.restore})); } catch (error) {
      saved.className = "bad";
      saved.textContent = kiosk.words(error);
    }
  });
  window.addEventListener("beforeunload", (event) => { if (changed) { event.preventDefault(); } });
  new ResizeObserver(draw).observe(drawing);
  if (!state.editable) { ["new", "corner", "undo", "remove"].forEach((id) => { el(id).disabled = true; }); }
  draw();
})();
