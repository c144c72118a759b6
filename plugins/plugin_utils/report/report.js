"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const { checks, servers, clients } = JSON.parse($("data").textContent);
  // How a server stands, worst first, as the page's own classes and words have it.
  const LEVELS = ["high", "medium", "low", "unknown", "clean"];
  const WORDS = ["high", "medium", "low", "not all known", "all well"];
  const SHOWN = {
    h: ["H", "failed, high"], m: ["M", "failed, medium"], l: ["L", "failed, low"], u: ["?", "not known"],
    n: ["\u2013", "does not apply"], p: ["\u2713", "passed"], ".": ["\u00b7", "not looked at"],
  };
  const WORST_FIRST = "hmlunp.";
  const ON_A_PAGE = 50;
  const PRINTED = 300;
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const rows = servers.map(([name, fqdn, standing, upstream, days, codes], number) => {
    const failed = ["h", "m", "l"].map((code) => codes.split(code).length - 1);
    const first = ["h", "m", "l", "u"].findIndex((code) => codes.includes(code));
    const above = upstream === null ? "" : servers[upstream][0];
    return {
      number, name, days, codes, level: first < 0 ? 4 : first,
      weight: failed[0] * 1e6 + failed[1] * 1e3 + failed[2],
      words: `${name}\n${fqdn}\n${standing}\n${above}`.toLowerCase(),
    };
  });
  [...rows].sort((one, other) => collator.compare(one.name, other.name)).forEach((row, place) => { row.place = place; });

  let sorted = { by: "level", down: true };
  let found = rows;
  let page = 0;

  // --- what is found, and in which order -------------------------------------------------------------------------------------

  function order(by) {
    const name = (one, other) => one.place - other.place;
    if (by === "name") return name;
    if (by === "level") return (one, other) => other.level - one.level || one.weight - other.weight || other.place - one.place;
    // Without a certificate: last, whichever way.
    if (by === "days") return (one, other) => one.days - other.days || name(one, other);
    const check = Number(by);
    const rank = (row) => WORST_FIRST.indexOf(row.codes[check]);
    return (one, other) => rank(other) - rank(one) || other.place - one.place;
  }

  function find() {
    const words = $("f-text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [level, check, result] = [$("f-level").value, $("f-check").value, $("f-result").value];
    const wanted = (row) => {
      if (level !== "" && row.level !== Number(level)) return false;
      if (!words.every((word) => row.words.includes(word))) return false;
      if (result === "") return true;
      const codes = check === "" ? row.codes : row.codes[check];
      return [...result].some((code) => codes.includes(code));
    };
    const compare = order(sorted.by);
    found = rows.filter(wanted).sort((one, other) => (sorted.down ? compare(other, one) : compare(one, other)));
    if (sorted.by === "days") found = [...found.filter((row) => row.days !== null), ...found.filter((row) => row.days === null)];
    page = 0;
    show();
  }

  // --- the table -------------------------------------------------------------------------------------------------------------

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function mark(level) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", `mark ${level}`);
    svg.setAttribute("viewBox", "-8 -8 16 16");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `#m-${level}`);
    for (const [name, value] of [["x", "-8"], ["y", "-8"], ["width", "16"], ["height", "16"]]) use.setAttribute(name, value);
    svg.append(use);
    return svg;
  }

  // One of each cell that is no failure, to be copied.
  const cells = Object.fromEntries(Object.entries(SHOWN).map(([code, [sign, words]]) => {
    const cell = element("td", { className: code === "u" ? "cell not-known" : "cell" });
    const shown = element("span", {}, sign);
    shown.setAttribute("aria-hidden", "true");
    cell.append(shown, element("span", { className: "vh" }, words));
    return [code, cell];
  }));

  function drawn(row) {
    const line = element("tr", {}, element("th", { scope: "row" }, element("a", { className: "name", href: `#s${row.number}` }, row.name)));
    line.append(
      element("td", { className: "level" }, mark(LEVELS[row.level]), ` ${WORDS[row.level]}`),
      element("td", { className: "number" }, row.days === null ? "" : String(row.days)),
    );
    [...row.codes].forEach((code, check) => {
      let cell;
      if ("hml".includes(code)) {
        const link = element("a", { href: `#s${row.number}-${check}` }, SHOWN[code][0]);
        link.setAttribute("aria-label", `${SHOWN[code][1]}: ${checks[check][0]}`);
        cell = element("td", { className: `cell fail ${LEVELS["hml".indexOf(code)]}` }, link);
      } else {
        cell = cells[code].cloneNode(true);
      }
      cell.title = `${checks[check][0]}: ${SHOWN[code][1]}`;
      line.append(cell);
    });
    return line;
  }

  function show(all = false) {
    const first = all ? 0 : page * ON_A_PAGE;
    const last = all ? found.length : Math.min(first + ON_A_PAGE, found.length);
    $("rows").replaceChildren(...found.slice(first, last).map(drawn));
    $("previous").disabled = page === 0;
    $("next").disabled = last >= found.length;
    const number = (one) => one.toLocaleString("en");
    const of = found.length === rows.length ? `${number(rows.length)} servers` : `${number(found.length)} found of ${number(rows.length)} servers`;
    $("shown").textContent = found.length ? `Rows ${number(first + 1)} to ${number(last)}; ${of}` : `No server is found of ${number(rows.length)}`;
    for (const button of document.querySelectorAll(".sort")) {
      const head = button.parentNode;
      if (button.dataset.sort === sorted.by) head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  function turn(by) {
    page += by;
    show();
    document.querySelector(".matrix-view").scrollTop = 0;
    // A button that is switched off loses the focus.
    if ($("previous").disabled && by < 0) $("next").focus();
    if ($("next").disabled && by > 0) $("previous").focus();
  }

  // --- the rest --------------------------------------------------------------------------------------------------------------

  let details;

  function passed(button) {
    const opened = button.getAttribute("aria-expanded") === "true";
    const article = button.closest("article");
    button.setAttribute("aria-expanded", String(!opened));
    button.firstChild.textContent = opened ? "Show them" : "Hide them";
    if (opened) {
      article.querySelector(".passed").remove();
      return;
    }
    details ??= JSON.parse($("details").textContent);
    const number = Number(button.dataset.server);
    const flat = details.servers[number];
    const body = element("tbody", {});
    for (let place = 0; place < flat.length; place += 4) {
      const check = flat[place];
      const [seen, server, network] = flat.slice(place + 1, place + 4).map((text) => details.texts[text]);
      const told = element("td", {}, element("span", { className: "seen" }, seen));
      if (server) told.append(element("br", {}), "The server says: ", element("span", { className: "seen" }, server));
      if (network) told.append(element("br", {}), "The network says: ", element("span", { className: "seen" }, network));
      body.append(element("tr", {},
        element("td", {}, SHOWN[servers[number][5][check]][1]),
        element("th", { scope: "row" }, checks[check][1]),
        told));
    }
    const heads = ["Result", "What has to hold", "Seen, or why"].map((text) => element("th", { scope: "col" }, text));
    article.append(element("table", { className: "passed" }, element("thead", {}, element("tr", {}, ...heads)), body));
  }

  function onlyCheck(check) {
    $("controls").reset();
    $("f-check").value = check;
    $("f-result").value = "hml";
    find();
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("button, a");
    if (!target) return;
    if (target.classList.contains("sort")) {
      const by = target.dataset.sort;
      // The worst of a check, and the most failures, come first at the first click; names and days begin with the least.
      sorted = { by, down: sorted.by === by ? !sorted.down : by !== "name" && by !== "days" };
      find();
    } else if (target.classList.contains("more")) {
      passed(target);
    } else if (target.dataset.check !== undefined) {
      onlyCheck(target.dataset.check);
    } else if (target.dataset.order !== undefined) {
      sorted = { by: target.dataset.order, down: false };
      $("controls").reset();
    }
  });
  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("reset", () => setTimeout(find));
  for (const id of ["f-level", "f-result"]) $(id).addEventListener("input", find);
  $("f-text").addEventListener("input", find);
  $("f-check").addEventListener("input", () => {
    // Who chooses a check looks for those that fail it.
    if ($("f-check").value !== "" && $("f-result").value === "") $("f-result").value = "hml";
    find();
  });

  // --- clients ---------------------------------------------------------------------------------------------------------------

  if ($("clients-part")) {
    const all = clients.rows.map(([name, code, server, seen]) => {
      const [at, saw] = [server === null ? "" : servers[server][0], clients.texts[seen]];
      return { name, code, server, at, saw, words: `${name}\n${at}\n${saw}`.toLowerCase() };
    });
    let these = all;
    let turned = 0;

    const shown = () => {
      const first = turned * ON_A_PAGE;
      const last = Math.min(first + ON_A_PAGE, these.length);
      $("c-rows").replaceChildren(...these.slice(first, last).map((one) => {
        const words = element("td", { className: "nowrap" });
        const level = "hml".indexOf(one.code);
        if (level >= 0) words.append(element("span", { className: `badge ${LEVELS[level]}` }, `failed, ${LEVELS[level]}`));
        else words.append(SHOWN[one.code][1]);
        const at = one.server === null ? "" : element("a", { className: "name", href: `#s${one.server}` }, one.at);
        return element("tr", {}, words,
          element("th", { scope: "row" }, element("span", { className: "name" }, one.name)),
          element("td", {}, at),
          element("td", { className: "wide-column" }, element("span", { className: "seen" }, one.saw)));
      }));
      $("c-previous").disabled = turned === 0;
      $("c-next").disabled = last >= these.length;
      const number = (one) => one.toLocaleString("en");
      const of = these.length === all.length ? `${number(all.length)} clients` : `${number(these.length)} found of ${number(all.length)} clients`;
      $("c-shown").textContent = these.length ? `Rows ${number(first + 1)} to ${number(last)}; ${of}` : `No client is found of ${number(all.length)}`;
    };
    const seek = () => {
      const words = $("c-text").value.toLowerCase().split(/\s+/).filter(Boolean);
      const result = $("c-result").value;
      these = all.filter((one) => (result === "" || result.includes(one.code)) && words.every((word) => one.words.includes(word)));
      turned = 0;
      shown();
    };
    const step = (by) => {
      turned += by;
      shown();
      // A button that is switched off loses the focus.
      if ($("c-previous").disabled && by < 0) $("c-next").focus();
      if ($("c-next").disabled && by > 0) $("c-previous").focus();
    };
    $("c-previous").addEventListener("click", () => step(-1));
    $("c-next").addEventListener("click", () => step(1));
    $("client-controls").addEventListener("submit", (event) => event.preventDefault());
    $("client-controls").addEventListener("reset", () => setTimeout(seek));
    for (const id of ["c-text", "c-result"]) $(id).addEventListener("input", seek);
    $("clients-part").hidden = false;
    seek();
  }

  // Two thousand marks are one stop for the keyboard, not two thousand.
  const packed = document.querySelector(".tree.packed");
  if (packed) {
    const links = [...packed.querySelectorAll("a")];
    links.forEach((link, place) => link.setAttribute("tabindex", place ? "-1" : "0"));
    packed.addEventListener("keydown", (event) => {
      const here = links.indexOf(document.activeElement);
      const steps = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: links.length - 1 };
      const next = links[steps[event.key]];
      if (here < 0 || !next) return;
      event.preventDefault();
      links[here].setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }

  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
    if (found.length <= PRINTED) show(true);
  });
  window.addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
    show();
  });

  document.documentElement.classList.add("js");
  $("matrix-part").hidden = false;
  find();
})();
