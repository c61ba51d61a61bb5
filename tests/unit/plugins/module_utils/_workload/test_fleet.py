# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.fleet import (
    DEFAULTS,
    conflicts,
    expected_claims,
    identity,
    with_accounts,
)

ONE, OTHER = "123456789012", "111122223333"


def claim(**own: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {"templates": [], "endpoints": [], "credentials": []}
    return {"user": "puller", "account": ONE, "runpod": "a", **nothing, **own}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (claim(), claim(account=OTHER)),
        (claim(), claim(user="another")),
        (claim(), claim(user="")),
        (claim(user=""), claim(user="")),
        (claim(account=""), claim(account="")),  # what could not be learned is no reason to refuse
        (claim(templates=["app"]), claim(account=OTHER, templates=["app"], runpod="b")),
        (claim(templates=["app"]), claim(account=OTHER, endpoints=["app"])),
    ],
)
def test_hosts_with_nothing_in_common_do_not_conflict(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert conflicts({"a": a, "b": b}) == {"a": [], "b": []}


@pytest.mark.parametrize("spelling", ["puller", "Puller"])
def test_a_pull_user_in_common_is_told_to_those_who_have_it(spelling: str) -> None:
    found = conflicts({"a": claim(), "b": claim(user=spelling), "c": claim(account=OTHER)})
    [said] = found["a"]
    assert said.startswith("The hosts a and b share the pull user puller of the AWS account 123456789012.")
    assert "runpod_ecr_user_name" in said
    assert found == {"a": [said], "b": [said], "c": []}


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("template", "template.name"),
        ("endpoint", "endpoint.name"),
        ("credential", "runpod_ecr_credential_name"),
    ],
)
def test_a_name_at_runpod_in_common_is_told(kind: str, option: str) -> None:
    def named(*names: str) -> dict[str, Any]:
        return {f"{kind}s": list(names)}

    found = conflicts({"a": claim(**named("x", "y")), "b": claim(account=OTHER, **named("y", "z"))})
    [said] = found["a"]
    assert said.startswith(f"The hosts a and b have the {kind} y at RunPod in common.") and option in said
    assert found["b"] == [said]


def test_what_the_same_hosts_have_in_common_is_told_at_once() -> None:
    both = {"templates": ["x", "y"]}
    third = claim(account="3", templates=["y"])
    found = conflicts({"a": claim(**both), "b": claim(account=OTHER, **both), "c": third})
    assert [said.partition(" at ")[0] for said in found["a"]] == [
        "The hosts a and b have the template x",
        "The hosts a and b and c have the template y",
    ]
    assert len(found["c"]) == 1
    [said] = conflicts({"a": claim(**both), "b": claim(account=OTHER, **both)})["b"]
    assert "have the templates x, y at RunPod in common" in said


# What hosts say that have not run

IMAGE = f"{ONE}.dkr.ecr.us-east-1.amazonaws.com/team/app:v1"
ROLE = Path(__file__).resolve().parents[5] / "roles" / "runpod_ecr" / "defaults" / "main.yml"


def test_defaults_are_those_of_the_role() -> None:
    defaults = yaml.safe_load(ROLE.read_text())
    assert {name: defaults[f"runpod_ecr_{name}"] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(
    ("variables", "claimed"),
    [
        (
            {"image": IMAGE},
            {"user": "runpod-ecr-access", "templates": ["team-app"], "endpoints": [], "credentials": []},
        ),
        (
            {"workloads": [{"image": IMAGE, "template": {"name": "a"}, "endpoint": {"name": "e"}}], "user_name": "u"},
            {"user": "u", "templates": ["a"], "endpoints": ["e"], "credentials": []},
        ),
        ({"image": IMAGE, "access": "delegation"}, {"user": ""}),
        ({"image": IMAGE, "credential_name": "literal"}, {"credentials": ["literal"]}),
        ({"image": IMAGE, "template": {"name": "b", "disk": 80}}, {"templates": ["b"]}),
    ],
)
def test_a_host_claims_what_its_variables_say(variables: dict[str, Any], claimed: dict[str, Any]) -> None:
    found = expected_claims(variables)
    assert found and {key: found[key] for key in claimed} == claimed


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"image": "docker.io/library/nginx"},
        {"workloads": "no list"},
        {"image": IMAGE, "template": {"state": "absent"}},
    ],
)
def test_a_host_without_workloads_or_with_refused_ones_claims_nothing(variables: dict[str, Any]) -> None:
    assert expected_claims(variables) is None


def test_hosts_of_one_identity_are_in_one_account_whatever_their_region() -> None:
    one, same, other = ({"aws": {"profile": name, "region": region}} for name, region in ["aa", "ab", "ba"])
    assert identity(one) == identity(same) != identity(other) and identity({}) == identity({"aws": {"region": "a"}})
    expected = {"b": claim(account=identity(same)), "c": claim(account=identity(other))}
    identities = {"a": identity(one), "b": identity(same), "c": identity(other)}
    claims = with_accounts(expected, {"a": claim()}, identities)
    assert {host: one["account"] for host, one in claims.items()} == {"a": ONE, "b": ONE, "c": identity(other)}
    assert conflicts(claims)["a"] == conflicts(claims)["b"] != [] == conflicts(claims)["c"]
    [said] = conflicts(with_accounts({"a": expected["b"], "b": expected["b"]}, {}, identities))["a"]
    assert "share the pull user puller of one AWS account." in said
