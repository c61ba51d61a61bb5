# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.mirror_request import (
    LARGEST_PUBLIC_LAYER,
    Content,
    check_publishable,
    jobs,
    uri,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.secret_scan import Suspect

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app"
PUBLIC = "public.ecr.aws/a1b2c3d4/app"
DIGEST = "sha256:" + 64 * "a"


def options(source: str = "", destination: str = "", tags: list[str] | None = None, **more: object) -> Json:
    return {"images": None, "source": source, "destination": destination, "image_tags": tags, **more}


def pairs(params: Json) -> list[tuple[str, str]]:
    return [(uri(job.source), uri(job.destination)) for job in jobs(params)]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (options(f"{ECR}:v1", PUBLIC), [(f"{ECR}:v1", f"{PUBLIC}:v1")]),
        (options(f"{ECR}:v1", f"{PUBLIC}:v2"), [(f"{ECR}:v1", f"{PUBLIC}:v2")]),
        (options(f"{ECR}@{DIGEST}", f"{PUBLIC}:v2"), [(f"{ECR}@{DIGEST}", f"{PUBLIC}:v2")]),
        (options(f"{ECR}@{DIGEST}", PUBLIC), [(f"{ECR}@{DIGEST}", f"{PUBLIC}@{DIGEST}")]),
        (options(f"{ECR}:v1@{DIGEST}", PUBLIC), [(f"{ECR}@{DIGEST}", f"{PUBLIC}:v1")]),
        (options(ECR, PUBLIC, ["a", "b", "a"]), [(f"{ECR}:a", f"{PUBLIC}:a"), (f"{ECR}:b", f"{PUBLIC}:b")]),
        (options(ECR, PUBLIC, []), []),
        (options("python:3", "localhost:5000/python"), [("python:3", "localhost:5000/python:3")]),
        (
            options(images=[options(f"{ECR}:v1", PUBLIC), options(f"{ECR}2", f"{PUBLIC}2", ["a"])]),
            [(f"{ECR}:v1", f"{PUBLIC}:v1"), (f"{ECR}2:a", f"{PUBLIC}2:a")],
        ),
    ],
)
def test_jobs(params: Json, expected: list[tuple[str, str]]) -> None:
    assert pairs(params) == expected


@pytest.mark.parametrize(
    ("params", "why"),
    [
        (options(ECR, PUBLIC), "names neither a tag nor a digest, and image_tags is not set"),
        (options(f"{ECR}:v1", f"{PUBLIC}@{DIGEST}"), "names a digest; the source says"),
        (options(f"{ECR}:v1", PUBLIC, ["v1"]), "source: .* image_tags is set: drop one"),
        (options(ECR, f"{PUBLIC}:v1", ["v1"]), "destination: .* image_tags is set: drop one"),
        (options(ECR, PUBLIC, ["not a tag"]), "'not a tag' is not a tag"),
        (options(f"{ECR}:v1", f"{ECR}:v1"), "is both source and destination"),
        (options(images=[options(f"{ECR}:v1", PUBLIC), options("x/app:v1", PUBLIC)]), "a mirror of both"),
        (options(images=[options("A:v1", PUBLIC), options(ECR, PUBLIC)]), "'A' is not a repository.*names neither"),
    ],
)
def test_bad_jobs(params: Json, why: str) -> None:
    with pytest.raises(InputError, match=why):
        jobs(params)


@pytest.mark.parametrize(
    ("content", "allowed", "why"),
    [
        (Content({}, {DIGEST: LARGEST_PUBLIC_LAYER}, 0), False, ""),
        (
            Content({}, {DIGEST: LARGEST_PUBLIC_LAYER + 1}, 0),
            True,
            "layers of at most 10,000 MiB, but sha256:a+ has 10,000",
        ),
        (Content({}, {}, 0, (Suspect("Env", "TOKEN", "by its name"),)), False, r"secrets: Env: TOKEN \(by its name\)"),
        (Content({}, {}, 0, (Suspect("Env", "TOKEN", "by its name"),)), True, ""),
    ],
)
def test_what_is_published(content: Content, allowed: bool, why: str) -> None:
    (public,) = jobs(options(f"{ECR}:v1", PUBLIC))
    (private,) = jobs(options(f"{ECR}:v1", f"{ECR}2"))
    check_publishable(private, content, False)
    if not why:
        check_publishable(public, content, allowed)
    else:
        with pytest.raises(InputError, match=why):
            check_publishable(public, content, allowed)


def test_the_size_of_an_image_is_that_of_all_its_parts() -> None:
    assert Content({"a": 1, "b": 2}, {"b": 2}, 4).size == 7
