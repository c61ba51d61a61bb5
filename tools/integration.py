# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke target by ansible-test, in a tree as it wants it, against the sandbox that this runs in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tools import ansible_test, artifact
from tools.environments import BIN, COLLECTION, ROOT
from tools.sessions import sandbox_config

COLLECTIONS = ROOT / ".build" / "integration-tree"


def main() -> int:
    shutil.rmtree(COLLECTIONS, ignore_errors=True)
    tree = COLLECTIONS / "ansible_collections" / "gpuops" / "runpod"
    artifact.copy_tree(tree)
    (tree / "tests" / "integration" / "integration_config.yml").write_text(sandbox_config(dict(os.environ)))
    ansible_test.make_repository(tree)
    amazon = tree.parent.parent / "amazon"
    amazon.mkdir()
    [packages] = BIN.parent.glob("lib/python*/site-packages")
    (amazon / "aws").symlink_to((packages / COLLECTION).resolve())
    version = "{}.{}".format(*sys.version_info)
    command = [str(BIN / "ansible-test"), "integration", "--local", "--python", version, "--allow-unsupported", "smoke"]
    home = COLLECTIONS / "home"
    ansible_test.make_home(BIN, home)
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout)
    # ansible-test calls it a success when it has skipped everything.
    return done.returncode or int("PLAY RECAP" not in done.stdout)


if __name__ == "__main__":
    sys.exit(main())
