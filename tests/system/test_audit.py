# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator asks at night: why can RunPod not pull this image, and what mends it?

Several things are broken at once, each in a place of its own, and the whole of every chain is looked at: what is not
named is green. Remedies are carried out as they are written.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.images import SAMPLES, Image, build, push

from .conftest import ENDPOINT, IMAGE, REGISTRY, ROOT, SEOUL, USER, House, Run

WORKLOADS = [
    {"image": IMAGE, "template": {"name": "training"}},
    {"image": f"{REGISTRY}/runpod-gpu-inference:v1", "template": {"name": "inference"}},
    {"image": IMAGE.replace(":v1", ":v2"), "template": {"name": "newer"}},
    {"image": SEOUL, "template": {"name": "served"}, "endpoint": ENDPOINT},
]
FLEET = ("-e", json.dumps({"runpod_ecr_workloads": WORKLOADS}))
ALL = ("training", "inference", "newer", "served")


class Audited:
    """What one run of the audit said."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.report = json.loads((folder / "audit.json").read_text())
        self.page = (folder / "audit.html").read_text()

    @property
    def broken(self) -> dict[tuple[str, str], set[str]]:
        """Every link that is not green, as workload and kind, with the codes of what is wrong."""
        codes = {one["number"]: one["code"] for one in self.report["findings"] if one["status"] != "green"}
        return {
            (workload["name"], link["kind"]): {codes[number] for number in link["findings"] if number in codes}
            for workload in self.report["workloads"]
            for link in workload["links"]
            if link["status"] != "green"
        }

    def remedy(self, code: str) -> str:
        return next(one["remedy"] for one in self.report["findings"] if one["code"] == code)


def audit(house: House, folder: Path, *arguments: str) -> Audited:
    """Audit; nothing is ever changed, and nobody writes to either cloud."""
    house.sandbox.forget_calls()
    run = house.play("playbooks/audit.yml", *arguments, "-e", f"runpod_ecr_audit_report={folder / 'audit.html'}")
    assert run.recap["changed"] == 0 == run.recap["ignored"], run.output
    assert set(house.writes()) <= {"cloudtrail:LookupEvents"}  # which reads
    return Audited(run, folder)


def carry_out(house: House, remedy: str, typed: bool = False) -> None:
    """Do what a remedy says: a module, or a command of the AWS CLI through the same API.

    A module runs in this process, unless the remedy is to be typed as it stands.
    """
    command = shlex.split(remedy[min(place for word in ("ansible ", "aws ") if (place := remedy.find(word)) >= 0) :])
    if command[0] == "aws":
        given = zip(command[3::2], command[4::2], strict=True)
        options = {"".join(map(str.capitalize, name[2:].split("-"))): value for name, value in given}
        getattr(house.client(command[1]), command[2].replace("-", "_"))(**options)
        return
    if not typed:
        assert command[:3] == ["ansible", "localhost", "-m"] and command[4] == "-a"
        house.call(command[3].rpartition(".")[2], json.loads(command[5]))
        return
    found = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    done = subprocess.run(
        command, cwd=ROOT, env={**house.environment(), **found}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def at_runpod(house: House, method: str, path: str, body: Any = None) -> None:
    """Do something at RunPod behind the role's back."""
    environment = house.sandbox.environment
    request = Request(
        f"{environment['RUNPOD_API_BASE_URL']}/v2/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {environment['RUNPOD_API_KEY']}", "Content-Type": "application/json"},
        method=method,
    )
    with urlopen(request):
        pass


def held(house: House, kind: str, name: str) -> str:
    """Return the id of a thing at RunPod."""
    return next(each["id"] for each in house.runpod()[kind] if each["name"] == name)


def sample(repository: str) -> Image:
    """Return the first image that the sandbox has in a repository."""
    return build(next(each for each in SAMPLES if each.repository == repository))


def test_each_broken_link_is_told_where_it_is_mended_and_the_remedy_mends_it(house: House, tmp_path: Path) -> None:
    ecr, iam, store = house.client("ecr"), house.client("iam"), house.client("secretsmanager")
    house.arrange(*WORKLOADS)
    converged = audit(house, tmp_path, *FLEET, "--check", "-e", "runpod_ecr_audit_fail_on=amber")
    assert (converged.run.code, converged.broken, converged.report["orphans"]) == (0, {}, []), converged.run.output

    [key] = house.keys()
    ecr.batch_delete_image(repositoryName="runpod-gpu-training", imageIds=[{"imageTag": "v1"}])
    push(ecr, "runpod-gpu-inference", "v1", sample("runpod-arm-only"))
    iam.create_access_key(UserName=USER)
    iam.delete_user_policy(UserName=USER, PolicyName="gpuops-runpod-pull")
    at_runpod(house, "PATCH", f"templates/{held(house, 'templates', 'newer')}", {"registry": None})
    at_runpod(house, "DELETE", f"registries/{held(house, 'registries', f'{USER}-123456789012-ap-northeast-2')}")
    at_runpod(house, "PATCH", f"serverless/{held(house, 'endpoints', 'served')}", {"image": SEOUL.replace("v1", "v0")})

    found = audit(house, tmp_path, *FLEET, "-e", "runpod_ecr_audit_fail_on=red")
    assert found.run.code != 0
    assert found.broken == {
        ("training", "image"): {"tag_not_found"},
        ("inference", "image"): {"platform_missing"},
        ("newer", "template"): {"credential_unlinked"},
        ("served", "credential"): {"credential_missing"},
        ("served", "endpoint"): {"runs_unpullable"},
        **{(name, "user"): {"policy_missing"} for name in ALL},
        **{(name, "key"): {"foreign_key"} for name in ALL},
    }
    assert [one["kind"] for one in found.report["orphans"]] == ["key"]
    for one in found.report["findings"]:
        assert one["status"] == "green" or one["cause"] in found.run.output.replace("\\", ""), one

    for name in ("runpod-gpu-training", "runpod-gpu-inference"):
        push(ecr, name, "v1", sample(name))
    carry_out(house, found.remedy("foreign_key"))
    carry_out(house, found.remedy("credential_unlinked"), typed=True)
    codes = ("credential_missing", "policy_missing", "runs_unpullable")
    assert {found.remedy(code).partition(": ")[2] for code in codes} == {
        "ansible-playbook gpuops.runpod.runpod_ecr -e @VARIABLES.yml"
    }
    mended = house.play("playbooks/runpod_ecr.yml", *FLEET)
    assert mended.code == 0, mended.output

    iam.update_access_key(UserName=USER, AccessKeyId=key, Status="Inactive")
    east = held(house, "registries", f"{USER}-123456789012-us-east-1")
    ended = {"Key": f"gpuops.runpod/{east}", "Value": f"2026-01-01T00:00:00Z {key}"}
    store.tag_resource(SecretId=f"runpod-ecr/{USER}", Tags=[ended])
    late = audit(house, tmp_path, *FLEET)
    assert late.run.code == 0, late.run.output
    assert late.broken == {
        **{(name, "key"): {"secret_key_inactive"} for name in ALL},
        **{(name, "credential"): {"token_expired"} for name in ALL if name != "served"},
    }
    assert late.report["since"] == "2026-01-01T00:00:00Z"

    carry_out(house, late.remedy("secret_key_inactive"))
    carry_out(house, late.remedy("token_expired"))
    last = audit(house, tmp_path, *FLEET, "-e", "runpod_ecr_audit_fail_on=amber")
    assert (last.run.code, last.broken) == (0, {}), last.run.output


def test_a_role_that_the_policy_of_a_repository_lacks_is_told_and_mended(house: House, tmp_path: Path) -> None:
    delegation = ("-e", f"runpod_ecr_image={IMAGE}", "-e", "runpod_ecr_access=delegation")
    house.arrange(access="delegation")
    ecr = house.client("ecr")
    policy = json.loads(ecr.get_repository_policy(repositoryName="runpod-gpu-training")["policyText"])
    policy["Statement"][0]["Condition"]["StringEquals"]["aws:PrincipalArn"].pop()
    ecr.set_repository_policy(repositoryName="runpod-gpu-training", policyText=json.dumps(policy))

    found = audit(house, tmp_path, *delegation)
    assert found.broken == {("runpod-gpu-training", "policy"): {"role_missing"}}
    carry_out(house, found.remedy("role_missing"))
    last = audit(house, tmp_path, *delegation, "-e", "runpod_ecr_audit_fail_on=amber")
    assert last.run.code == 0  # nothing can prove that serverless workers pull by delegation, and nothing is wrong
    assert last.broken == {("runpod-gpu-training", "delegation"): {"unproven_serverless"}}
    assert "it is not proved that RunPod can pull the workload" in last.page
    assert "as it should be" not in last.page + last.run.output


def test_a_public_image_that_is_behind_the_private_one_is_told_and_mended(house: House, tmp_path: Path) -> None:
    public = (
        "-e",
        f"runpod_ecr_image={IMAGE}",
        "-e",
        "runpod_ecr_access=public",
        "-e",
        "runpod_ecr_acknowledge_public=true",
    )
    house.arrange(access="public")
    push(house.client("ecr"), "runpod-gpu-training", "v1", sample("runpod-gpu-inference"))

    found = audit(house, tmp_path, *public)
    assert found.broken == {("runpod-gpu-training", "public_image"): {"mirror_behind"}}
    assert "ansible-playbook gpuops.runpod.runpod_ecr" in found.remedy("mirror_behind")
    house.arrange(access="public")
    last = audit(house, tmp_path, *public, "-e", "runpod_ecr_audit_fail_on=amber")
    assert (last.run.code, last.broken) == (0, {}), last.run.output


def test_what_cannot_be_read_hides_nothing(house: House, tmp_path: Path) -> None:
    caller = ("-e", f"runpod_ecr_image={IMAGE}", "-e", "runpod_ecr_pull_identity=caller")
    house.arrange(access="caller")
    house.sandbox.fail(
        "GET /v2/.*", times=None, answer={"status": 403, "body": {"title": "Forbidden", "detail": "no such scope"}}
    )
    found = audit(house, tmp_path, *caller)
    links = {link for dummy, link in found.broken}
    assert links == {"credential", "template", "endpoint"} - {"endpoint"}
    assert "no such scope" in json.dumps(found.report["findings"]) and "no such scope" in found.page
    house.sandbox.mend()
    assert audit(house, tmp_path, *caller).broken == {}


def test_cloudtrail_tells_since_when_pulls_are_refused(house: House, tmp_path: Path) -> None:
    house.arrange()
    entry = json.loads(house.entry())
    puller = house.sandbox.client("ecr", entry["access_key_id"], entry["secret_access_key"])
    pull = {"repositoryName": "runpod-gpu-training", "imageIds": [{"imageTag": "v1"}]}
    puller.batch_get_image(**pull)
    house.client("iam").delete_user_policy(UserName=USER, PolicyName="gpuops-runpod-pull")
    begun = datetime.now(timezone.utc).replace(microsecond=0)
    for _pull in range(2):
        with pytest.raises(ClientError, match="AccessDenied"):
            puller.batch_get_image(**pull)

    asked = ("-e", f"runpod_ecr_image={IMAGE}", "-e", json.dumps({"runpod_ecr_audit_events": {"hours": 1}}))
    found = audit(house, tmp_path, *asked)
    assert found.broken == {("runpod-gpu-training", "user"): {"policy_missing", "pulls_refused"}}
    [refused] = [one for one in found.report["findings"] if one["code"] == "pulls_refused"]
    assert begun <= datetime.fromisoformat(refused["since"]) <= datetime.now(timezone.utc)
    assert found.report["since"] == refused["since"]
    assert "not authorized to perform: ecr:BatchGetImage" in refused["cause"]
    assert f'since <time datetime="{refused["since"]}">' in found.page


def test_a_report_is_a_file_and_keeps_its_page_when_its_name_is_that_of_the_json(house: House, tmp_path: Path) -> None:
    image = ("-e", f"runpod_ecr_image={IMAGE}")
    for folder in (tmp_path, f"{tmp_path}/new/"):
        house.sandbox.forget_calls()
        refused = house.play("playbooks/audit.yml", *image, "-e", f"runpod_ecr_audit_report={folder}")
        assert refused.code != 0 and "a folder: name the file in it" in refused.output
        assert house.sandbox.aws_calls() == house.sandbox.runpod_calls() == []
    refused = house.play("playbooks/audit.yml", *image, "-e", f"runpod_ecr_audit_report={tmp_path}/new/audit.html")
    assert refused.code != 0 and "whose folder does not exist: make it" in refused.output
    assert house.sandbox.aws_calls() == house.sandbox.runpod_calls() == []
    house.play("playbooks/audit.yml", *image, "-e", f"runpod_ecr_audit_report={tmp_path / 'audit.json'}")
    assert json.loads((tmp_path / "audit.json").read_text())["access"] == "credential"
    assert (tmp_path / "audit.html").read_text().startswith("<!doctype html>")
