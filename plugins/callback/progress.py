# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: notification
short_description: Say how far a rollout, a renewal, an audit or the move of the clients is
version_added: 0.1.0
description:
  - Prints a plain line when a wave (or a ring of clients) begins, when a machine is done or has failed, and at the end, each with the time since
    the start.
  - It prints beside what Ansible prints, and nothing for playbooks that are not of this collection.
requirements:
  - Enable it with C(ANSIBLE_CALLBACKS_ENABLED=securepatch.wsus.progress), or C(callbacks_enabled) in C(ansible.cfg).
author:
  - securepatch.wsus contributors (@securepatch)
"""

# Ansible wants the documentation above all imports.
import time  # noqa: E402
from typing import Any  # noqa: E402

from ansible.plugins.callback import CallbackBase  # noqa: E402


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """What the playbooks note of each machine (a plan, an outcome, an audit) is what is told."""

    PLANS = {"wsus_plan": "wave", "wsus_ring_plan": "ring"}
    OUTCOMES = ("wsus_outcome", "wsus_ring_outcome")

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "securepatch.wsus.progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Any = None, options: Any = None) -> None:
        super().__init__(display=display, options=options)
        self._began = time.monotonic()
        self._waves: list[list[str]] = []
        self._called = "wave"
        self._told_waves: set[int] = set()
        self._in_a_wave = self._in_an_audit = False
        self._running: set[str] = set()
        self._done: set[str] = set()
        self._failed: set[str] = set()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Called when a play begins, for each of its batches anew."""
        self._in_a_wave, self._in_an_audit = play.get_name() in ("Wave", "Ring"), play.get_name() == "Audit"

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Called when a task begins on a host: the first one of a wave's tells that the wave has begun."""
        name = host.get_name()
        if not self._in_a_wave:
            return
        for number, wave in enumerate(self._waves, start=1):
            if name in wave and name not in self._done | self._failed:
                self._running.add(name)
                if number not in self._told_waves:
                    self._told_waves.add(number)
                    self._say(f"{self._called} {number} of {len(self._waves)} begins: {', '.join(wave)}")

    def v2_runner_on_ok(self, result: Any) -> None:
        """Called when a task has ended well: the playbooks' own notes are such results."""
        found = result._result
        facts = found.get("ansible_facts") or {}
        for name, called in self.PLANS.items():
            if isinstance(facts.get(name), dict):
                self._waves, self._called = [list(wave) for wave in facts[name].get("waves") or []], called
        outcome = next((facts[name] for name in self.OUTCOMES if isinstance(facts.get(name), dict)), None)
        if outcome is not None:
            self._ended(result._host.get_name(), outcome)
        elif self._in_an_audit and isinstance(found.get("audit"), dict) and "findings" in found["audit"]:
            failed = sum(each.get("result") == "fail" for each in found["audit"]["findings"])
            self._done.add(result._host.get_name())
            self._say(f"{result._host.get_name()} audited, {failed} checks failed ({len(self._done)} audited)")

    def _ended(self, name: str, outcome: dict[str, Any]) -> None:
        self._running.discard(name)
        (self._done if outcome.get("ok") else self._failed).add(name)
        what = "done" if outcome.get("ok") else f"FAILED in '{outcome.get('task')}'"
        everyone = sum(map(len, self._waves))
        self._say(f"{name} {what} ({self._counts(everyone)})")

    def _counts(self, everyone: int) -> str:
        waiting = max(0, everyone - len(self._done) - len(self._failed) - len(self._running))
        return f"{len(self._done)} done, {len(self._running)} running, {len(self._failed)} failed, {waiting} waiting"

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Called at the end."""
        if self._waves:
            self._say(f"the end: {self._counts(sum(map(len, self._waves)))}")

    def _say(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        self._display.display(f"[{minutes:02}:{seconds:02}] {text}")
