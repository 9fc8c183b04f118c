"use strict";
// Plots: the library stands above; each plot's data stands beside its place.
for (const data of document.querySelectorAll("script.plot-data")) {
  Bokeh.embed.embed_item(JSON.parse(data.textContent), data.dataset.target);
}

// The exchange: a filter, and routine messages folded away.
const bodies = Array.from(document.querySelectorAll("#exchange tbody"));
const filter = document.getElementById("filter");
const routine = document.getElementById("routine");

function show() {
  const wanted = filter.value.trim().toLowerCase();
  let count = 0;
  for (const body of bodies) {
    const folded = body.classList.contains("routine") && !routine.checked;
    body.hidden = folded || (wanted !== "" && !body.textContent.toLowerCase().includes(wanted));
    count += body.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = `${count} of ${bodies.length} shown`;
}

// A link to a document opens what hides it.
function open() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const body = target && target.closest("#exchange tbody");
  if (!body) return;
  filter.value = "";
  routine.checked = routine.checked || body.classList.contains("routine");
  show();
  body.querySelector("details").open = true;
  target.scrollIntoView({ block: "center" });
}

filter.addEventListener("input", show);
routine.addEventListener("change", show);
addEventListener("hashchange", open);
show();
open();
