# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The time at which modules run in tests: the one for which the certificates of the machines were issued."""

from __future__ import annotations

import datetime
from types import ModuleType, SimpleNamespace

import pytest

from tests.unit.plugin_utils.machines import NOW


class Clock(datetime.datetime):
    """It always says NOW."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return NOW.astimezone(tz)


def stop_clock(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Have these modules see that time."""
    for module in modules:
        monkeypatch.setattr(module, "datetime", SimpleNamespace(datetime=Clock, UTC=datetime.UTC))
