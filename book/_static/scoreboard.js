// The scoreboard, made by kdlib/book/scoreboard.py: a link to a claim opens it, and a form shows only some of the claims.
// The form is made here, so that it is absent without scripts; it has native controls, which work by keyboard.
(() => {
  "use strict";

  const rows = [...document.querySelectorAll("table.scoreboard tbody tr:not(.group)")].map((row) => ({
    row,
    verdict: row.querySelector(".verdict").textContent,
    explained: row.querySelector("td:nth-child(5) a") !== null,
    text: row.querySelector("th").textContent.toLowerCase(),
  }));
  const ORDER = ["reproduced", "direction only", "undecided", "contradicted", "premise not met"];
  const kinds = [...new Set([...ORDER, ...rows.map((r) => r.verdict)])].filter((kind) => rows.some((r) => r.verdict === kind));

  const form = document.createElement("form");
  form.className = "claim-filter";
  form.setAttribute("role", "search");
  form.setAttribute("aria-label", "Claims on this page");
  form.innerHTML = `
    <label>words in a claim <input type="search" name="words"></label>
    <fieldset><legend>verdict</legend></fieldset>
    <label><input type="checkbox" name="explained"> only what a control explains otherwise</label>
    <output></output>`;
  for (const kind of kinds) {
    const label = document.createElement("label");
    const count = rows.filter((r) => r.verdict === kind).length;
    label.innerHTML = `<input type="checkbox" name="verdict" checked> ${kind} (${count})`;
    label.querySelector("input").value = kind;
    form.querySelector("fieldset").append(label);
  }

  function show() {
    const asked = new FormData(form);
    const words = asked.get("words").toLowerCase().split(/\s+/);
    const verdicts = new Set(asked.getAll("verdict"));
    for (const r of rows) {
      const wanted = verdicts.has(r.verdict) && (r.explained || !asked.has("explained"));
      r.row.hidden = !(wanted && words.every((word) => r.text.includes(word)));
    }
    for (const group of document.querySelectorAll("table.scoreboard tbody")) {
      group.hidden = group.querySelector("tr:not(.group):not([hidden])") === null;
    }
    form.querySelector("output").textContent = `${rows.filter((r) => !r.row.hidden).length} of ${rows.length} verdicts`;
  }

  function openClaim() {
    const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = row?.querySelector("details");
    if (!details) return;
    if (row.hidden) {
      form.reset();
      show();
    }
    details.open = true;
    row.scrollIntoView();
  }

  document.querySelector("table.scoreboard").closest("section").before(form);
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", openClaim);
  addEventListener("load", openClaim);
  show();
})();
