# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Windows' errors as the state documents have them: facts that do not depend on the server's language, but for the message."""

from __future__ import annotations

from typing import Any


class WindowsError(Exception):
    """An error that PowerShell or a tool of the machine would end with.

    MESSAGE as on an English Windows; TYPE the .NET type; HRESULT as an unsigned number; NATIVE Windows' own error number, where there is
    one; ID what a cmdlet gives its errors as (`Id,Cmdlet`).
    """

    def __init__(self, message: str, type_name: str, hresult: int, *, native: int | None = None, error_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.type_name = type_name
        self.hresult = hresult
        self.native = native
        self.error_id = error_id

    def state(self) -> dict[str, Any]:
        """The error as `unreadable`, `failed` and `error` have it."""
        return {
            "message": self.message,
            "id": self.error_id,
            "type": self.type_name,
            "hresult": f"0x{self.hresult & 0xFFFFFFFF:08X}",
            "native": self.native,
        }


def thrown(message: str) -> WindowsError:
    """What PowerShell's `throw "..."` gives."""
    return WindowsError(message, "System.Management.Automation.RuntimeException", 0x80131501)


def no_property(name: str) -> WindowsError:
    """A property of nothing was asked for, in strict mode."""
    message = f"The property '{name}' cannot be found on this object. Verify that the property exists."
    return WindowsError(message, "System.Management.Automation.PropertyNotFoundException", 0x80131501)


def item_missing(path: str) -> WindowsError:
    """A path of a PowerShell drive is not there."""
    message = f"Cannot find path '{path}' because it does not exist."
    return WindowsError(message, "System.Management.Automation.ItemNotFoundException", 0x80131501)


def invalid_operation(message: str) -> WindowsError:
    """.NET's InvalidOperationException."""
    return WindowsError(message, "System.InvalidOperationException", 0x80131509)


def invalid_argument(message: str, *, error_id: str | None = None) -> WindowsError:
    """.NET's ArgumentException."""
    return WindowsError(message, "System.ArgumentException", 0x80070057, error_id=error_id)


def access_denied(cmdlet: str) -> WindowsError:
    """.NET's UnauthorizedAccessException, out of a cmdlet (its class)."""
    message = "Access is denied. (Exception from HRESULT: 0x80070005 (E_ACCESSDENIED))"
    kind = "System.UnauthorizedAccessException"
    return WindowsError(message, kind, 0x80070005, error_id=f"{kind},{cmdlet}")


def command_not_found(cmdlet: str) -> WindowsError:
    """A cmdlet is not installed."""
    message = (
        f"The term '{cmdlet}' is not recognized as the name of a cmdlet, function, script file, or operable program. Check the spelling of the "
        "name, or if a path was included, verify that the path is correct and try again."
    )
    return WindowsError(message, "System.Management.Automation.CommandNotFoundException", 0x80131501, error_id="CommandNotFoundException")


def com_error(message: str, hresult: int) -> WindowsError:
    """.NET's COMException."""
    return WindowsError(message, "System.Runtime.InteropServices.COMException", hresult)


def web_error(message: str) -> WindowsError:
    """.NET's WebException."""
    return WindowsError(message, "System.Net.WebException", 0x80131509)


def null_reference() -> WindowsError:
    """.NET's NullReferenceException: a part of the machine is not there at all."""
    return WindowsError("Object reference not set to an instance of an object.", "System.NullReferenceException", 0x80004003)


def tool_failed(tool: str, argument: str, exit_code: int, output: str) -> WindowsError:
    """A program of the machine ended with another exit code than 0."""
    return thrown(f"{tool} {argument} ended with {exit_code}: {output.strip()}")
