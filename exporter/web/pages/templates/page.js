(() => {
  "use strict";
  // The pages work without this script; it keeps scroll position and focus at a refresh, and shows local times.
  const zoneButton = document.getElementById("zone");
  const ZONE = "sms-exporter-time-zone";
  const readZone = () => { try { return localStorage.getItem(ZONE); } catch { return null; } };
  const writeZone = (zone) => { try { localStorage.setItem(ZONE, zone); } catch { /* Storage is disabled. */ } };
  let zone = readZone() === "local" ? "local" : "UTC";

  const two = (number) => String(number).padStart(2, "0");
  const zoneName = (date) => new Intl.DateTimeFormat(document.documentElement.lang, { timeZoneName: "short" })
    .formatToParts(date).find((part) => part.type === "timeZoneName").value;
  const localTime = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `
    + `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zoneName(date)}`;

  const showTimes = () => {
    for (const element of document.querySelectorAll("time[datetime]")) {
      const property = element.hasAttribute("title") ? "title" : "textContent";
      element.dataset.utc ??= element[property];
      const date = new Date(element.dateTime);
      element[property] = zone === "UTC" || isNaN(date) ? element.dataset.utc : localTime(date);
    }
    zoneButton.textContent = zone === "UTC" ? zoneButton.dataset.utc : zoneButton.dataset.local;
  };
  zoneButton.hidden = false;
  zoneButton.addEventListener("click", () => {
    zone = zone === "UTC" ? "local" : "UTC";
    writeZone(zone);
    showTimes();
  });

  const showCopyButtons = () => {
    if (!navigator.clipboard) return;
    for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    const label = button.textContent;
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  // The same element after a refresh: by its id, or as the element at the same position among those with its address.
  const FOCUSABLE = "a, button, summary, input, select";
  const describe = (element) => element.id || element.getAttribute("href") || element.textContent;
  const findFocus = () => {
    const active = document.activeElement;
    if (!active || !active.closest("main")) return null;
    const key = describe(active);
    const same = [...document.querySelectorAll(`main :is(${FOCUSABLE})`)].filter((one) => describe(one) === key);
    return [key, same.indexOf(active)];
  };
  const restoreFocus = ([key, position]) => {
    const same = [...document.querySelectorAll(`main :is(${FOCUSABLE})`)].filter((one) => describe(one) === key);
    (same[position] ?? same[0])?.focus({ preventScroll: true });
  };
  const openDetails = () => [...document.querySelectorAll("main details[open]")].map((one) => one.id).filter(Boolean);

  const refresh = async () => {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(response.status);
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    const focus = findFocus();
    const open = openDetails();
    document.title = next.title;
    document.querySelector("link[rel=icon]").replaceWith(next.querySelector("link[rel=icon]"));
    document.querySelector("main").replaceWith(next.querySelector("main"));
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    showTimes();
    showCopyButtons();
    if (focus) restoreFocus(focus);
  };
  const seconds = Number(document.body.dataset.refresh);
  if (seconds) {
    setInterval(async () => {
      if (document.hidden) return;
      try {
        await refresh();
      } catch {
        document.querySelector("main .offline")?.removeAttribute("hidden");
      }
    }, seconds * 1000);
  }
  showTimes();
  showCopyButtons();
})();
