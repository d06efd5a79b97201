// The pages without it can be read; with it they stay fresh and can act. No third party, no storage.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const FRESH_MS = 3000, LIVE_MS = 400, SLOW_MS = 2000;
  const lost = document.getElementById("lost");

  const send = async (method, path, body) => {
    const answer = await fetch(path, {
      method, cache: "no-store", credentials: "same-origin",
      headers: body === undefined ? {} : {"Content-Type": "application/json"},
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.status === 401) { location.assign("/login?next=" + encodeURIComponent(location.pathname)); }
    let found = {};
    try { found = await answer.json(); } catch { found = {error: "the box gave an answer that cannot be read"}; }
    if (!answer.ok) { throw new Error([found.error, found.hint].filter(Boolean).join(". ")); }
    return found;
  };
  const words = (error) => error instanceof TypeError ? "The box does not answer: is the cable still in?" : error.message;

  // Whether the box's clock is wrong shows nowhere as plainly as beside another clock.
  const APART_S = 90;
  const span = (s) => s < 7200 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
  const holdClocks = () => {
    const now = document.getElementById("now");
    if (!now) { return; }
    const apart = (Date.parse(now.dateTime) - Date.now()) / 1000;
    document.getElementById("clock").textContent = Math.abs(apart) < APART_S ? "" :
      `The box's clock is ${span(Math.abs(apart))} ${apart > 0 ? "ahead of" : "behind"} this device's: one of them is wrong. ` +
      "If it is the box's, times in alarms are wrong: let it reach an NTP server.";
  };

  // Parts marked data-live are taken from the page as it is now, unless somebody is in the middle of them.
  const freshen = async () => {
    const parts = [...document.querySelectorAll("[data-live][id]")];
    if (!parts.length || document.hidden) { return; }
    try {
      const answer = await fetch(location.href, {cache: "no-store", credentials: "same-origin"});
      if (answer.redirected) { location.reload(); return; }
      if (!answer.ok) { throw new Error("no page"); }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Another page than this one, in fault mode for one: what stands here must not stay as if it were still so.
      if (!parts.some((part) => page.getElementById(part.id))) { location.reload(); return; }
      lost.textContent = "";
      document.title = page.title;
      for (const part of parts) {
        const now = page.getElementById(part.id);
        const busy = part.contains(document.activeElement) || part.querySelector("details[open], form[data-busy]");
        if (now && !busy && now.innerHTML !== part.innerHTML) { part.innerHTML = now.innerHTML; }
      }
      const foot = page.querySelector("footer");
      if (foot) { document.querySelector("footer").innerHTML = foot.innerHTML; holdClocks(); }
    } catch { lost.textContent = "The box does not answer. What you see is old."; }
  };

  // Pictures follow one another, never two at a time; a hidden page asks for none.
  const follow = async (image) => {
    const note = image.parentElement.querySelector(".note");
    for (;;) {
      let pause = LIVE_MS;
      if (!document.hidden) {
        try {
          const answer = await fetch(image.dataset.liveSrc, {cache: "no-store", credentials: "same-origin"});
          if (answer.ok) {
            const address = URL.createObjectURL(await answer.blob());
            const before = image.src;
            image.src = address;
            await image.decode();
            if (before.startsWith("blob:")) { URL.revokeObjectURL(before); }
            image.hidden = false;
            if (note) { note.hidden = true; }
          } else if (answer.status === 401) {
            throw new Error("You are logged out: log in again to see the picture.");
          } else {
            const found = await answer.json().catch(() => ({}));
            throw new Error([found.error, found.hint].filter(Boolean).join(". ") || "no picture");
          }
        } catch (error) {
          pause = SLOW_MS;
          if (note) {
            const drawing = image.closest(".drawing");  // what is drawn needs something below it: there the last picture stays
            note.textContent = (drawing && image.src.startsWith("blob:") ? "What you see is old. " : "") + words(error);
            note.hidden = false;
            image.hidden = !drawing;
          }
        }
      }
      await new Promise((go) => setTimeout(go, pause));
    }
  };

  const TOLD = {
    "test-alarm": (found) => `On for ${found.seconds} s: ${found.outputs.join(", ")}. Do you hear and see it?`,
    "retry-mail": (found) => found.mails === 1 ? "One mail is tried now." : `${found.mails} mails are tried now.`,
    "acknowledge": (found) => `Silent now; ${found.incidents.length} incidents are open.`,
    "confirm-masks": (found) => found.words,
    "maintenance": (found) => found.on ? "Maintenance has begun; the desk is told." : "Maintenance is over; the rules hold.",
    "walk-test": (found) => found.on ? "Begun." : "Over; the record is being written.",
  };
  const followMail = async (mail, out) => {
    for (;;) {
      const head = {waiting: "\u2026", delivered: "\u2713 Delivered", failed: "\u2715 Not sent"}[mail.state];
      out.className = {waiting: "", delivered: "good", failed: "bad"}[mail.state];
      out.textContent = `${head} after ${mail.waited_s} s: ${mail.words}`;
      if (mail.state !== "waiting") { return; }
      await new Promise((go) => setTimeout(go, 500));
      mail = await send("GET", "/acts/test-mail/" + encodeURIComponent(mail.id));
    }
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const act = form.dataset.act;
    if (!act) { return; }
    event.preventDefault();
    const out = form.querySelector("output"), button = form.querySelector("button");
    const body = {};
    if (form.dataset.on) { body.on = form.dataset.on === "true"; }
    for (const field of form.elements) {
      if (field.name && field.type !== "submit") {
        body[field.name] = field.type === "checkbox" ? field.checked : field.name === "minutes" ? Number(field.value) : field.value;
      }
    }
    button.disabled = true;
    form.dataset.busy = "";
    out.className = "";
    out.textContent = "\u2026";
    try {
      const found = await send("POST", "/acts/" + act, body);
      if (act === "test-mail") { await followMail(found, out); } else { out.className = "good"; out.textContent = TOLD[act](found); }
      if ("reload" in form.dataset) { location.reload(); }
    } catch (error) { out.className = "bad"; out.textContent = words(error); }
    button.disabled = false;
    delete form.dataset.busy;
    if (act === "maintenance") { form.closest("details")?.removeAttribute("open"); button.blur(); freshen(); }
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-verdict]");
    if (!button) { return; }
    const verdict = button.getAttribute("aria-pressed") === "true" ? "" : button.dataset.verdict;
    const row = button.parentElement;
    try {
      await send("POST", "/acts/verdict", {incident_id: button.dataset.incident, verdict});
      for (const other of row.querySelectorAll("button")) {
        other.setAttribute("aria-pressed", String(other.dataset.verdict === verdict));
      }
    } catch (error) { lost.textContent = words(error); }
  });

  window.kiosk = {send, words};
  document.querySelectorAll("img[data-live-src]").forEach(follow);
  holdClocks();
  setInterval(freshen, FRESH_MS);
  document.addEventListener("visibilitychange", freshen);
})();
