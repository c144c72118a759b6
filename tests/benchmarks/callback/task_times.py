# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A callback for the benchmarks: when each task began, as a line of JSON in the file that TASK_TIMES_FILE names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: task_times
type: aggregate
short_description: When each task began
description: For the benchmarks of the collection.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, action, name):
        with Path(os.environ["TASK_TIMES_FILE"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"began": time.time(), "action": action, "name": name}) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._write(task.action, task.get_name())

    def v2_playbook_on_play_start(self, play):
        self._write("play", play.get_name())

    def v2_playbook_on_stats(self, stats):
        self._write("stats", "")
