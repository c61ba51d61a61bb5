# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site: the pages that antsibull-docs makes of the plugins and the role, and those of docs, without a warning.

python -m tools.docsite FOLDER
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import yaml

from tools import artifact, environments
from tools.environments import COLLECTION, ROOT, CheckError

LOCKS = ROOT / "tools" / "requirements"
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
# What the pages refer to beside plugins. The inventory of Ansible's documentation is not to be had everywhere, so that of
# the site holds what is needed of it.
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
CONF = """\
project = "gpuops.runpod"
copyright = "The gpuops.runpod authors"
title = html_title = "gpuops.runpod {version}"
extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext", "myst_parser"]
source_suffix = {{".rst": "restructuredtext", ".md": "markdown"}}
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
html_theme = "sphinx_ansible_theme"
html_use_smartypants = True
html_copy_source = html_show_sphinx = False
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages
intersphinx_mapping = {{"ansible": ("{ansible}", "ansible.inv")}}
default_role = "any"
"""


def inventory(pages: list[str]) -> bytes:
    """Return an inventory of what the pages refer to and do not hold."""
    text = "\n".join(pages)
    plugins = set(re.findall(r":ansplugin:`(?:[^`<]*<)?([\w.]+)#(\w+)>?`", text))
    entries = {f"ansible_collections.{name}_{kind}": plugin_page(name, kind) for name, kind in plugins} | LABELS
    entries = {label: page for label, page in entries.items() if f".. _{label}:" not in text}
    lines = [f"{label} std:label -1 {page} {label}\n" for label, page in sorted(entries.items())]
    head = "# Sphinx inventory version 2\n# Project: Ansible\n# Version: latest\n"
    head += "# The remainder of this file is compressed using zlib.\n"
    return head.encode() + zlib.compress("".join(lines).encode())


def plugin_page(name: str, kind: str) -> str:
    namespace, collection, plugin = name.split(".", 2)
    return f"collections/{namespace}/{collection}/{plugin}_{kind}.html"


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise CheckError(done.stdout)
    return done.stdout


def build(folder: Path) -> str:
    """Build the site in a folder; return what Sphinx warned of."""
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "rst"
    source.mkdir(parents=True)
    python = "{}.{}".format(*sys.version_info)
    log = ROOT / ".build" / "logs" / "docsite.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    made = environments.make(
        ROOT / ".build" / "docsite-env", python, LOCKS / "docsite.txt", LOCKS / "collections.txt", log
    )
    collections = folder / "collections"
    artifact.unpack(artifact.build(folder), collections)
    [packages] = made.parent.glob("lib/python*/site-packages")
    (collections / "ansible_collections" / "amazon").mkdir()
    (collections / "ansible_collections" / "amazon" / "aws").symlink_to((packages / COLLECTION).resolve())
    environment = {
        **os.environ,
        "PATH": f"{made}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
    }
    options = ["--use-current", "--squash-hierarchy", "--fail-on-error", "--dest-dir", str(source)]
    run([str(made / "antsibull-docs"), "collection", *options, "gpuops.runpod"], environment)
    add_pages(source)
    pages = [path.read_text() for path in source.glob("*.rst")]
    (source / "ansible.inv").write_bytes(inventory(pages))
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    (source / "conf.py").write_text(CONF.format(version=version, ansible=ANSIBLE))
    command = [str(made / "python"), "-m", "sphinx", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    return run([*command, str(source), str(folder / "html")], environment)


def add_pages(source: Path) -> None:
    """Put the pages of docs, and the changelog, beside those of the plugins, and before them in the contents."""
    names = []
    for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CHANGELOG.md"]:
        (source / f"guide_{path.name.lower()}").write_text(path.read_text())
        names.append(f"   guide_{path.stem.lower()}\n")
    index = source / "index.rst"
    index.write_text(index.read_text() + "\n.. toctree::\n   :maxdepth: 1\n   :caption: Guides\n\n" + "".join(names))


if __name__ == "__main__":
    try:
        warned = build(Path(sys.argv[1]).resolve())
    except CheckError as error:
        sys.exit(str(error))
    sys.exit(warned or None)
