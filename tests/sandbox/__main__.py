# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.sandbox start|stop|run --state DIR [-- COMMAND…]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import server


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description="Stand in for AWS and RunPod.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("start", "start a sandbox in the background; DIR/env.sh has its variables"),
        ("stop", "end the sandbox of DIR, if there is one"),
        ("serve", "serve in the foreground, as start does in the background"),
        ("run", "run a command with a sandbox that ends with it"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--state", type=Path, required=True, metavar="DIR", help="where the sandbox keeps files")
    commands.choices["run"].add_argument("argv", nargs="+", metavar="COMMAND", help="the command, after --")
    options = parser.parse_args(arguments)
    try:
        if options.command == "run":
            return server.run(options.state, options.argv)
        {"start": server.start, "stop": server.stop, "serve": server.serve}[options.command](options.state)
    except server.SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
