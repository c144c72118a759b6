# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An audit as JUnit XML, for pipelines: a suite for each server, a case for each check; and so for each client. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from .texts import clean


def junit_report(document: Mapping[str, Any]) -> str:
    """The audit as JUnit XML. What failed is a failure with what was seen and how to mend it; what is not known, or does not apply, is skipped.

    A case is named by the check's id, which never changes, and belongs to the server's name.
    """
    titles = {clean(check["id"]): clean(check["title"]) for check in (*document["checks"], *(document.get("client_checks") or []))}
    # Without a time zone, as the schemas that tools check against want it. It is UTC.
    made = clean(document["created"]).removesuffix("Z")
    root = ET.Element("testsuites", name="WSUS security audit")
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for server in (*document["servers"], *(document.get("clients") or [])):
        numbers = dict.fromkeys(totals, 0)
        name = clean(server["name"]) or "(no name)"
        suite = ET.SubElement(root, "testsuite", name=name, hostname=clean(server.get("fqdn")) or name, timestamp=made, time="0")
        for finding in server["findings"]:
            numbers["tests"] += 1
            result = finding["result"]
            check = clean(finding["check"])
            case = ET.SubElement(suite, "testcase", classname=name, name=check, time="0")
            if result == "fail":
                numbers["failures"] += 1
                _failure(case, finding, titles.get(check, check))
            elif result != "pass":
                numbers["skipped"] += 1
                why = clean(finding.get("reason")) or "no reason given"
                ET.SubElement(case, "skipped", message=why if result == "not_applicable" else f"not known: {why}")
        for key, number in numbers.items():
            suite.set(key, str(number))
            totals[key] += number
    for key, number in totals.items():
        root.set(key, str(number))
    root.set("time", "0")
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _failure(case: ET.Element, finding: Mapping[str, Any], title: str) -> None:
    seen = clean(finding.get("seen"))
    lines = {
        "Failed": title,
        "Severity": clean(finding["severity"]),
        "Seen": seen,
        "To do": clean(finding.get("mend")),
        "The server says": clean(finding.get("server_says")),
        "The network says": clean(finding.get("network_says")),
        "They disagree": clean(finding.get("disagreement")),
    }
    failure = ET.SubElement(case, "failure", message=f"NOT {title}: {seen}", type=clean(finding["severity"]))
    failure.text = "\n".join(f"{key}: {text}" for key, text in lines.items() if text)
