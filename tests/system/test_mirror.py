# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images are mirrored between real registries, by a real skopeo."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.processes import kill, running
from tests.sandbox.images import DOCKER, Image, Sample, build, build_large, digest

from .conftest import REGISTRY, ROOT, House, Run, sampled_processes
from .worker import PATIENCE, until

PUBLIC = "public.ecr.aws"
MANY = [f"v{number}" for number in range(15)]
LARGE = 256  # MiB
BOTH = ("amd64", "arm64")
KINDS = {
    "oci": build(Sample("us-east-1", "app", "oci", ("amd64",))),
    "index": build(Sample("us-east-1", "app", "index", BOTH)),
    "docker": build(Sample("us-east-1", "app", "docker", ("amd64",)), DOCKER),
    "list": build(Sample("us-east-1", "app", "list", BOTH), DOCKER),
    "attested": build(Sample("us-east-1", "app", "attested", BOTH), attested=True),
}
PLAY = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
"""


class Shop:
    """A private repository `app`, a public one, and the playbooks that mirror between them."""

    def __init__(self, house: House, folder: Path, temporary: Path) -> None:
        self.house = house
        self.registries = house.sandbox.registries
        self.playbook = folder / "mirror.yml"
        self.temporary = temporary
        self.environment = {
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections"),
            "ANSIBLE_REMOTE_TMP": str(self.temporary),
            "ANSIBLE_LOCAL_TEMP": str(self.temporary),
            # Else in a home: the task's is that of HOME, and that of who asks how far it is, that of the password file.
            "ANSIBLE_ASYNC_DIR": str(folder / "async"),
            "TMPDIR": str(self.temporary),
        }
        house.client("ecr").create_repository(repositoryName="app")
        made = house.client("ecr-public").create_repository(repositoryName="app")
        self.source, self.target = f"{REGISTRY}/app", made["repository"]["repositoryUri"]

    def push(self, tag: str, image: Image) -> str:
        """Put an image into the private repository; return its digest."""
        self.registries.push(f"{self.source}:{tag}", image)
        return digest(image.manifest)

    def mirror(self, *arguments: str, keywords: dict[str, Any] | None = None, **options: Any) -> Run:
        self.write(keywords or {}, **options)
        return self.house.play(self.playbook, *arguments, **self.environment)

    def write(self, keywords: dict[str, Any], **options: Any) -> None:
        given = {"source": self.source, "destination": self.target} if "images" not in options else {}
        task = {"name": "Mirror", "gpuops.runpod.ecr_image_mirror": {**given, **options}, **keywords}
        self.playbook.write_text(PLAY + "    - " + json.dumps(task) + "\n")

    @contextmanager
    def begun(self, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Yield a run that goes on meanwhile."""
        self.write({}, **options)
        with self.house.started(self.playbook, *arguments, **self.environment) as process:
            try:
                yield process
            finally:
                kill(process)

    def digest(self, reference: str) -> str | None:
        """Return the digest that skopeo finds, anonymously."""
        environment = self.house.environment()
        command = ["skopeo", "inspect", "--raw", "--no-creds", f"docker://{reference}"]
        done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=PATIENCE)
        return digest(done.stdout) if done.returncode == 0 else None

    def images(self) -> dict[str, list[str]]:
        """Return the tags of what is in the public repository by digest."""
        return {found: image.tags for found, image in self.house.sandbox.aws.public.repositories["app"].images.items()}

    def tags(self) -> dict[str, str]:
        """Return the digests of its tags."""
        return {tag: found for found, tags in self.images().items() for tag in tags}

    def requests(self) -> list[str]:
        """Return the requests that the registries got since the last look, those for a login left out."""
        calls = [call["name"] for call in self.registries.calls()]
        self.registries.forget_calls()
        return [name for name in calls if not re.search(r"/v2/$|/token/$", name)]

    def secrets(self) -> list[str]:
        """Return the passwords that both registries have given, as such and as HTTP sends them."""
        passwords = [*self.house.sandbox.aws.logins, *self.house.sandbox.aws.public.tokens]
        return [*passwords, *(base64.b64encode(f"AWS:{each}".encode()).decode() for each in passwords)]

    def left(self) -> list[str]:
        """Return the files that runs have left."""
        return [str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*") if not path.is_dir()]


@pytest.fixture
def shop(house: House, tmp_path: Path) -> Iterator[Shop]:
    with TemporaryDirectory() as temporary:  # not in tmp_path: Ansible makes a socket there, whose path has to be short
        yield Shop(house, tmp_path, Path(temporary))


def test_every_kind_of_image_is_mirrored_once_and_then_in_sync(shop: Shop) -> None:
    digests = {tag: shop.push(tag, image) for tag, image in KINDS.items()}
    digests |= {tag: shop.push(tag, build(Sample("us-east-1", "app", tag, ("amd64",)))) for tag in MANY}
    whole = shop.push("whole", build(Sample("us-east-1", "app", "whole", BOTH)))
    token = shop.house.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(token).decode().removeprefix("AWS:")
    shop.environment["PASSWORD"] = password
    options = {
        "source_auth": {"username": "AWS", "password": "{{ lookup('ansible.builtin.env', 'PASSWORD') }}"},
        "images": [
            {"source": shop.source, "destination": shop.target, "image_tags": [*digests]},
            {"source": f"{shop.source}@{whole}", "destination": shop.target},
        ],
    }
    made = shop.mirror("-vvv", **options)
    assert (made.code, made.recap["changed"]) == (0, 1), made.output
    assert {tag: shop.digest(f"{shop.target}:{tag}") for tag in KINDS} == {tag: digests[tag] for tag in KINDS}
    assert shop.tags() == digests and shop.images()[whole] == []
    assert {digest(each) for image in KINDS.values() for each in image.platforms} <= shop.images().keys()
    assert password not in made.output and token not in made.output
    assert shop.left() == []

    shop.requests()
    again = shop.mirror(**options)
    assert (again.code, again.recap["changed"]) == (0, 0), again.output
    sides = [f"HEAD {side.replace('/', '/v2/', 1)}/manifests/" for side in (shop.source, shop.target)]
    expected = [side + tag for side in sides for tag in digests]
    assert sorted(shop.requests()) == sorted([*expected, sides[1] + whole])

    moved = shop.push("v7", KINDS["index"])
    again = shop.mirror(**options)
    assert (again.code, again.recap["changed"]) == (0, 1), again.output
    assert len([name for name in shop.requests() if name.startswith("PUT") and "/manifests/v" in name]) == 1
    assert shop.tags() == {**digests, "v7": moved}


def test_one_platform_of_an_index(shop: Shop) -> None:
    shop.push("v1", KINDS["index"])
    run = shop.mirror(image_tags=["v1"], platforms="one", platform="linux/arm64")
    assert (run.code, run.recap["changed"]) == (0, 1), run.output
    assert shop.digest(f"{shop.target}:v1") == digest(KINDS["index"].platforms[1])


def test_a_connection_that_ends_and_a_token_that_expires_in_the_middle(shop: Shop) -> None:
    held = shop.push("v1", KINDS["index"])
    shop.registries.fail(f"PATCH {PUBLIC}/.*", cut_after=20, times=2)
    shop.registries.fail(f"PUT {PUBLIC}/.*/blobs/.*", delay=1.5, skip=1)
    with shop.begun(image_tags=["v1"]) as run:
        until(lambda: any(call["method"] == "PUT" for call in shop.registries.calls()))
        shop.registries.expire_tokens()
        output = run.communicate()[0]
    assert run.returncode == 0, output
    assert shop.digest(f"{shop.target}:v1") == held
    tokens = [call for call in shop.house.sandbox.aws_calls() if "GetAuthorizationToken" in call["name"]]
    assert len(tokens) > 4  # two for reading, two for each try
    assert shop.left() == []


def test_a_failure_leaves_no_file(shop: Shop) -> None:
    shop.push("v1", KINDS["oci"])
    shop.registries.fail(f"PUT {PUBLIC}/.*/manifests/.*", answer={"status": 403}, times=None)
    run = shop.mirror(image_tags=["v1"], retries=0)
    assert run.code != 0 and "skopeo could not copy" in run.output
    assert shop.left() == []


def test_a_large_image_tells_how_far_it_is_and_shows_no_secret(shop: Shop) -> None:
    held = shop.push("v1", build_large(LARGE))
    shop.registries.fail(f"PUT {PUBLIC}/.*/blobs/.*", delay=11, skip=1)
    seen: set[str] = set()
    with sampled_processes(seen, 0.3):
        run = shop.mirror("-vvv", image_tags=["v1"])
    assert run.code == 0, run.output
    assert shop.digest(f"{shop.target}:v1") == held
    lines = re.findall(
        r"^\[localhost\] Copying (\S+) \(image 1 of 1\): \d/2 blobs, ([\d.]+)/256.\d MiB, [\d.]+ MiB/s, .* left",
        run.output,
        re.MULTILINE,
    )
    assert len(lines) >= 2 and {name for name, dummy in lines} == {f"{shop.target}:v1"}, run.output
    assert float(lines[-1][1]) > 0
    secrets = shop.secrets()
    assert len(secrets) > 4 and any("skopeo copy" in line for line in seen)
    for secret in secrets:
        assert secret not in run.output and not [line for line in seen if secret in line]
    assert shop.left() == []


def test_a_task_without_a_log_and_one_in_the_background_are_quiet(shop: Shop) -> None:
    held = shop.push("v1", KINDS["oci"])
    shop.registries.fail(f"PUT {PUBLIC}/.*/blobs/.*", delay=6, skip=1)
    silent = shop.mirror(image_tags=["v1"], keywords={"no_log": True})
    moved = shop.push("v1", KINDS["docker"])
    behind = shop.mirror(image_tags=["v1"], keywords={"async": 60, "poll": 1})
    for run in (silent, behind):
        assert (run.code, run.recap["changed"]) == (0, 1), run.output
        assert "Copying" not in run.output
    assert shop.digest(f"{shop.target}:v1") == moved != held


def test_loops_and_tries_of_the_task_have_lines_of_their_own(shop: Shop) -> None:
    for tag in ("v1", "v2"):
        shop.push(tag, build(Sample("us-east-1", "app", tag, ("amd64",))))
    shop.registries.fail(f"PUT {PUBLIC}/.*/manifests/v1", answer={"status": 403}, times=1)
    shop.registries.fail(f"PUT {PUBLIC}/.*/blobs/.*", delay=6)
    task = {"loop": ["v1", "v2"], "retries": 2, "delay": 0, "register": "mirror", "until": "mirror is succeeded"}
    run = shop.mirror(image_tags=["{{ item }}"], retries=0, keywords=task)
    assert (run.code, run.recap["changed"]) == (0, 1), run.output
    assert f"Copying {shop.target}:v1" in run.output and "FAILED - RETRYING" in run.output
    assert shop.left() == []


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_no_file_and_no_process(shop: Shop, number: signal.Signals) -> None:
    shop.push("v1", KINDS["oci"])
    shop.registries.fail(f"PUT {PUBLIC}/.*/blobs/.*", delay=20, times=None)
    with shop.begun(image_tags=["v1"]) as run:
        until(lambda: any(call["method"] == "PUT" for call in shop.registries.calls()))
        assert any("auth" in path or "src.json" in path for path in shop.left())
        os.kill(run.pid, number)
        run.communicate()
    until(lambda: not [path for path in shop.left() if path.endswith("json")])
    until(lambda: not running(str(shop.temporary)))
