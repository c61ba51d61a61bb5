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
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
from ansible.template import Templar, trust_as_template
from botocore.exceptions import ClientError

from tests.sandbox.images import SAMPLES, Image, build, push

from .conftest import ENDPOINT, IMAGE, REGISTRY, SEOUL, USER, House
from .role import LOADER, ROLE

WORKLOADS = [
    {"image": IMAGE, "template": {"name": "training"}},
    {"image": f"{REGISTRY}/runpod-gpu-inference:v1", "template": {"name": "inference"}},
    {"image": IMAGE.replace(":v1", ":v2"), "template": {"name": "newer"}},
    {"image": SEOUL, "template": {"name": "served"}, "endpoint": ENDPOINT},
]
FLEET = json.dumps({"runpod_ecr_workloads": WORKLOADS})
PAGE = ROLE / "templates" / "audit.html.j2"
ALL = ("training", "inference", "newer", "served")


class Audited(NamedTuple):
    """What one audit said."""

    report: Any
    page: str
    failure: str

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


def audit(house: House, **options: Any) -> Audited:
    """Audit in this process; nothing is ever changed, and nobody writes to either cloud."""
    house.sandbox.forget_calls()
    played = house.role("audit", **options)
    assert played.changed == []
    assert set(house.writes()) <= {"cloudtrail:LookupEvents"}  # which reads
    page = Templar(LOADER, variables=played.variables).template(trust_as_template(PAGE.read_text()))
    return Audited(played.variables["runpod_ecr_audit"], page, played.failure)


def audit_by_ansible(house: House, folder: Path, *arguments: str) -> Audited:
    """Do the same by a playbook, which writes its files in check mode too, the page beside a report of this name."""
    house.sandbox.forget_calls()
    report = ("-e", f"runpod_ecr_audit_report={folder / 'audit.json'}")
    run = house.play("playbooks/audit.yml", *arguments, *report, "--check")
    assert run.recap["changed"] == 0 == run.recap["ignored"], run.output
    assert house.writes() == []
    written = json.loads((folder / "audit.json").read_text())
    return Audited(written, (folder / "audit.html").read_text(), run.output if run.code else "")


def carry_out(house: House, remedy: str) -> None:
    """Do what a remedy says: a module, or a command of the AWS CLI through the same API."""
    command = shlex.split(remedy[min(place for word in ("ansible ", "aws ") if (place := remedy.find(word)) >= 0) :])
    if command[0] == "aws":
        given = zip(command[3::2], command[4::2], strict=True)
        options = {"".join(map(str.capitalize, name[2:].split("-"))): value for name, value in given}
        getattr(house.client(command[1]), command[2].replace("-", "_"))(**options)
        return
    house.typed(command)


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
    converged = audit(house, workloads=WORKLOADS, audit_fail_on="amber")
    assert (converged.failure, converged.broken, converged.report["orphans"]) == ("", {}, [])

    [key] = house.keys()
    ecr.batch_delete_image(repositoryName="runpod-gpu-training", imageIds=[{"imageTag": "v1"}])
    push(ecr, "runpod-gpu-inference", "v1", sample("runpod-arm-only"))
    iam.create_access_key(UserName=USER)
    iam.delete_user_policy(UserName=USER, PolicyName="gpuops-runpod-pull")
    at_runpod(house, "PATCH", f"templates/{held(house, 'templates', 'newer')}", {"registry": None})
    at_runpod(house, "DELETE", f"registries/{held(house, 'registries', f'{USER}-123456789012-ap-northeast-2')}")
    at_runpod(house, "PATCH", f"serverless/{held(house, 'endpoints', 'served')}", {"image": SEOUL.replace("v1", "v0")})

    found = audit_by_ansible(house, tmp_path, "-e", FLEET, "-e", "runpod_ecr_audit_fail_on=red")
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
    assert found.report["access"] == "credential" and found.page.startswith("<!doctype html>")
    for one in found.report["findings"]:
        assert one["status"] == "green" or one["cause"] in found.failure.replace("\\", ""), one

    for name in ("runpod-gpu-training", "runpod-gpu-inference"):
        push(ecr, name, "v1", sample(name))
    carry_out(house, found.remedy("foreign_key"))
    carry_out(house, found.remedy("credential_unlinked"))
    codes = ("credential_missing", "policy_missing", "runs_unpullable")
    assert {found.remedy(code).partition(": ")[2] for code in codes} == {
        "ansible-playbook gpuops.runpod.runpod_ecr -e @VARIABLES.yml"
    }
    assert house.role(workloads=WORKLOADS).failure == ""

    iam.update_access_key(UserName=USER, AccessKeyId=key, Status="Inactive")
    east = held(house, "registries", f"{USER}-123456789012-us-east-1")
    ended = {"Key": f"gpuops.runpod/{east}", "Value": f"2026-01-01T00:00:00Z {key}"}
    store.tag_resource(SecretId=f"runpod-ecr/{USER}", Tags=[ended])
    late = audit(house, workloads=WORKLOADS)
    assert late.failure == ""
    assert late.broken == {
        **{(name, "key"): {"secret_key_inactive"} for name in ALL},
        **{(name, "credential"): {"token_expired"} for name in ALL if name != "served"},
    }
    assert late.report["since"] == "2026-01-01T00:00:00Z"

    carry_out(house, late.remedy("secret_key_inactive"))
    carry_out(house, late.remedy("token_expired"))
    last = audit(house, workloads=WORKLOADS, audit_fail_on="amber")
    assert (last.failure, last.broken) == ("", {})


def test_a_role_that_the_policy_of_a_repository_lacks_is_told_and_mended(house: House) -> None:
    house.arrange(access="delegation")
    ecr = house.client("ecr")
    policy = json.loads(ecr.get_repository_policy(repositoryName="runpod-gpu-training")["policyText"])
    policy["Statement"][0]["Condition"]["StringEquals"]["aws:PrincipalArn"].pop()
    ecr.set_repository_policy(repositoryName="runpod-gpu-training", policyText=json.dumps(policy))

    found = audit(house, access="delegation")
    assert found.broken == {("runpod-gpu-training", "policy"): {"role_missing"}}
    carry_out(house, found.remedy("role_missing"))
    last = audit(house, access="delegation", audit_fail_on="amber")
    assert last.failure == ""  # nothing can prove that serverless workers pull by delegation, and nothing is wrong
    assert last.broken == {("runpod-gpu-training", "delegation"): {"unproven_serverless"}}
    assert "it is not proved that RunPod can pull the workload" in last.page
    assert "as it should be" not in last.page + json.dumps(last.report["answer"])


def test_a_public_image_that_is_behind_the_private_one_is_told_and_mended(house: House) -> None:
    house.arrange(access="public")
    push(house.client("ecr"), "runpod-gpu-training", "v1", sample("runpod-gpu-inference"))

    found = audit(house, access="public")
    assert found.broken == {("runpod-gpu-training", "public_image"): {"mirror_behind"}}
    assert "ansible-playbook gpuops.runpod.runpod_ecr" in found.remedy("mirror_behind")
    house.arrange(access="public")
    last = audit(house, access="public", audit_fail_on="amber")
    assert (last.failure, last.broken) == ("", {})


def test_what_cannot_be_read_hides_nothing(house: House) -> None:
    house.arrange(access="caller")
    house.sandbox.fail(
        "GET /v2/.*", times=None, answer={"status": 403, "body": {"title": "Forbidden", "detail": "no such scope"}}
    )
    found = audit(house, pull_identity="caller")
    links = {link for dummy, link in found.broken}
    assert links == {"credential", "template", "endpoint"} - {"endpoint"}
    assert "no such scope" in json.dumps(found.report["findings"]) and "no such scope" in found.page
    house.sandbox.mend()
    assert audit(house, pull_identity="caller").broken == {}


def test_cloudtrail_tells_since_when_pulls_are_refused(house: House) -> None:
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

    found = audit(house, audit_events={"hours": 1})
    assert found.broken == {("runpod-gpu-training", "user"): {"policy_missing", "pulls_refused"}}
    [refused] = [one for one in found.report["findings"] if one["code"] == "pulls_refused"]
    assert begun <= datetime.fromisoformat(refused["since"]) <= datetime.now(timezone.utc)
    assert found.report["since"] == refused["since"]
    assert "not authorized to perform: ecr:BatchGetImage" in refused["cause"]
    assert f'since <time datetime="{refused["since"]}">' in found.page


def test_a_report_is_a_file_in_a_folder_that_there_is(house: House, tmp_path: Path) -> None:
    refused = {
        "existing": (str(tmp_path), "a folder: name the file in it"),
        "slashed": (f"{tmp_path}/new/", "a folder: name the file in it"),
        "beyond": (f"{tmp_path}/new/audit.html", "whose folder does not exist: make it"),
    }
    given = {name: {"runpod_ecr_audit_report": report} for name, (report, dummy) in refused.items()}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": given}}))
    run = house.play(
        "playbooks/audit.yml", "-i", str(inventory), "-e", f"runpod_ecr_image={IMAGE} runpod_ecr_hosts=all"
    )
    for name, (report, reason) in refused.items():
        assert run.recaps[name]["failed"] == 1
        assert f"[{name}]: FAILED! " in run.output and f"runpod_ecr_audit_report is {report}, {reason}" in run.output
    assert house.sandbox.aws_calls() == house.sandbox.runpod_calls() == []
