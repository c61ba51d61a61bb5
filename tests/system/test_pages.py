# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of the README and the site is one that works.

Playbooks are run as they are called: their options by Ansible's own parser, the role's tasks in this process. Modules
are run, and commands of AWS held against its model. What would install something, or needs AWX, is only known by name.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI

from tests.sandbox import breakages

from .conftest import IMAGE, ROOT, USER, House
from .test_audit import carry_out

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
NOT_HERE = ("pip", "python3", "ansible-galaxy", "ansible-builder", "podman", "git", "terraform", "export", "cd", ".")
LOOPS = ("filled=", "for ", "done", "sed ")  # lines of docs/rights.md, which tests/unit/rights runs as a whole
SHARED = {"runpod_ecr_image": IMAGE}


class Line(NamedTuple):
    page: str
    words: list[str]


def lines() -> Iterator[Line]:
    """Yield each command once, with the page that has it first."""
    seen = set()
    for page in PAGES:
        for block in BLOCK.findall(page.read_text()):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                text = line.strip().replace("$IMAGE", IMAGE)
                if text and not text.startswith("#") and not text.startswith(LOOPS) and text not in seen:
                    seen.add(text)
                    yield Line(page.name, shlex.split(text, comments=True))


COMMANDS = list(lines())


def called(name: str) -> list[Line]:
    return [line for line in COMMANDS if line.words[0] == name]


def variables(words: list[str]) -> dict[str, Any]:
    """Return the extra variables of a call, as Ansible's own parser understands its options."""
    command = PlaybookCLI(words)
    command.init_parser()
    options = command.parser.parse_args(words[1:])
    found: dict[str, Any] = {}
    for given in options.extra_vars or []:
        if given.startswith("@"):
            found |= SHARED
        elif given.startswith("{"):
            found |= json.loads(given)
        else:
            found |= dict(part.split("=", 1) for part in shlex.split(given))
    return {"check": options.check, **found}


def entry_of(playbook: str) -> str:
    name = playbook.removeprefix("gpuops.runpod.").removeprefix("playbooks/").removesuffix(".yml")
    assert (ROOT / "playbooks" / f"{name}.yml").is_file(), playbook
    return {"runpod_ecr": "main"}.get(name, name)


RUNS = [line for line in called("ansible-playbook") if "-i" not in line.words]


def converted(value: Any) -> Any:
    """Return an extra variable as the role's argument spec converts it."""
    if not isinstance(value, str):
        return value
    return {"true": True, "false": False}.get(value, int(value) if value.isdigit() else value)


@pytest.mark.parametrize("line", RUNS, ids=lambda line: f"{line.page}: {' '.join(line.words[1:])}"[-60:])
def test_playbooks_run_as_they_are_called(house: House, line: Line) -> None:
    playbook = next(word for word in line.words[1:] if re.match(r"gpuops\.|playbooks/", word))
    given = variables(line.words)
    entry, check = entry_of(playbook), given.pop("check")
    options = {name.removeprefix("runpod_ecr_"): converted(value) for name, value in given.items()}
    if entry == "awx":
        return  # tests/system/test_awx.py
    if entry == "audit":  # which only Ansible itself plays: tests/system/test_audit.py runs it with these options
        known = yaml.safe_load((ROOT / "roles/runpod_ecr/meta/argument_specs.yml").read_text())["argument_specs"][
            "audit"
        ]
        assert given.keys() <= known["options"].keys()
        return
    if "user_name" not in options:  # of a user beside the one that there is
        house.arrange()
    if options.get("release_quarantine"):
        house.arrange(access="quarantined")
    played = house.role(entry, check=check, **options)
    assert not played.failure, played.failure


def test_there_are_commands_on_the_pages() -> None:
    assert len(RUNS) > 20 and called("ansible") and called("aws") and called("make")


@pytest.mark.parametrize("line", called("ansible"), ids=lambda line: line.words[3])
def test_modules_run_as_they_are_called(house: House, line: Line) -> None:
    house.arrange()
    carry_out(house, shlex.join(line.words))


@pytest.mark.parametrize("line", called("aws"), ids=lambda line: " ".join(line.words[1:3]))
def test_commands_of_AWS_have_what_their_operation_needs(line: Line) -> None:
    service, operation, rest = line.words[1], line.words[2], line.words[3:]
    model = botocore.session.get_session().get_service_model(service)
    name = next(one for one in model.operation_names if one.lower() == operation.replace("-", ""))
    shape = model.operation_model(name).input_shape
    given = {"".join(map(str.capitalize, word[2:].split("-"))) for word in rest if word.startswith("--")}
    assert set(shape.required_members) <= given <= set(shape.members) | {"Region"}


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.words[1] for line in called("make")} <= targets


def test_breakages_exist() -> None:
    assert {word for line in called("sandbox-break") for word in line.words[1:]} <= breakages.BREAKAGES.keys()


def test_no_other_command_is_on_the_pages() -> None:
    run = {"ansible-playbook", "ansible", "aws", "make", "sandbox-break", "sandbox-show"}
    assert {line.words[0] for line in COMMANDS} - run - set(NOT_HERE) == set()


def test_the_playground_does_what_its_page_says(house: House) -> None:
    """Each kind of breakage breaks something, and a plain run mends it, or says which command does."""
    by_hand = {"key": "aws iam update-access-key", "image": "Push it"}
    for name in breakages.BREAKAGES:
        house.sandbox.reset()
        house.arrange()
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in house.environment().items():
                patch.setenv(variable, value)
            assert breakages.main([name]) == 0
        before = house.role(check=True)
        if name in by_hand:
            assert by_hand[name] in before.failure
            continue
        assert not before.failure and before.plan["needed"], (name, before.failure)
        assert not house.role().failure, name
        assert not house.role(check=True).plan["needed"], name
    assert USER in house.users()


def test_an_unknown_breakage_lists_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert breakages.main(["nothing"]) == 2
    assert "sandbox-break policy" in capsys.readouterr().err
    assert breakages.main([]) == 0


# Links


def test_links_between_pages_and_into_the_repository_lead_somewhere() -> None:
    broken = []
    for page in [*PAGES, ROOT / "roles" / "runpod_ecr" / "README.md", *(ROOT / "examples").glob("*/README.md")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, dummy, anchor = target.partition("#")
            ours = re.fullmatch(r"https://github\.com/gpuops/gpuops\.runpod/(?:blob|tree)/main/(.*)", path)
            file = ROOT / ours[1] if ours else page.parent / path
            lost = (ours or not path.startswith("http")) and path and not made(file)
            astray = anchor and file.suffix == ".md" and file.is_file() and anchor not in anchors(file)
            if lost or astray:
                broken.append(f"{page.name}: {target}")
    assert not broken


def made(file: Path) -> bool:
    return file.exists() or file.name == "findings.md"  # which tools/docsite.py makes


def anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_page_is_in_a_menu_of_the_site() -> None:
    listed = set(re.findall(r"^([a-z-]+)$", (DOCS / "index.md").read_text(), re.MULTILINE))
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= listed
