# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`python -m tests.lab`: compare the engine with recorded cases, or serve a fleet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Run the subcommand of the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="The lab: WSUS servers that are not there.")
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser("replay", help="run recorded cases through the engine and say where it differs")
    replay.add_argument("folder", type=Path, help="every .json below it is a case")
    commands.add_parser("serve", help="serve a fleet over WinRM, HTTP and TLS", add_help=False)
    known, rest = parser.parse_known_args()
    if known.command == "serve":
        from tests.lab.serve import main as serve  # noqa: PLC0415 - only who serves needs what serving needs

        return int(serve(rest) or 0)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    from tests.lab.replay import main as replay_main  # noqa: PLC0415

    return replay_main(known.folder)


if __name__ == "__main__":
    sys.exit(main())
