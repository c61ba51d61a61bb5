# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command and every block of the README and the pages is one that works.

Playbooks are run as they are called: their options by Ansible's own parser, the role's tasks in this process. Modules
are run, and commands of AWS held against its model. NOT_RUN lists what cannot be run here, and why.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.sandbox import breakages
from tools.live.__main__ import parsed

from .conftest import IMAGE, ROOT, USER, House
from .pages import CONTROLLER, DOCS, PAGES, SHELL, Block, Line, blocks, commands, inlines, loaded
from .test_audit import carry_out

SHARED = {"runpod_ecr_image": IMAGE}
COMMANDS = commands()
# How commands begin that are not run here, and why.
NOT_RUN = {
    "export ": "sets a variable for the commands after it",
    "cd ": "goes where the commands after it are run",
    ". ": "enters an environment",
    "python3 -m venv": "makes an environment, as tools/bootstrap does",
    "pip install": "takes from the package index what tests have",
    "ansible-galaxy collection install": "takes from the network; tests/system/test_installed.py installs the artifact",
    "ansible-builder build": "needs a container engine; tests/system/test_execution_environment.py has the definition",
    "podman ": "needs a container engine",
    "git clone": "takes from the network",
    "git push": "publishes",
    "git clean": "removes what tests run from",
    "terraform ": "forgets what Terraform keeps, of which nothing is here",
    "timedatectl ": "sets this machine's clock",
    "aws ecr get-login-password": "is what others' scripts run, and of the AWS CLI alone",
    "skopeo copy": "is what the benchmark compares a mirror with, in bench/mirror.py",
    "ansible-test ": "is run by the sessions of nox",
    "PYTHON=": "makes everything anew; the target is tested as the others are",
    "FAULTS=": "is a part of the command before it",
    "POST /api": "is a request to AWX: tests/system/test_main_job.py",
    "run(params": "is a signature",
    "echo example": "writes a password of the example, which tests/system/test_examples.py gives in a file",
    "ansible-vault edit": "opens an editor",
    "ansible-playbook site.yml": "is run by tests/system/test_examples.py",
    "ansible-playbook -i inventory": "is run by tests/system/test_fleet.py and test_recipes.py",
    "ansible-playbook playbooks/awx.yml": "is run by tests/system/test_awx.py",
    "ansible-playbook gpuops.runpod.awx": "is run by tests/system/test_awx.py",
    ".venv/bin/ansible-playbook tools/release": "is run by tests/system/test_release.py",
}


def text_of(line: Line) -> str:
    return " ".join(line.words)


def why_not(line: Line) -> str:
    return next((why for beginning, why in NOT_RUN.items() if text_of(line).startswith(beginning)), "")


def called(*names: str) -> list[Line]:
    return [line for line in COMMANDS if line.words[0] in names and not why_not(line)]


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


RUNS = [
    *called("ansible-playbook"),
    *(
        Line(line.page, ["ansible-playbook", *line.words])
        for line in COMMANDS
        if line.words[0].startswith("playbooks/")
    ),
]


def converted(value: Any) -> Any:
    """Return an extra variable as the role's argument spec converts it."""
    if not isinstance(value, str):
        return value
    return {"true": True, "false": False}.get(value, int(value) if value.isdigit() else value)


@pytest.mark.parametrize("line", RUNS, ids=str)
def test_playbooks_run_as_they_are_called(house: House, line: Line) -> None:
    playbook = next(word for word in line.words[1:] if re.match(r"gpuops\.|playbooks/", word))
    given = variables(line.words)
    entry, check = entry_of(playbook), given.pop("check")
    options = {name.removeprefix("runpod_ecr_"): converted(value) for name, value in given.items()}
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


def test_sessions_of_nox_exist() -> None:
    listed = subprocess.run(
        [Path(sys.executable).with_name("nox"), "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    sessions = set(re.findall(r"^[*-] (\S+)", listed, re.MULTILINE))
    lines = called("nox", ".venv/bin/nox")
    assert lines and {line.words[1] for line in lines if len(line.words) > 1} == {"-s"}
    assert {line.words[2] for line in lines} <= sessions


def test_files_that_are_run_exist() -> None:
    lines = [line for line in COMMANDS if re.match(r"(\.venv/bin/(pytest|python|ruff)|tools/)", line.words[0])]
    for line in lines:
        tool, paths = line.words[0], [word for word in line.words if "/" in word and not word.startswith(".venv")]
        assert (Path(sys.executable).with_name(Path(tool).name)).exists() or (ROOT / tool).exists(), text_of(line)
        assert all((ROOT / path.partition("::")[0]).exists() for path in paths), text_of(line)


@pytest.mark.parametrize("line", called("grep"), ids=str)
def test_searches_find_something(line: Line) -> None:
    subprocess.run(line.words, cwd=ROOT, capture_output=True, check=True)


@pytest.mark.parametrize("line", called("ansible-doc"), ids=str)
def test_documentation_is_shown(line: Line) -> None:
    words = [word.replace("<module>", "runpod_info") for word in line.words]
    found = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    tool = str(Path(sys.executable).with_name(words[0]))
    done = subprocess.run([tool, *words[1:]], cwd=ROOT, env=found, capture_output=True, text=True, check=True)
    assert words[-1].upper() in done.stdout.upper()


def test_the_live_check_has_the_options_that_are_named() -> None:
    given = {word.partition("=")[2] for line in called("make") for word in line.words if word.startswith("LIVE=")}
    found = [parsed(options.split()) for options in sorted(given)]
    assert [(one.clean, one.patient) for one in found] == [("gpuops-live-0a1b2c3d", False), (None, True)]


def test_pages_of_an_audit_are_named_by_their_whole_path() -> None:
    """Ansible takes a relative one from the folder of the playbook."""
    given = [word for line in RUNS for word in line.words if word.startswith("runpod_ecr_audit_report=")]
    assert given and all(word.partition("=")[2].startswith(("/", "$PWD/")) for word in given)


def test_every_command_is_run_here_or_listed_with_the_reason_why_not() -> None:
    run = {"ansible-playbook", "ansible", "ansible-doc", "aws", "grep", "make", "nox"}
    run |= {"sandbox-break", "sandbox-show", ".venv/bin/nox", ".venv/bin/pytest", ".venv/bin/ruff", ".venv/bin/python"}
    run |= {"tools/bootstrap", "playbooks/rotate.yml"}
    assert [text_of(line) for line in COMMANDS if not why_not(line) and line.words[0] not in run] == []
    unused = [one for one in NOT_RUN if not any(text_of(line).startswith(one) for line in COMMANDS)]
    assert unused == []


def test_options_within_lines_are_some_of_the_commands() -> None:
    known = roles_options()
    for one in inlines():
        if one.kind == "options" and not one.text.startswith("-- "):
            given = variables(["ansible-playbook", "gpuops.runpod.runpod_ecr", *shlex.split(one.text)])
            ours = {name for name in given if name.startswith("runpod_ecr_")} - {"runpod_ecr_preflight_intent"}
            assert ours <= known.keys(), one


# Blocks of variables, plays and output


def roles_options() -> dict[str, Any]:
    specs = yaml.safe_load((ROOT / "roles/runpod_ecr/meta/argument_specs.yml").read_text())["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


YAML = [block for block in blocks() if block.language == "yaml"]
RESULTS = [block for block in YAML if block.page.name == "result.md"]
PLAYS = [block for block in YAML if isinstance(loaded(block)[0], list) and "hosts" in loaded(block)[0][0]]
ELSEWHERE = {  # what blocks of YAML begin with that are no variables
    "# collections/requirements.yml": "tests/system/test_awx.py",
    "# playbooks/runpod_ecr.yml": "tests/system/test_awx.py",
    "- name: Keep a token": "tests/system/test_sinks.py",
    "rules:": "rights in a cluster, which tests/sandbox/kubernetes.py does not judge",
    "---": "a changelog fragment, which antsibull-changelog reads",
}


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    languages = {block.language for block in blocks()}
    assert languages == {*SHELL, "yaml", "", "text", "{toctree}"}
    assert [block.page.name for block in blocks() if block.language in ("", "text")] == ["README.md", "CONTRIBUTING.md"]


@pytest.mark.parametrize("block", YAML, ids=lambda block: f"{block.page.name}: {block.text.split()[0]}")
def test_variables_are_those_that_there_are(block: Block) -> None:
    if block in PLAYS or block in RESULTS or block.text.strip().startswith(tuple(ELSEWHERE)):
        return
    settings = yaml.safe_load((CONTROLLER / "settings.yml").read_text())
    [given] = loaded(block)
    assert given
    nested = given.get("runpod_awx_variables", {})
    role = {name: value for name, value in {**given, **nested}.items() if name.startswith("runpod_ecr_")}
    assert all(name in settings for name in given.keys() - role.keys()), given.keys() - settings.keys()
    validated = ArgumentSpecValidator(roles_options() | {"runpod_ecr_access": {}}).validate(role)
    assert not validated.error_messages


@pytest.mark.parametrize("block", PLAYS, ids=lambda block: block.page.parent.name)
def test_plays_run_as_they_stand(house: House, tmp_path: Path, block: Block) -> None:
    text = re.sub(r"\d{12}\.dkr\.ecr\.\S+", IMAGE, block.text)
    assert text != block.text or IMAGE in block.text
    (tmp_path / "site.yml").write_text(text)
    run = house.play(tmp_path / "site.yml", ANSIBLE_COLLECTIONS_PATH=str(ROOT / "playbooks" / "collections"))
    assert run.code == 0 and [one["image"] for one in house.runpod()["templates"]] == [IMAGE], run.output


def test_the_output_of_the_first_pull_is_what_it_says(house: House) -> None:
    [block] = [one for one in blocks() if not one.language]
    played = house.role()
    said = [*played.plan["changes"], *played.plan["summary"]]
    assert [general(line) for line in said] == [general(line) for line in block.text.splitlines()]


def general(line: str) -> str:
    """Return a line without what differs from run to run: ids and times."""
    return re.sub(r"template \w{8,10};|\d{4}-\d\d-\d\dT[\d:]+Z", "…", line)


@pytest.mark.parametrize("block", RESULTS, ids=["result"])
def test_the_result_has_the_keys_that_are_shown(house: House, block: Block) -> None:
    [shown] = loaded(block)
    found = house.role().result
    assert shown.keys() == found.keys()
    for name in ("workloads", "credentials"):
        assert shown[name][0].keys() == found[name][0].keys()


# The playground


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


def test_every_module_is_on_the_page_of_modules() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", (DOCS / "modules.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named | {"runpod_ecr_result"} == {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
