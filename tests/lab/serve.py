# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`python -m tests.lab serve FLEET`: keep a fleet up until it is interrupted, with an inventory for it."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from .fleet import FleetError
from .lab import Lab, LabError


def main(arguments: Sequence[str]) -> int:
    """Serve a fleet; the exit code: 0 after an interrupt, 2 where the fleet cannot be brought up."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab serve", description="Keep a fleet up until Ctrl-C.")
    parser.add_argument("fleet", type=Path, help="the fleet file (tests/lab/fleets has some)")
    parser.add_argument("--folder", type=Path, help="where the inventory and the CA's certificate go (default: a temporary folder)")
    parser.add_argument("--network", default="127.0.1.0/24", help="the servers' loopback addresses (default: %(default)s)")
    parser.add_argument("--log", type=Path, help="a file that gets one line of JSON for every trip")
    parser.add_argument("--ready-file", type=Path, help="a file that is written once everything listens")
    given = parser.parse_args(arguments)
    if given.folder is not None:
        return _serve(given, given.folder)
    with tempfile.TemporaryDirectory(prefix="wsus-lab-") as folder:
        return _serve(given, Path(folder))


def _serve(given: argparse.Namespace, folder: Path) -> int:
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_rest: interrupted.set())
    try:
        with Lab(given.fleet, folder=folder, network=given.network, log=given.log) as lab:
            print(f"{len(lab.fleet.members)} machines are up. Inventory: {lab.inventory.resolve()}")
            print("To try it, from another terminal, in the clone:")
            command = f"ansible-playbook -i {lab.inventory.resolve()} securepatch.wsus.rollout --check"
            print(f"  ANSIBLE_COLLECTIONS_PATH=.cache/collections .venv/bin/{command}", flush=True)
            if given.ready_file is not None:
                given.ready_file.write_text(f"{lab.inventory.resolve()}\n", encoding="utf-8")
            interrupted.wait()
    except (FleetError, LabError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0
