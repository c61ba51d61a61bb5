# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ECR modules make of answers that lack something, or that a proxy or a portal gave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.public_repository import Clients, run
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.body import describe
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_registry import Answer, Registries, Repository
from ansible_collections.gpuops.runpod.tests.unit.plugins.modules import (
    test_ecr_image_mirror,
    test_ecr_public_repo,
    test_ecr_pull_check,
    test_ecr_pull_grant,
)

# Diagnoses that blame the image, the identity or its rights, which are all good here
BLAMING = {"tag_not_found", "digest_not_found", "repository_not_found", "not_an_image", "platform_missing", "denied"}
BLAMING |= {"login_refused", "login_missing", "wrong_region", "wrong_account", "layer_unavailable", "other"}
LYING = ("does not exist", "do not exist", "is not for", "somebody else made it", "cannot be copied", "holds no image")
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in\x1b[31m to the\nnetwork</title></head></html>"


class Fault(NamedTuple):
    """Take a field out of the answer of one call, or null it."""

    call: str
    number: int  # which of the calls of this name
    path: tuple[str | int, ...]
    null: bool

    def applied(self, answer: Any) -> Any:
        broken = deepcopy(answer)
        parent = broken
        for key in self.path[:-1]:
            parent = parent[key]
        if self.null:
            parent[self.path[-1]] = None
        else:
            del parent[self.path[-1]]
        return broken


def fields(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """All places in an answer, but those in what AWS' clients add."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if key != "ResponseMetadata":
            yield (*path, key)
            yield from fields(inner, (*path, key))


class Tap:
    """Stands before all calls of AWS and all requests to registries, notes what they answer, and breaks one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *left_out: str) -> None:
        self.answers: list[tuple[str, int, Any]] = []
        self.fault: Fault | None = None
        self.left_out = left_out
        plain_call, plain_open = Aws.call, Registries.open

        def call(aws: Aws, service: str, operation: str, **request: Any) -> Any:
            return self.passed(f"{service}:{operation}", plain_call(aws, service, operation, **request))

        def open(registries: Registries, method: str, url: str, headers: dict[str, str]) -> Answer:
            answer = plain_open(registries, method, url, headers)
            if method != "GET" or not answer.getvalue().startswith(b"{"):
                return answer
            name = "registry:" + url.split("/")[-2]
            document = self.passed(name, json.loads(answer.getvalue()))
            if self.fault and self.fault.call == name and document != json.loads(answer.getvalue()):
                broken = Answer(200, json.dumps(document).encode())
                broken.headers = answer.headers
                return broken
            return answer

        monkeypatch.setattr(Aws, "call", call)
        monkeypatch.setattr(Registries, "open", open)

    def passed(self, name: str, answer: Any) -> Any:
        number = sum(name == noted for noted, dummy, dummy in self.answers)
        self.answers.append((name, number, deepcopy(answer)))
        fault = self.fault
        return fault.applied(answer) if fault and (fault.call, fault.number) == (name, number) else answer

    def faults(self) -> list[Fault]:
        return [
            Fault(name, number, path, null)
            for name, number, answer in self.answers
            if name not in self.left_out
            for path in fields(answer)
            for null in (True, False)
            if null or isinstance(path[-1], str)  # a shorter list is a good answer
        ]

    def sweep(self, scene: Callable[[], Any], judge: Callable[[Fault, Any], None]) -> int:
        """Play a scene once as it is, then once for each field of each answer."""
        scene()
        faults = self.faults()
        for fault in faults:
            self.answers.clear()
            self.fault = fault
            try:
                judge(fault, scene())
            except CollectionError as error:
                message = str(error)
                if fault.call.partition(":")[2].startswith(("create_", "put_")):
                    assert error.as_result()["changed"] and "Already done:" in message, (fault, message)
                assert not any(lie in message for lie in LYING), (fault, message)
                assert fault.call.split(":")[0] in message or "registry" in message or "manifest" in message, (
                    fault,
                    message,
                )
        self.fault = None
        return len(faults)


@pytest.mark.parametrize("via", ["api", "registry"])
@pytest.mark.parametrize("kind", ["index", "single"])
def test_no_field_that_a_proof_lacks_is_blamed_on_the_image(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, via: str, kind: str
) -> None:
    world = test_ecr_pull_check.World(connect, test_ecr_pull_check.STORE)
    if via == "api":
        world.ecr.push_index("v1", "amd64", "arm64") if kind == "index" else world.ecr.push_image(
            test_ecr_pull_check.linux("amd64"), "v1"
        )
        options: Json = {"identity": "caller"}
    else:
        repository = world.registries[test_ecr_pull_check.ELSEWHERE]
        image = repository.image("v1")
        if kind == "index":
            repository.index("v1", amd64=image)
        world.registries.challenges["ghcr.io"] = test_ecr_pull_check.BEARER
        options = test_ecr_pull_check.NOBODY

    def judge(fault: Fault, found: Json) -> None:
        codes = set(test_ecr_pull_check.codes(found))
        assert not codes & BLAMING, (fault, found["findings"])
        assert found["pullable"] is (not codes - {"platform_unverified", "layer_host_blocked"}), (fault, found)

    assert Tap(monkeypatch).sweep(lambda: world.only(**options), judge) > 10


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "RepositoryNotFoundException"])
def test_what_iam_does_not_tell_about_a_key_or_an_account_is_left_open(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """What is asked besides only adds to a refusal; without it that stands as it is."""
    world = test_ecr_pull_check.World(connect, test_ecr_pull_check.STORE)
    world.keep()
    plain = {"UnrecognizedClientException": "key_invalid", "RepositoryNotFoundException": "repository_not_found"}[code]
    answers: Json = {
        "list_access_keys": {
            "AccessKeyMetadata": [
                {
                    "AccessKeyId": test_ecr_pull_check.KEY.access_key_id,
                    "Status": "Inactive",
                    "CreateDate": test_ecr_pull_check.NOW,
                }
            ]
        },
        "get_caller_identity": {"Account": "210987654321"},
    }
    genuine = Aws.call

    def call(aws: Aws, service: str, operation: str, **request: Any) -> Any:
        return answers.get(operation) or genuine(aws, service, operation, **request)

    monkeypatch.setattr(Aws, "call", call)

    def scene() -> Json:
        world.ecr.errors = [test_ecr_pull_check.refusal(code)] * 9
        found = world.only(test_ecr_pull_check.AS_USER)
        return found

    tap = Tap(monkeypatch, "secretsmanager:get_secret_value", "secretsmanager:describe_secret")

    def judge(fault: Fault, found: Json) -> None:
        assert test_ecr_pull_check.codes(found)[0] in {plain, "secret_key_mismatch"}, (fault, found)
        assert (test_ecr_pull_check.codes(found) == [plain]) or fault.path == ("AccessKeyMetadata", 0), fault

    assert tap.sweep(scene, judge) >= 2


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_no_field_that_a_grant_lacks_is_a_traceback_or_a_write(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, state: str, check_mode: bool
) -> None:
    world = test_ecr_pull_grant.World(connect, test_ecr_pull_grant.APP)

    def scene() -> Any:
        world.write(test_ecr_pull_grant.PUSH, test_ecr_pull_grant.OUTDATED)
        return world.run(check_mode, state=state)

    def judge(fault: Fault, outcome: Any) -> None:
        unread = {"registryId", "repositoryName", "UserId", "Arn"}
        answers_of_writes = {"ecr:set_repository_policy", "ecr:delete_repository_policy"}
        assert set(fault.path) & unread or fault.call in answers_of_writes, (fault, outcome)
        assert outcome.changed and test_ecr_pull_grant.PUSH in (world.policy() or {})["Statement"]

    assert Tap(monkeypatch).sweep(scene, judge) >= 12


@pytest.mark.parametrize("options", [{}, {"tags": {"team": "ml"}}, {"state": "absent"}])
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("check_mode", [True, False])
def test_no_field_that_a_public_repository_lacks_is_a_traceback(
    monkeypatch: pytest.MonkeyPatch, options: Json, exists: bool, check_mode: bool
) -> None:
    catalog = {"description": "one", "architectures": ["ARM"]}

    def scene() -> Any:
        world = test_ecr_public_repo.World()
        if exists:
            world.run(catalog_data=catalog)
        tap.answers.clear()
        given = options if options.get("state") else {"catalog_data": catalog, **options}
        return world.run(check_mode, **given)

    tap = Tap(monkeypatch)
    tap.sweep(scene, lambda fault, outcome: None)


@pytest.mark.parametrize("platforms", ["all", "one"])
@pytest.mark.parametrize("destination", [test_ecr_image_mirror.PUBLIC, test_ecr_image_mirror.OTHER])
@pytest.mark.parametrize("source", [test_ecr_image_mirror.SOURCE, "source.example/app"])
def test_no_field_that_a_mirror_lacks_is_a_traceback_or_a_lie(
    monkeypatch: pytest.MonkeyPatch, source: str, destination: str, platforms: str
) -> None:
    left_out = ("ecr:get_authorization_token", "ecr-public:get_authorization_token")

    def scene() -> Any:
        world = test_ecr_image_mirror.World()
        repository: Repository = world.registries[source]
        repository.index("v1", amd64=repository.image(), arm64=repository.image(architecture="arm64"))
        world.registries[destination].image("old")
        return world.run(source=f"{source}:v1", destination=f"{destination}:v1", platforms=platforms)

    tap = Tap(monkeypatch, *left_out)
    assert tap.sweep(scene, lambda fault, outcome: None) > 20


# What a proxy or a portal sends


@pytest.mark.parametrize("answer", ["page", "refusal", "missing", "redirect", "page with 403"])
def test_a_page_in_place_of_a_manifest_is_named_and_its_sender_looked_for(
    connect: Callable[..., Any], answer: str
) -> None:
    world = test_ecr_pull_check.World(connect, test_ecr_pull_check.STORE)
    world.registries[test_ecr_pull_check.ELSEWHERE].image("v1")
    sent = {
        "page": Answer(200, PAGE),
        "refusal": Answer(403, PAGE),
        "missing": Answer(404, PAGE),
        "redirect": Answer(302, Location="https://portal.example/"),
        "page with 403": Answer(403, PAGE, Content_Type="text/html"),
    }[answer]
    world.registries.answers = [sent] if answer == "redirect" else [Answer(200), sent]
    [finding] = world.only(**test_ecr_pull_check.NOBODY)["findings"]
    assert finding["code"] == "unexpected_answer" and "proxy" in finding["remedy"]
    if answer != "redirect":
        assert "an HTML page titled 'Sign in [31m to the network'" in finding["cause"]
    assert "\x1b" not in str(finding)


def test_a_page_in_place_of_a_token_is_no_refused_login(connect: Callable[..., Any]) -> None:
    world = test_ecr_pull_check.World(connect, test_ecr_pull_check.STORE)
    world.registries.challenges["ghcr.io"] = test_ecr_pull_check.BEARER
    world.registries.answers = [
        Answer(401, Www_Authenticate=test_ecr_pull_check.BEARER),
        Answer(200, PAGE),
    ]
    assert test_ecr_pull_check.codes(world.only(**test_ecr_pull_check.NOBODY)) == ["unexpected_answer"]


@pytest.mark.parametrize("status", [200, 404])
def test_a_mirror_does_not_take_a_page_for_a_missing_image(status: int) -> None:
    world = test_ecr_image_mirror.World()
    world.registries["source.example/app"].image("v1")
    page = Answer(status, PAGE, Content_Type="text/html")
    again = Answer(status, PAGE, Content_Type="text/html")
    world.registries.answers = [Answer(200), page, again]
    with pytest.raises(CollectionError, match="an HTML page titled 'Sign in.*look at the proxy"):
        world.run(source="source.example/app:v1", destination=f"{test_ecr_image_mirror.OTHER}:v1")
    assert world.copies == []


def test_a_head_without_a_body_that_a_registry_answers_with_html_is_asked_again() -> None:
    world = test_ecr_image_mirror.World()
    world.registries["source.example/app"].image("v1")
    world.registries[test_ecr_image_mirror.OTHER].image("old")
    world.registries.answers = [Answer(200), Answer(404, Content_Type="text/html")]
    outcome = world.run(source="source.example/app:v1", destination=f"{test_ecr_image_mirror.OTHER}:v1")
    assert outcome.results["copied"] is True


def test_a_large_page_costs_no_time() -> None:
    assert describe(b"<title" * 100_000) == "an HTML page"
    assert describe(b"  ") == "an empty answer"
    assert describe(b"gone") == "something that is no JSON object"


# Input out of all reason


@pytest.mark.parametrize(
    "options, said",
    [
        ({"images": []}, "images is empty: name at least one image"),
        ({"propagation_timeout": -1}, "propagation_timeout: -1 is not between 0 and 3600"),
        ({"propagation_timeout": 10**12}, "propagation_timeout: 1000000000000 is not between"),
        ({"images": ["evil\0.example/app:v1"], "identity": "anonymous"}, r"'evil\\x00.example' is not the name of a"),
        ({"images": ["evil.example/app:v1\n"], "identity": "anonymous"}, r"'v1\\n' is not a tag"),
        ({"images": [f"{test_ecr_pull_check.APP}\0:v1"]}, r"'app\\x00' is not a repository name"),
    ],
)
def test_a_proof_refuses_what_makes_no_sense_before_any_call(
    connect: Callable[..., Any], options: Json, said: str
) -> None:
    world = test_ecr_pull_check.World(connect, test_ecr_pull_check.STORE)
    with pytest.raises(InputError, match=said):
        world.run(**options)
    assert world.connections == [] and world.registries.calls == []


@pytest.mark.parametrize(
    "options, said",
    [
        ({"images": []}, "images is empty"),
        ({"retries": 10**12}, "retries: 1000000000000 is more than 100"),
        ({"source": "evil\0.example/app:v1"}, "is not the name of a host"),
        ({"destination": "public.ecr.aws/a/b\0"}, "is not a repository name"),
    ],
)
def test_a_mirror_refuses_what_makes_no_sense_before_any_call(options: Json, said: str) -> None:
    world = test_ecr_image_mirror.World()
    with pytest.raises(InputError, match=said):
        world.run(**options)
    assert world.regions == [] and world.registries.calls == []


@pytest.mark.parametrize(
    "options, said",
    [
        ({"repositories": ["app\0"]}, "is not a repository name"),
        ({"statement_id": "Allow\0"}, "holds characters that a Sid cannot have"),
        ({"principal_arns": ["arn:aws:iam::123456789012:role/x\0"]}, "is not the ARN of a role or user"),
    ],
)
def test_a_grant_refuses_what_makes_no_sense_before_any_call(
    connect: Callable[..., Any], options: Json, said: str
) -> None:
    world = test_ecr_pull_grant.World(connect)
    with pytest.raises(InputError, match=said):
        world.run(**options)
    assert world.calls == []


def test_a_logo_at_a_path_that_none_can_be_is_an_error() -> None:
    world = test_ecr_public_repo.World()
    with pytest.raises(InputError, match="is no path: embedded null"):
        run({**test_ecr_public_repo.OPTIONS, "catalog_data": {"logo": "a\0b"}}, False, Clients(world.aws(), read))
    assert world.calls == []


def read(path: str) -> bytes:
    return Path(path).read_bytes()


# The texts of policies


@pytest.mark.parametrize(
    "text, said",
    [
        ("<html>", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("null", "it has no Statement"),
        ("[]", "it has no Statement"),
        ("{}", "it has no Statement"),
        ('{"Statement": null}', r"Statement\[0\] is no object"),
        ('{"Statement": "all"}', r"Statement\[0\] is no object"),
        ('{"Statement": [{}, "all"]}', r"Statement\[1\] is no object"),
        ('{"Statement": [{"Sid": 1}]}', "Sid is no text"),
        ('{"Statement": [{"Principal": null}]}', "Principal is neither a text nor"),
        ('{"Statement": [{"Principal": {"AWS": [1]}}]}', "Principal is neither a text nor"),
        ('{"Statement": [{"Condition": "x"}]}', "Condition is no object of objects"),
        ('{"Statement": [{"Condition": {"StringEquals": "x"}}]}', "Condition is no object of objects"),
    ],
)
def test_a_text_that_is_no_policy_is_an_error_and_not_overwritten(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    world = test_ecr_pull_grant.World(connect, test_ecr_pull_grant.APP)
    world.write(test_ecr_pull_grant.PUSH)
    plain = Aws.call

    def call(aws: Aws, service: str, operation: str, **request: Any) -> Any:
        answer = plain(aws, service, operation, **request)
        return {**answer, "policyText": text} if operation == "get_repository_policy" else answer

    monkeypatch.setattr(Aws, "call", call)
    with pytest.raises(CollectionError, match=f"ecr:GetRepositoryPolicy: {test_ecr_pull_grant.APP}.*{said}"):
        world.run()
    assert world.policy() == test_ecr_pull_grant.policy(test_ecr_pull_grant.PUSH)


def test_a_policy_of_one_statement_without_a_list_is_one(connect: Callable[..., Any]) -> None:
    world = test_ecr_pull_grant.World(connect, test_ecr_pull_grant.APP)
    text = json.dumps({"Version": "2012-10-17", "Statement": test_ecr_pull_grant.PUSH})
    world.ecr(test_ecr_pull_grant.APP).set_repository_policy(repositoryName="app", policyText=text)
    assert world.run().changed
    assert (world.policy() or {})["Statement"] == [test_ecr_pull_grant.PUSH, test_ecr_pull_grant.OURS]


# Check mode does not wait for a right that cannot come


def test_check_mode_does_not_wait(connect: Callable[..., Any]) -> None:
    world = test_ecr_pull_check.World(connect, test_ecr_pull_check.STORE)
    world.keep(created=test_ecr_pull_check.NOW)
    world.ecr.errors = [test_ecr_pull_check.refusal("AccessDeniedException")]
    outcome = world.run(test_ecr_pull_check.AS_USER, check_mode=True)
    assert outcome.results["pullable"] is None and world.naps == []


def test_check_mode_names_a_quarantine_all_the_same(connect: Callable[..., Any]) -> None:
    world = test_ecr_pull_check.World(connect, test_ecr_pull_check.STORE)
    world.keep()
    world.store.tag({"gpuops.runpod/quarantined": "2026-08-01T00:00:00Z"})
    world.ecr.errors = [test_ecr_pull_check.refusal("AccessDeniedException")]
    assert test_ecr_pull_check.codes(world.only(test_ecr_pull_check.AS_USER, check_mode=True)) == ["quarantined"]
