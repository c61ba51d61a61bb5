# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renews the hash locks of the matrix and of the gates: python -m tools.locks [--upgrade]"""

from __future__ import annotations

import subprocess
import sys

from tools.environments import BIN, ROOT
from tools.matrix import LINES

LOCKS = ROOT / "tools" / "requirements"
COMPILE = ["--quiet", "--no-config", "--universal", "--generate-hashes", "--no-header", "--no-emit-index-url"]
OF_MAKE_TEST = "3.12"


def renew(name: str, python: str, *arguments: str) -> None:
    command = [str(BIN / "uv"), "pip", "compile", *COMPILE, "--no-emit-find-links", f"--python-version={python}"]
    folder, file = (LOCKS / name).parent, (LOCKS / name).name
    subprocess.run([*command, *arguments, f"{file}.in", "--output-file", f"{file}.txt"], cwd=folder, check=True)


def main(arguments: list[str]) -> None:
    for core, pythons in LINES.items():
        renew(f"matrix/{core}", pythons[0], *arguments)
        renew(f"matrix/{core}-tests", pythons[0], *arguments)
        renew(f"matrix/{core}-collections", "3.13", "--no-deps", *arguments)
    for name in ("importer", "reuse", "sbom", "site"):
        renew(name, OF_MAKE_TEST, *arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
