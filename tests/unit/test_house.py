# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "tools" / "requirements"

HEADER = """\
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
PLACES_OF_ONE_MACHINE = re.compile(
    r"(?<![\w.*])/(?:home|opt|root|work|Users)/\w"
    r"|pypi\.org|pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org"
)


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def files(pattern: str = "*") -> list[Path]:
    """Tracked files, and those about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [ROOT / name for name in names if (ROOT / name).is_file()]
    assert found, f"no file matches {pattern}"
    return found


def modules() -> list[str]:
    return sorted(path.stem for path in files("plugins/modules/*.py"))


def pins(name: str) -> dict[str, str]:
    """The versions in a lock that are for the Pythons of `make test`."""
    found = re.findall(r"^([\w.-]+)==(\S+)(?: ; (.*?))? \\$", (LOCKS / name).read_text(), re.MULTILINE)
    newest = {"python_version": "3.13", "python_full_version": "3.13.0"}
    return {name: version for name, version, when in found if not when or Marker(when).evaluate(newest)}


def test_environment_of_the_tests_holds_that_of_the_demo() -> None:
    demo = pins("demo.txt")
    assert demo
    assert demo.items() <= pins("test.txt").items()


def test_locks_name_no_index() -> None:
    for lock in files("tools/requirements/*.txt"):
        lines = lock.read_text().splitlines()
        assert not [line for line in lines if "://" in line or line.startswith("-")], lock.name
    packages = load("tools/requirements/npm/package-lock.json")["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package or "://" in str(package)]
    assert [name for name, package in packages.items() if "integrity" not in package] == [""]  # the folder itself


def test_no_file_knows_one_machine() -> None:
    found = []
    for path in files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in PLACES_OF_ONE_MACHINE.finditer(text)]
    assert not found


def test_python_files_carry_the_header() -> None:
    wrong = []
    for path in files("*.py"):
        shebang = "#!/usr/bin/python\n" if path.parent == ROOT / "plugins" / "modules" else ""
        text = path.read_text()
        if not text and path.name == "__init__.py":
            continue
        if not (text.startswith(shebang + HEADER) and "\nfrom __future__ import annotations\n" in text):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong


ASKS_NO_CLOUD = {"runpod_ecr_result"}  # so no option of a connection is to be set for it
FLOORS = {"_core": 1, "_oci": 2, "_aws": 2, "_pull_user": 3, "_ecr": 3, "_runpod": 3, "_sink": 4, "_workload": 5}


def imported_packages(path: Path) -> set[str]:
    """The packages of module_utils, but its own, from which a file of one of them imports."""
    tree = ast.parse(path.read_text())
    sources = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 2]
    return {(node.module or node.names[0].name).split(".")[0] for node in sources}


def test_imports_of_module_utils_go_down_only() -> None:
    folder = ROOT / "plugins" / "module_utils"
    assert {path.name for path in folder.iterdir() if path.name != "__pycache__"} == FLOORS.keys()
    upwards = [
        f"{path.relative_to(folder)} imports {package}"
        for path in files("plugins/module_utils/*.py")
        for package in imported_packages(path)
        if FLOORS[package] >= FLOORS[path.parent.name]
    ]
    assert not upwards


def test_the_picture_of_the_floors_is_true() -> None:
    drawn = re.findall(
        r"^  (\d|  )  (_\w+) ", (ROOT / "CONTRIBUTING.md").read_text().replace("     _", "      _"), re.M
    )
    floors: dict[str, int] = {}
    for number, package in drawn:
        floors[package] = int(number) if number.strip() else list(floors.values())[-1]
    assert floors == FLOORS


def test_packages_of_module_utils_bring_nothing_along() -> None:
    """What an __init__.py imports is shipped to every module that uses a file beside it."""
    found = files("plugins/module_utils/**/__init__.py")
    assert {path.parent.name for path in found} == FLOORS.keys()
    assert not [path for path in found if path.read_text()]


def test_filters_do_not_load_boto3() -> None:
    """Ansible loads every filter of a collection anew for each task that uses one of them."""
    names = [path.stem for path in (ROOT / "plugins" / "filter").glob("*.py")]
    lines = [f"import ansible_collections.gpuops.runpod.plugins.filter.{name}" for name in names]
    lines += ["import sys", "print(*sorted({'boto3', 'botocore'} & sys.modules.keys()))"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "playbooks" / "collections")}
    command = [sys.executable, "-c", "\n".join(lines)]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "\n"


def test_action_groups_name_the_modules_and_nothing_else() -> None:
    groups = load("meta/runtime.yml")["action_groups"].values()
    named = {entry for group in groups for entry in group if isinstance(entry, str)}
    assert sorted(named | ASKS_NO_CLOUD) == modules()


def test_modules_of_aws_that_the_role_runs_take_its_defaults() -> None:
    groups = load("meta/runtime.yml")["action_groups"]
    tasks = "".join(path.read_text() for path in (ROOT / "roles").glob("*/tasks/**/*.yml"))
    run = set(re.findall(r"gpuops\.runpod\.(\w+):", tasks))
    assert set(groups["runpod_ecr_aws"]) == run & set(groups["aws"][1:])


def test_no_option_bears_the_name_of_one_of_amazon_aws() -> None:
    standard = resources.files("ansible_collections.amazon.aws").joinpath("plugins", "doc_fragments")
    reserved = set()
    for name in ("common", "region"):
        documented = yaml.safe_load(
            re.findall(r'MODULES = r"""(.*?)"""', standard.joinpath(f"{name}.py").read_text(), re.S)[0]
        )
        for option, said in documented["options"].items():
            reserved |= {option, *said.get("aliases", [])}
    assert {"access_key", "region"} <= reserved
    reserved.remove("validate_certs")  # means the same for RunPod, and runpod_ecr_credential has it once
    for name in load("meta/runtime.yml")["action_groups"]["aws"]:
        if isinstance(name, str):
            source = (ROOT / "plugins" / "modules" / f"{name}.py").read_text()
            page = yaml.safe_load(re.findall(r'^DOCUMENTATION = r"""(.*?)"""', source, re.S | re.M)[0])
            assert not reserved & page.get("options", {}).keys(), name
    for fragment in (ROOT / "plugins" / "doc_fragments").glob("*.py"):
        for block in re.findall(r'= r"""(.*?)"""', fragment.read_text(), re.S):
            assert not reserved & yaml.safe_load(block)["options"].keys(), fragment.name


def test_modules_have_their_test_file() -> None:
    tests = ROOT / "tests" / "unit" / "plugins" / "modules"
    assert not [name for name in modules() if not (tests / f"test_{name}.py").exists()]


def test_playbooks_find_the_collection_beside_them() -> None:
    link = ROOT / "playbooks" / "collections" / "ansible_collections" / "gpuops" / "runpod"
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT


def test_defaults_of_the_role_are_the_optional_variables_of_its_spec() -> None:
    options = load("roles/runpod_ecr/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    optional = {name for name, option in options.items() if not option.get("required")}
    assert set(load("roles/runpod_ecr/defaults/main.yml")) == optional


@pytest.mark.parametrize("value", [7, 1.5, True, [7], [None]])
def test_ansible_core_refuses_what_is_no_dictionary_by_its_name(value: object) -> None:
    """It stumbles over such a value for a dictionary whose own options are specified."""
    for entry, spec in load("roles/runpod_ecr/meta/argument_specs.yml")["argument_specs"].items():
        for name, option in spec["options"].items():
            if option["type"] != "dict":
                continue
            found = ArgumentSpecValidator({name: option}).validate({name: value}).error_messages
            assert name in " ".join(found), f"{entry}: {name}"


def test_role_leaves_the_module_defaults_of_its_caller_alone() -> None:
    """Defaults of one group do not add up: the innermost replace the others, even when they are empty."""
    tasks = "".join(path.read_text() for path in files("roles/runpod_ecr/tasks/*.yml"))
    assert set(re.findall(r"group/([\w.]+)", tasks)) == {"gpuops.runpod.runpod_ecr_aws", "gpuops.runpod.runpod_ecr_api"}


LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
HOLDERS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PAGES = {"DOCUMENTATION", "EXAMPLES", "RETURN"}


def extent(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def docstrings(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        if isinstance(node, HOLDERS) and ast.get_docstring(node) is not None:
            yield node.body[0]


def words_and_code_lines(source: str) -> tuple[int, int]:
    """Documentation pages, the licence lines and a shebang are neither."""
    tree = ast.parse(source)
    texts = list(docstrings(tree))
    pages = [node for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in PAGES]
    words = sum(len(ast.literal_eval(ast.unparse(text)).split()) for text in texts)
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if f"{token.string}\n" not in HEADER and not token.string.startswith("#!"):
                words += len(token.string.lstrip("#").split())
        elif token.type not in LAYOUT:
            code |= set(range(token.start[0], token.end[0] + 1))
    return words, len(code.difference(*map(extent, [*texts, *pages])))


@pytest.mark.parametrize(
    "source, counted",
    [
        (HEADER, (0, 0)),
        ("#!/usr/bin/python\n" + HEADER + "# two words\n\nx = 1  # three words more\n", (5, 1)),
        ('def f():\n    """One.\n\n    Two three.\n    """\n    return """a\nb"""\n', (3, 3)),
        ('DOCUMENTATION = r"""\nmodule: x\n"""\nclass A:\n    """Four."""\n', (1, 1)),
    ],
)
def test_measure_counts_words_beside_code(source: str, counted: tuple[int, int]) -> None:
    assert words_and_code_lines(source) == counted


@pytest.mark.parametrize("tree", ["plugins/module_utils", "plugins/modules"])
def test_comments_and_docstrings_have_a_word_for_each_code_line_at_most(tree: str) -> None:
    counts = [words_and_code_lines(path.read_text()) for path in files(f"{tree}/*.py")]
    words, lines = map(sum, zip(*counts, strict=True))
    assert words <= lines


STAGE_WORDS = {
    ast.ClassDef: """
    Place Picture Held Done Found Seen Asked Move Rights Shown Goal Row Sign Report Outcome Pending Freshness View Sight
    Puller Refused Teller Meter Trail Kept RunpodError
    """,
    ast.FunctionDef: """
    look tidy note patiently foresee told shown faults wanted changes delta one_by_name summed_up hopeless prove mint
    take settle held
    """,
    ast.Name: "until patience held doomed said told shown note",
    ast.Constant: "way",  # a variable of the role, without its prefix
    ast.Module: """
    chain problems verdicts hand_over attach events entry create pull pace image suspects grant tokens oci
    """,
}


def defined(tree: ast.Module) -> Iterator[tuple[type[ast.AST], str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield ast.ClassDef, node.name
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.FunctionDef, node.name
        elif isinstance(node, ast.arg):
            yield ast.Name, node.arg.lower()
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield ast.Name, node.id.lower()
        elif isinstance(node, ast.alias) and node.asname:
            yield ast.Module, node.asname


def is_of_the_stage(kind: type[ast.AST], name: str) -> bool:
    return name.strip("_") in STAGE_WORDS[kind].split()


@pytest.mark.parametrize(
    "source",
    [
        "class Place: ...",
        "async def _told(): ...",
        "UNTIL = 1",
        "def f(held): ...",
        "from . import policies as _attach",
    ],
)
def test_words_of_the_stage_are_noticed(source: str) -> None:
    assert [name for kind, name in defined(ast.parse(source)) if is_of_the_stage(kind, name)]


def test_names_are_the_terms_of_the_field() -> None:
    """A reader who knows AWS, Ansible and OCI need not translate."""
    names = [
        (path, kind, name)
        for path in files("plugins/*.py")
        for kind, name in [*defined(ast.parse(path.read_text())), (ast.Module, path.stem)]
    ]
    for path in files("roles/*.yml"):
        names += [(path, ast.Constant, name) for name in re.findall(r"\b__runpod_ecr_(\w+)", path.read_text())]
    assert not [f"{path.relative_to(ROOT)}: {name}" for path, kind, name in names if is_of_the_stage(kind, name)]
