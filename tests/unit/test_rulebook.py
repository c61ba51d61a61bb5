# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook acts on what ECR sends for an image that is pushed with a tag, and on nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from ansible_collections.gpuops.runpod.plugins.module_utils._oci.reference import parse_ecr

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
RULEBOOK = ROOT / "extensions" / "eda" / "rulebooks" / "image_pushed.yml"
[RULESET] = yaml.safe_load(RULEBOOK.read_text())
[RULE] = RULESET["rules"]
JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined)
# What EventBridge hands to the queue, as the guide of ECR shows it.
PUSHED: Json = {
    "version": "0",
    "id": "13cde686-328b-6117-af20-0e5566167482",
    "detail-type": "ECR Image Action",
    "source": "aws.ecr",
    "account": "123456789012",
    "time": "2026-11-16T01:54:34Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {
        "result": "SUCCESS",
        "repository-name": "team/runpod-gpu-training",
        "image-digest": f"sha256:{'7' * 64}",
        "action-type": "PUSH",
        "image-tag": "v3",
    },
}


def received(event: Json) -> Json:
    """Return an event as the source plugin for queues of SQS hands it on."""
    return {"body": json.loads(json.dumps(event)), "meta": {"MessageId": "1"}}


def fits(event: Json) -> bool:
    return bool(JINJA.compile_expression(RULE["condition"], undefined_to_none=False)(event=received(event)))


def changed(**detail: Any) -> Json:
    return {**PUSHED, "detail": {**PUSHED["detail"], **detail}}


def test_a_push_with_a_tag_runs_the_main_job_for_that_image() -> None:
    assert fits(PUSHED)
    given = RULE["action"]["run_job_template"]["job_args"]["extra_vars"]
    variables = {name: JINJA.from_string(text).render(event=received(PUSHED)) for name, text in given.items()}
    image = parse_ecr(variables["runpod_ecr_image"])
    assert image.repository_arn == "arn:aws:ecr:us-east-1:123456789012:repository/team/runpod-gpu-training"
    assert image.tag == "v3"


UNTAGGED = {key: value for key, value in PUSHED["detail"].items() if key != "image-tag"}


@pytest.mark.parametrize(
    "event",
    [
        changed(**{"action-type": "DELETE"}),
        changed(result="FAILURE"),
        {**PUSHED, "detail": UNTAGGED},  # one platform of an image, or an attestation
        {**PUSHED, "source": "aws.s3"},
    ],
)
def test_nothing_else_runs_a_job(event: Json) -> None:
    assert not fits(event)


def test_the_rule_of_EventBridge_in_the_file_fits_what_the_condition_wants() -> None:
    pattern = json.loads(re.findall(r"^#\s+(\{.*\})$", RULEBOOK.read_text(), re.MULTILINE)[0])
    assert PUSHED["source"] in pattern["source"] and PUSHED["detail-type"] in pattern["detail-type"]
    assert all(PUSHED["detail"][name] in values for name, values in pattern["detail"].items())


def test_the_job_template_is_one_of_ours_and_asks_for_the_image() -> None:
    name = RULE["action"]["run_job_template"]["name"]
    folder = ROOT / "extensions" / "awx" / "controller"
    prefix = yaml.safe_load((folder / "settings.yml").read_text())["runpod_awx_prefix"]
    templates = yaml.safe_load((folder / "controller_templates.yml").read_text())["controller_templates"]
    [template] = [one for one in templates if one["name"].replace("{{ runpod_awx_prefix }}", prefix) == name]
    asked = {question["variable"] for question in template["survey_spec"]["spec"]}
    assert RULE["action"]["run_job_template"]["job_args"]["extra_vars"].keys() <= asked
