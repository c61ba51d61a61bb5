# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access by publishing, as operators see it: nothing by mistake, nothing before it is proved, nothing lost."""

from __future__ import annotations

import json
from typing import Any

from tests.sandbox.images import SAMPLES, Image, build, digest

from .conftest import IMAGE, REGISTRY, House
from .role import Played

NAME = "runpod-gpu-training"
URI = f"public.ecr.aws/a1b2c3d4/{NAME}"
DIGEST = digest(build(SAMPLES[0]).manifest)
FORCE = {"state": "absent", "public_force": True}
PUBLIC = {"access": "public", "acknowledge_public": True}


def publish(house: House, check: bool = False, **options: Any) -> Played:
    return house.role(check=check, **PUBLIC, **options)


def published(house: House) -> dict[str, list[str]]:
    """Return the tags of each public repository."""
    held = house.sandbox.aws.public.repositories
    return {
        name: [tag for image in repository.images.values() for tag in image.tags] for name, repository in held.items()
    }


def template(house: House) -> dict[str, Any]:
    [held] = house.runpod()["templates"]
    return held


def test_check_mode_on_an_empty_account_lists_what_would_be_published(house: House) -> None:
    run = publish(house, check=True)
    assert (run.failure, run.plan["needed"]) == ("", ["public_repository", "mirror", "proof", "template"])
    [shown] = [step["after"] for step in run.plan["steps"] if step["step"] == "mirror"]
    assert shown == {f"public.ecr.aws/alias-to-come/{NAME}:v1": DIGEST}
    assert published(house) == {} and house.runpod()["templates"] == []


def test_nothing_is_repointed_before_the_pull_is_proved_and_a_second_run_changes_nothing(house: House) -> None:
    house.arrange(access="delegation")
    house.arrange()
    before = template(house)
    house.sandbox.registries.fail(f"GET {URI.replace('/', '/v2/', 1)}/manifests/v1", answer={"status": 403}, times=None)
    refused = publish(house).failure
    assert "cannot be pulled" in refused and "Nothing was changed." not in refused
    assert refused.endswith("Already done: the public repositories, the public images. A plain re-run continues.")
    assert template(house) == before and published(house) == {NAME: ["v1"]}

    house.sandbox.registries.mend()
    variables = {f"runpod_ecr_{name}": value for name, value in PUBLIC.items()}
    first = house.main_job("-v", "-e", json.dumps(variables))
    assert first.code == 0, first.output
    assert (template(house)["image"], template(house)["registry"]) == (f"{URI}:v1", None)
    assert f'"public_image": "{URI}:v1"' in first.output and '"pullable": true' in first.output
    assert "another way of access, is still there" in first.output

    house.sandbox.forget_calls()
    again = publish(house)
    assert (again.failure, again.changed) == ("", [])
    calls = [call for call in house.sandbox.registries.calls() if "/manifests/" in call["path"]]
    assert [(call["method"], call["host"]) for call in calls] == [("HEAD", "public.ecr.aws"), ("GET", "public.ecr.aws")]
    assert {call["method"] for call in house.sandbox.registries.calls()} <= {"HEAD", "GET"}

    back = house.role()
    assert back.failure == ""
    assert template(house) == before
    [delegation] = house.runpod()["delegations"]
    for left in (f"({delegation['id']})", f"The public image {URI}:v1"):
        assert [warning for warning in back.warnings if f"{left}, another way of access, is still there" in warning]


def test_absent_keeps_what_is_public_unless_forced_and_what_is_used_even_then(house: House) -> None:
    by_digest = publish(house, image=f"{REGISTRY}/{NAME}@{DIGEST}", public_repository="demo")
    assert by_digest.failure == ""
    uri = URI.replace(NAME, "demo")
    assert template(house)["image"] == f"{uri}@{DIGEST}"
    kept = publish(house, state="absent", public_repository="demo")
    assert kept.failure == "" and "runpod_ecr_public_force=true" in str(kept.warnings)
    assert house.runpod()["templates"] == [] and published(house) == {"demo": []}

    pod = house.sandbox.runpod.seed("pods", {"name": "trainer", "image": f"{uri}@{DIGEST}"})
    used = publish(house, **FORCE, public_repository="demo")
    assert used.failure == "" and f"The pod trainer ({pod['id']}) runs {uri}" in str(used.warnings)
    assert published(house) == {"demo": []}
    gone = publish(house, **FORCE)
    assert (gone.failure, gone.changed) == ("", [])


def secret_image() -> Image:
    """Return an image whose configuration holds what looks like a token."""
    plain = build(SAMPLES[0])
    configuration = json.loads(plain.blobs[0])
    configuration["config"]["Env"] = ["HF_TOKEN=abcdefghijklmnop"]
    changed = json.dumps(configuration).encode()
    manifest = json.loads(plain.manifest)
    manifest["config"] |= {"digest": digest(changed), "size": len(changed)}
    return Image(json.dumps(manifest).encode(), (), (changed, *plain.blobs[1:]))


def test_a_suspected_secret_is_not_published_unless_it_was_looked_at(house: House) -> None:
    house.sandbox.registries.push(f"{REGISTRY}/{NAME}:leaky", secret_image())
    leaky = IMAGE.replace(":v1", ":leaky")
    refused = publish(house, image=leaky).failure
    assert "HF_TOKEN" in refused and "abcdefghijklmnop" not in refused
    assert published(house) == {} and house.runpod()["templates"] == []
    assert publish(house, image=leaky, allow_suspected_secrets=True).failure == ""
    assert published(house) == {NAME: ["leaky"]}
