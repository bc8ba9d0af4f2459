"use strict";
const issues = [...document.querySelectorAll("[data-correction]")];
const decisionOn = (issue) => issue.querySelector("input:checked").value;
const status = document.getElementById("status");

function showCounts() {
  const decisions = issues.map(decisionOn);
  const count = (wanted) => decisions.filter((one) => one === wanted).length;
  status.textContent = `${count("accept")} accepted, ${count("reject")} rejected, ${count("")} undecided`;
}

function download() {
  const lines = issues
    .filter((issue) => decisionOn(issue))
    .map((issue) => JSON.stringify({decision: decisionOn(issue), ...JSON.parse(issue.dataset.correction)}) + "\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines, {type: "application/jsonl"}));
  link.download = "corrections.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

document.addEventListener("change", showCounts);
document.getElementById("download").addEventListener("click", download);
document.getElementById("decide").hidden = false;
showCounts();
