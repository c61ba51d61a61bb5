# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the site is made of besides its pages: the list of findings, and the search for links that lead nowhere."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import yaml

from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import diagnosis
from ansible_collections.gpuops.runpod.plugins.module_utils._workload import findings
from tools import docsite

ROOT = Path(__file__).resolve().parents[2]


def test_every_finding_is_on_its_page() -> None:
    page = docsite.findings_page()
    assert all(f"| `{code}` |" in page for code in findings.RULES)
    assert all(f"| `{rule.code}` |" in page for rule in diagnosis.TABLE)


def test_what_Markdown_would_interpret_stays_a_text() -> None:
    assert docsite.cell("a | b_c <d> {name!q}\ne") == r"a \| b\_c \<d\> {name} e"


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "one.html").write_text(
        '<a href="two.html#there">x</a><a href="two.html#gone">x</a><a href="lost.html">x</a>'
        '<a href="#here">x</a><p id="here"></p><a href="https://example.com/lost">x</a>'
    )
    (tmp_path / "two.html").write_text('<p id="there"></p>')
    with patch.object(docsite, "PAGES", tmp_path):
        assert list(docsite.broken_links()) == ["one.html: two.html#gone", "one.html: lost.html"]


def test_options_that_the_role_s_descriptions_name_are_of_the_same_entry_point() -> None:
    """The site leads to them; what several entry points share names those of all as code."""
    specs = yaml.safe_load((ROOT / "roles/runpod_ecr/meta/argument_specs.yml").read_text())["argument_specs"]
    lost = [
        f"{entry}: {name} names {told}"
        for entry, spec in specs.items()
        for name, option in spec["options"].items()
        for told in re.findall(r"O\(([a-z]\w*)(?:=[^)]*|[.][^)#]*)?\)", str(option["description"]))
        if told not in spec["options"]
    ]
    assert lost == []
