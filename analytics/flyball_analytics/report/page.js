// Without this script the page is complete: it narrows what has a name to what was typed, and opens a
// service or an integration when a link leads there or the page is printed.
(() => {
  const find = document.getElementById("find");
  const rows = [...document.querySelectorAll("[data-name]")];
  if (find) {
    find.closest("p").hidden = false;
    find.addEventListener("input", () => {
      const wanted = find.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.dataset.name.includes(wanted);
        shown += !row.hidden;
      }
      document.getElementById("found").textContent = `${shown} of ${rows.length} shown`;
    });
  }
  const open = () => {
    const at = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (at && at.tagName === "DETAILS") { at.open = true; at.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  addEventListener("beforeprint", () => document.querySelectorAll("details.svc").forEach((d) => { d.open = true; }));
  open();
})();
