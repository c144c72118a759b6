# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the documentation says of the audit's checks is what they are."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit import CHECKS, SCHEMA, VERSION
from ansible_collections.securepatch.wsus.plugins.plugin_utils.audit_clients import CLIENT_CHECKS

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_every_check_is_documented_as_it_is_and_no_other() -> None:
    form = r"^\| `(\w+)` \| (.+?) \| (.+?) \| (high|medium|low) \|$"
    rows = [tuple(cell.strip() for cell in match.groups()) for match in re.finditer(form, PAGE, re.MULTILINE)]
    assert rows == [(rule.id, rule.title, rule.source, rule.severity) for rule in (*CHECKS.values(), *CLIENT_CHECKS.values())]


def test_the_version_of_the_document_is_said() -> None:
    assert f"Schema `{SCHEMA}`, version {VERSION}." in PAGE
