# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of images to ECR Public: of what is there already, and of a large one beside skopeo alone."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.sandbox.images import build_large

from .table import Cost, Row, count, wall_ratio
from .world import IMAGE, REGISTRY, World, by_turns

LARGE = f"{REGISTRY}/runpod-gpu-training:large"
MEBIBYTES, SLOW_MEBIBYTES = 256, 1024


def in_sync(world: World) -> Iterator[Row]:
    """An image that a former run has copied."""
    world.reset()
    options = {"source": IMAGE, "destination": public_repository(world)}
    world.module("ecr_image_mirror", options)
    world.sandbox.forget_calls()
    world.module("ecr_image_mirror", options)
    dummy, dummy, requests = world.calls()
    manifests = Counter(name.partition(" ")[2] for name in requests if "/manifests/" in name)
    blobs = [name for name in requests if "/blobs/" in name]
    writes = [name for name in requests if not name.startswith(("GET ", "HEAD ", "CONNECT "))]
    yield count("mirror in sync: manifest requests of a side and tag", 1, max(manifests.values(), default=0))
    yield count("mirror in sync: requests of blobs", 0, len(blobs))
    yield count("mirror in sync: writes", 0, len(writes))


def mirror(world: World) -> Iterator[Row]:
    """Beside a bare skopeo copy. Ours is the time that the module reports for tokens and copy."""
    yield from in_sync(world)
    mebibytes = SLOW_MEBIBYTES if world.slow else MEBIBYTES
    image = build_large(mebibytes)
    seconds, whole = defaultdict[str, list[float]](list), []
    for number in range(world.rounds):
        for who in by_turns(number, "bare", "ours"):
            world.reset()
            world.sandbox.registries.push(LARGE, image)
            target = public_repository(world)
            if who == "bare":
                seconds[who].append(skopeo_copy(world, LARGE, f"{target}:large").wall)
            else:
                whole.append(world.module("ecr_image_mirror", {"source": LARGE, "destination": target}))
                seconds[who].append(json.loads(world.said.partition("=> ")[2])["seconds"])
    yield wall_ratio(f"mirror of {mebibytes} MiB, to bare skopeo", 1.1, seconds["ours"], seconds["bare"])


def public_repository(world: World) -> str:
    """Create a repository in ECR Public and return its URI."""
    made = world.sandbox.client("ecr-public").create_repository(repositoryName="mirror")
    return str(made["repository"]["repositoryUri"])


def skopeo_copy(world: World, source: str, destination: str) -> Cost:
    """Copy an image as anybody would with skopeo alone."""
    private = world.sandbox.client("ecr").get_authorization_token()["authorizationData"][0]
    public = world.sandbox.client("ecr-public").get_authorization_token()["authorizationData"]
    hosts = {source.partition("/")[0]: private, destination.partition("/")[0]: public}
    with TemporaryDirectory() as folder:
        logins = Path(folder) / "auth.json"
        auths = {host: {"auth": token["authorizationToken"]} for host, token in hosts.items()}
        logins.write_text(json.dumps({"auths": auths}))
        flags = ["-q", "--all", "--preserve-digests", f"--authfile={logins}"]
        return world.run(["skopeo", "copy", *flags, f"docker://{source}", f"docker://{destination}"])
