"use strict";
// Looks for words in the list of messages, which is a file beside this one; nothing is asked of any network.
(function () {
  var MOST = 200;
  var box = document.getElementById("words");
  var result = document.getElementById("result");
  var months = document.getElementById("months");
  var rows = null;
  document.documentElement.classList.add("can-search");

  function load() {
    if (rows) { return; }
    rows = [];
    var script = document.createElement("script");
    script.src = "messages.js";
    script.onload = function () {
      rows = window.messages.map(function (row) {
        return { row: row, text: row.slice(1, 5).join("\n").toLowerCase() };
      });
      look();
    };
    document.body.appendChild(script);
  }

  function cell(line, text, name) {
    var made = line.insertCell();
    made.className = name;
    made.textContent = text;
    made.title = text;
    return made;
  }

  function show(found, more) {
    result.textContent = "";
    var note = document.createElement("p");
    note.className = "note";
    note.textContent = (more ? "The newest " + found.length + " of " + (found.length + more) : found.length) +
      (found.length + more === 1 ? " message" : " messages");
    result.appendChild(note);
    var table = document.createElement("table");
    table.className = "list";
    found.forEach(function (row) {
      var line = table.insertRow();
      cell(line, row[1], "day");
      cell(line, row[2].replace(/(\S)\s*<[^<>]*>/g, "$1").replace(/"/g, ""), "who").title = row[2];
      var link = document.createElement("a");
      link.href = row[0];
      link.textContent = row[3];
      var subject = cell(line, "", "what");
      subject.title = row[3];
      subject.appendChild(link);
      cell(line, row[4], "box");
      cell(line, row[5] || "", "files");
    });
    result.appendChild(table);
  }

  function look() {
    var words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    months.hidden = words.length > 0;
    result.hidden = !words.length;
    if (!words.length || !rows.length) { return; }
    var found = [], more = 0;
    rows.forEach(function (each) {
      if (!words.every(function (word) { return each.text.indexOf(word) >= 0; })) { return; }
      if (found.length < MOST) { found.push(each.row); } else { more += 1; }
    });
    show(found, more);
  }

  var waiting = 0;
  box.addEventListener("focus", load);
  box.addEventListener("input", function () {
    load();
    clearTimeout(waiting);
    waiting = setTimeout(look, 120);
  });
  if (box.value) { load(); }
}());
