# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A callback for the tests: every result as a line of JSON in the file that RESULTS_FILE names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: results
type: aggregate
short_description: Results as JSON lines
description:
  - For the tests of the collection. C(started) and C(ended) are seconds since the epoch, C(options) the names of what the task gives its module.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "results"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._started = {}

    def v2_runner_on_start(self, host, task):
        self._started[task._uuid, host.get_name()] = time.time()

    def _write(self, status, result):
        task = getattr(result, "task", None) or result._task
        host = getattr(result, "host", None) or result._host
        value = getattr(result, "result", None) or result._result
        line = {"status": status, "task": task.get_name(), "action": task.action, "host": host.get_name(), "result": value}
        line |= {"started": self._started.get((task._uuid, host.get_name())), "ended": time.time()}
        line |= {"check_mode": bool(task.check_mode), "options": sorted(task.args)}
        with Path(os.environ["RESULTS_FILE"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")

    def v2_runner_on_ok(self, result):
        self._write("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result):
        self._write("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._write("skipped", result)

    def v2_runner_item_on_ok(self, result):
        self._write("item", result)

    def v2_runner_item_on_failed(self, result):
        self._write("item failed", result)
