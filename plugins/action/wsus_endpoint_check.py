# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.certificates import CryptographyMissing
from ..plugin_utils.endpoint import CheckError, check_server


class ActionModule(ActionBase):
    """Looks from the controller; the connection to the host of the task is never used."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    ARGUMENTS = {
        "name": {"type": "str", "required": True},
        "https_port": {"type": "int", "default": 8531},
        "http_port": {"type": "int", "default": 8530},
        "address": {"type": "str"},
        "ca_file": {"type": "path"},
        "tls_required": {"type": "bool"},
        "content_on_microsoft_update": {"type": "bool", "default": False},
        "min_days_valid": {"type": "int", "default": 0},
        "thumbprint": {"type": "str"},
        "timeout": {"type": "float", "default": 10},
        "cold_seconds": {"type": "float", "default": 60},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        host = (task_vars or {}).get("inventory_hostname", "localhost")
        _validation, arguments = self.validate_argument_spec(self.ARGUMENTS)
        ca_file = arguments["ca_file"]
        try:
            checks = check_server(
                arguments["name"],
                https_port=arguments["https_port"],
                http_port=arguments["http_port"],
                address=arguments["address"],
                # A relative path is relative to the playbook, as everywhere in Ansible.
                ca_file=self._loader.path_dwim(ca_file) if ca_file else None,
                tls_required=arguments["tls_required"],
                content_on_microsoft_update=arguments["content_on_microsoft_update"],
                min_days=arguments["min_days_valid"],
                thumbprint=arguments["thumbprint"],
                timeout=arguments["timeout"],
                cold_seconds=arguments["cold_seconds"],
            )
        except (CheckError, CryptographyMissing) as error:
            raise AnsibleActionFail(f"{host} could not be checked from the controller: {error}") from error
        failed = [check for check in checks if check.status == "failed"]
        result.update(changed=False, ok=not failed, checks=[asdict(check) for check in checks])
        if failed:
            told = "; ".join(f"{check.title}: {check.detail}" for check in failed)
            result.update(failed=True, msg=f"{host} did not pass the check from the controller: {told}")
        return result
