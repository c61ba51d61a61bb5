# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools of publication decide rightly; what they run is tested by running them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tools import ansible_test, artifact, environments, gates, matrix, sbom

ROOT = Path(__file__).resolve().parents[2]
INFO = {
    "namespace": "gpuops",
    "name": "runpod",
    "version": "1.0.0",
    "description": "d",
    "license": ["GPL-3.0-or-later"],
    "repository": "https://example.com/r",
    "issues": "https://example.com/i",
    "dependencies": {"amazon.aws": ">=10.0.0,<13.0.0"},
}


def packed(files: dict[str, bytes], moment: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid, member.mode = len(data), moment, moment, 0o600
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def built(order: list[str], moment: int) -> bytes:
    listing = {"files": [{"name": name} for name in order], "format": 1}
    manifest = {"collection_info": INFO, "file_manifest_file": {"chksum_sha256": "of another machine"}}
    texts = {
        "FILES.json": json.dumps(listing).encode(),
        "MANIFEST.json": json.dumps(manifest).encode(),
        "requirements.txt": b"# why\nboto3>=1.34.0\n",
        "bindep.txt": b"skopeo [platform:dpkg]\nskopeo [platform:rpm]\n",
    }
    return packed({**texts, **{name: name.encode() for name in order}}, moment)


def test_builds_of_two_machines_are_the_same_once_normalised() -> None:
    one, other = built(["b", "a"], 1), built(["a", "b"], 2)
    assert one != other
    assert artifact.normalised(one, 7) == artifact.normalised(other, 7) != artifact.normalised(one, 8)


def test_the_manifest_vouches_for_the_list_as_it_is_in_the_artifact() -> None:
    with tarfile.open(fileobj=io.BytesIO(artifact.normalised(built(["b", "a"], 1), 7))) as archive:
        contents = {each.name: artifact.content(archive, each) for each in archive.getmembers()}
    assert [each["name"] for each in json.loads(contents["FILES.json"])["files"]] == ["a", "b"]
    vouched = json.loads(contents["MANIFEST.json"])["file_manifest_file"]["chksum_sha256"]
    assert vouched == hashlib.sha256(contents["FILES.json"]).hexdigest()


@pytest.mark.parametrize(
    "name",
    ["tests/unit/test_x.py", "tools/x.py", "changelogs/fragments/.gitkeep", "tests/sanity/ignore-2.21.txt", ".x"],
)
def test_what_is_not_published_on_purpose_is_noticed(name: str) -> None:
    assert not artifact.is_allowed(name)


def test_what_is_published_is_allowed() -> None:
    for name in (
        "README.md",
        "plugins/module_utils/_core/time.py",
        "roles/runpod_ecr/tasks/steps/x.yml",
        "tests/config.yml",
    ):
        assert artifact.is_allowed(name), name


def test_a_bill_of_materials_names_what_is_needed_and_is_always_the_same(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(artifact.normalised(built(["a"], 1), 7))
    bill = json.loads(sbom.bill(archive))
    assert [each["bom-ref"] for each in bill["components"]] == ["ansible:amazon.aws", "pypi:boto3", "deb:skopeo"]
    assert bill["components"][1]["properties"] == [{"name": "gpuops:versions", "value": ">=1.34.0"}]
    assert json.loads(sbom.bill(archive)) == bill


def test_a_shim_without_a_python_behind_it_is_none(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert not environments.is_python(str(shim), "3.12")
    assert not environments.is_python(str(tmp_path / "none"), "3.12")
    assert environments.is_python(sys.executable, "{}.{}".format(*sys.version_info))


def test_the_bootstrap_trusts_no_shim_without_a_python_behind_it(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3.10", "python3", "uv"):
        shim = tmp_path / name
        shim.write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
        shim.chmod(0o755)
    for name in ("sh", "dirname", "env"):
        (tmp_path / name).symlink_to(Path("/bin") / name if (Path("/bin") / name).exists() else Path("/usr/bin") / name)
    environment = {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path), "HOME": str(tmp_path)}
    run = subprocess.run(
        [str(ROOT / "tools" / "bootstrap"), "demo"], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1 and "No Python from 3.10 to 3.13 was found" in run.stderr


def test_the_bootstrap_takes_the_python_that_is_named(tmp_path: Path) -> None:
    named = tmp_path / "mine"
    named.write_text('#!/bin/sh\ncase $1 in -c) exit 0 ;; *) echo "set up by mine: $2" ;; esac\n')
    named.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(named), "HOME": str(tmp_path)}
    command = [str(ROOT / "tools" / "bootstrap"), "demo"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "set up by mine: demo\n"


def test_a_pair_that_is_not_claimed_is_refused() -> None:
    with pytest.raises(environments.CheckError, match=r"no pair 2\.15-3\.9"):
        matrix.chosen(matrix.parse(["2.15-3.9"]))


def test_pairs_are_named_one_by_one_or_by_their_line() -> None:
    assert [pair.name for pair in matrix.chosen(matrix.parse(["2.22", "2.16-3.11"]))] == ["2.16-3.11", "2.22-3.13"]
    assert matrix.chosen(matrix.parse([])) == matrix.PAIRS


def test_the_sample_is_the_lowest_and_the_newest_that_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "interpreter", lambda version: version if version != "3.10" else None)
    assert [pair.name for pair in matrix.chosen(matrix.parse(["--sample"]))] == ["2.16-3.11", "2.22-3.13"]


def test_a_result_takes_the_place_of_an_older_one_of_the_same_versions_only() -> None:
    page = f"before\n{matrix.BEGIN}{matrix.END}after\n"
    lowest = matrix.PAIRS[0]
    passed, failed = matrix.Verdict("", 1.0), matrix.Verdict("ended with 1", 1.0)
    page = matrix.with_results(page, {lowest: {"units": passed, "runs": failed}})
    page = matrix.with_results(page, {lowest: {"runs": passed, "main_job": failed}})
    table = matrix.told(page)
    assert table[tuple(lowest.versions())] == ["passed", "passed", matrix.NOT_RUN]
    assert page.startswith("before\n") and page.endswith("after\n") and len(table) == len(matrix.PAIRS)
    other = page.replace(lowest.versions()[0], "2.16.0")
    assert matrix.told(matrix.with_results(other, {}))[tuple(lowest.versions())] == [matrix.NOT_RUN] * 3


def test_every_pip_that_an_ansible_test_may_ask_for_is_at_hand() -> None:
    assert "25.2" in ansible_test.pips(environments.BIN)


@pytest.mark.parametrize(
    ("code", "output", "found"),
    [
        (0, "fine\n", []),
        (0, "fine\nWARNING: E203\n", ["WARNING: E203"]),
        (1, "broken\n", ["exit code 1", "broken"]),
    ],
)
def test_a_gate_reads_what_its_tool_says(code: int, output: str, found: list[str]) -> None:
    assert gates.problems(code, output, "^WARNING") == found


def test_the_gate_of_sanity_takes_what_is_said_of_the_machine_for_no_fault_of_the_artifact() -> None:
    of_the_machine = [
        "WARNING: Location 'file:///index/simple/pip/' is ignored: it is neither a file nor a directory.",
        "WARNING: Skipping sanity test 'import' on Python 3.9 because it could not be found.",
        'WARNING: Using locale "C.UTF-8" instead of "en_US.UTF-8". Tests which depend on it may behave unexpectedly.',
        "WARNING: Reviewing previous 2 warning(s):",
    ]
    faults = ["WARNING: a target does not exist", "ERROR: a test failed"]
    assert gates.problems(0, "\n".join([*of_the_machine, *faults]), gates.SANITY_LOG) == faults


def test_a_sanity_test_that_looked_at_nothing_does_not_count(tmp_path: Path) -> None:
    report = tmp_path / "python3.10-sanity-import.xml"
    report.write_text("<testsuites><testsuite><testcase><skipped/></testcase></testsuite></testsuites>")
    assert not ansible_test.looked([report], "import") and not ansible_test.has(report, "failure")
    report.write_text("<testsuites><testsuite><testcase/></testsuite></testsuites>")
    assert ansible_test.looked([report], "import")


def test_nothing_of_the_caller_reaches_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    log = environments.ROOT / ".build" / "test-tools.log"
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"")
    command = [sys.executable, "-c", "import os; print(os.environ.get('PYTHONPATH'), os.environ['GIVEN'])"]
    environments.call(log, command, GIVEN="yes")
    assert log.read_text() == "None yes\n"
    with pytest.raises(environments.CheckError, match=r"ended with 3, see \.build"):
        environments.call(log, [sys.executable, "-c", "raise SystemExit(3)"])
    os.unlink(log)
