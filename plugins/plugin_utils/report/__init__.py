# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An audit (see C(audit)) for a reader and for a pipeline: one HTML file, and JUnit XML. Pure, but for reading the templates beside this file.

Whatever an audit says came from servers, and may be anything: it is escaped where it is written, and what has no place in a text is made visible.
"""

from __future__ import annotations

from .junit import junit_report
from .page import html_report

__all__ = ["html_report", "junit_report"]
