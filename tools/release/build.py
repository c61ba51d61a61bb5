# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release consists of: the artifact, its SBOM, and the checksums of both.

python -m tools.release.build FOLDER
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tools import artifact, sbom


def build(folder: Path) -> list[Path]:
    """Build into a folder; return what is there."""
    archive = artifact.build(folder)
    if unexpected := artifact.unexpected(archive):
        sys.exit(f"not allowed in the artifact: {', '.join(unexpected)}")
    bill = folder / f"{archive.name.removesuffix('.tar.gz')}.cdx.json"
    bill.write_text(sbom.bill(archive))
    sums = folder / "SHA256SUMS"
    made = [archive, bill]
    sums.write_text("".join(f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in made))
    return [*made, sums]


if __name__ == "__main__":
    print("\n".join(map(str, build(Path(sys.argv[1])))))
