# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access by publishing, as operators see it: nothing by mistake, nothing before it is proved, nothing lost."""

from __future__ import annotations

import json
from typing import Any

from tests.sandbox.images import SAMPLES, Image, build, digest

from .conftest import IMAGE, REGISTRY, House, Run

NAME = "runpod-gpu-training"
URI = f"public.ecr.aws/a1b2c3d4/{NAME}"
DIGEST = digest(build(SAMPLES[0]).manifest)
FORCE = {"runpod_ecr_state": "absent", "runpod_ecr_public_force": True}


def publish(house: House, *arguments: str, image: str = IMAGE, **variables: Any) -> Run:
    given = {"runpod_ecr_access": "public", "runpod_ecr_acknowledge_public": True, **variables}
    return house.main_job(*arguments, "-e", json.dumps(given), image=image)


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
    run = publish(house, "--check", "--diff", "-v")
    assert (run.code, run.recap["changed"]) == (0, 3), run.output
    assert f'"public.ecr.aws/alias-to-come/{NAME}:v1": "{DIGEST}"' in run.output
    assert published(house) == {} and house.runpod()["templates"] == []


def test_nothing_is_repointed_before_the_pull_is_proved_and_a_second_run_changes_nothing(house: House) -> None:
    house.arrange(access="delegation")
    house.arrange()
    before = template(house)
    house.sandbox.registries.fail(f"GET {URI.replace('/', '/v2/', 1)}/manifests/v1", answer={"status": 403}, times=None)
    refused = publish(house)
    assert refused.code != 0 and "cannot be pulled" in refused.output
    assert template(house) == before and published(house) == {NAME: ["v1"]}

    house.sandbox.registries.mend()
    first = publish(house, "-v")
    assert first.code == 0, first.output
    assert (template(house)["image"], template(house)["registry"]) == (f"{URI}:v1", None)
    assert f'"public_image": "{URI}:v1"' in first.output and '"pullable": true' in first.output
    assert "another way of access, is still there" in first.output

    house.sandbox.forget_calls()
    again = publish(house)
    assert (again.code, again.recap["changed"]) == (0, 0), again.output
    calls = [call for call in house.sandbox.registries.calls() if "/manifests/" in call["path"]]
    assert [(call["method"], call["host"]) for call in calls] == [("HEAD", "public.ecr.aws"), ("GET", "public.ecr.aws")]
    assert {call["method"] for call in house.sandbox.registries.calls()} <= {"HEAD", "GET"}

    back = house.main_job("-v")
    assert back.code == 0, back.output
    assert template(house) == before
    [delegation] = house.runpod()["delegations"]
    assert f"({delegation['id']}), another way of access, is still there" in back.output
    assert f"The public image {URI}:v1, another way of access, is still there" in back.output


def test_absent_keeps_what_is_public_unless_forced_and_what_is_used_even_then(house: House) -> None:
    by_digest = publish(house, image=f"{REGISTRY}/{NAME}@{DIGEST}", runpod_ecr_public_repository="demo")
    assert by_digest.code == 0, by_digest.output
    uri = URI.replace(NAME, "demo")
    assert template(house)["image"] == f"{uri}@{DIGEST}"
    kept = publish(house, "-v", runpod_ecr_state="absent", runpod_ecr_public_repository="demo")
    assert kept.code == 0 and "runpod_ecr_public_force=true" in kept.output
    assert house.runpod()["templates"] == [] and published(house) == {"demo": []}

    pod = house.sandbox.runpod.seed("pods", {"name": "trainer", "image": f"{uri}@{DIGEST}"})
    used = publish(house, "-v", **FORCE, runpod_ecr_public_repository="demo")
    assert used.code == 0 and f"The pod trainer ({pod['id']}) runs {uri}" in used.output
    assert published(house) == {"demo": []}
    gone = publish(house, **FORCE)
    assert (gone.code, gone.recap["changed"]) == (0, 0), gone.output


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
    refused = publish(house, image=leaky)
    assert refused.code != 0 and "HF_TOKEN" in refused.output and "abcdefghijklmnop" not in refused.output
    assert published(house) == {} and house.runpod()["templates"] == []
    allowed = publish(house, image=leaky, runpod_ecr_allow_suspected_secrets=True)
    assert allowed.code == 0, allowed.output
    assert published(house) == {NAME: ["leaky"]}
