# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A callback for the benchmarks: when each task began, and how much processor time ansible-playbook and its workers that have ended had
used by then (seconds), as a line of JSON in the file that TASK_TIMES_FILE names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: task_times
type: aggregate
short_description: When each task began
description: For the benchmarks of the collection.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, action: str, name: str) -> None:
        used = os.times()
        processor = used.user + used.system + used.children_user + used.children_system
        with Path(os.environ["TASK_TIMES_FILE"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"began": time.time(), "processor": processor, "action": action, "name": name}) + "\n")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._write(task.action, task.get_name())

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._write("play", play.get_name())

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write("stats", "")
