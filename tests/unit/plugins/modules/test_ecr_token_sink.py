# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every target of tokens has in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import QUARANTINED
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.token_source import RefreshError, TokenSource
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    CollectionError,
    ConflictError,
    InputError,
    SupersededError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.target import SinkState
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.targets import OPTIONS, SINKS
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.token_sink import identity
from ansible_collections.gpuops.runpod.plugins.modules import ecr_token_sink
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args, result_of
from ansible_collections.gpuops.runpod.tests.sandbox.kubernetes import TOKEN, KubernetesApi, serving
from ansible_collections.gpuops.runpod.tests.unit.plugins.sinks import (
    HOST,
    IMAGE,
    KEY,
    NEW_KEY,
    OTHERS,
    AwxTarget,
    DockerConfigTarget,
    KubernetesTarget,
    RunpodSecretTarget,
    World,
)

TARGETS = {
    "awx": AwxTarget,
    "docker_config": DockerConfigTarget,
    "kubernetes": KubernetesTarget,
    "runpod_secret": RunpodSecretTarget,
}


@pytest.fixture(params=TARGETS)
def world(request: pytest.FixtureRequest, connect: Callable[..., Any], tmp_path: Path) -> World:
    return World(connect, TARGETS[request.param](tmp_path))


@pytest.fixture
def one(connect: Callable[..., Any], tmp_path: Path) -> World:
    """For what has nothing to do with the kind of target."""
    return World(connect, DockerConfigTarget(tmp_path))


def codes(result: Any) -> list[str]:
    return [finding["code"] for finding in result.results["findings"]]


def test_every_target_is_tried() -> None:
    assert TARGETS.keys() == SINKS.keys() == OPTIONS.keys() - {"type"}


def test_nine_steps(world: World) -> None:
    steps = [({}, 1, False), ({"force": True}, 1, True), ({"state": "absent"}, 1, False)]
    for changes, writes, always in steps:
        for check_mode, changed, expected in ((True, True, 0), (False, True, writes), (False, always, writes * always)):
            before = world.target.writes()
            assert world.run(check_mode, **changes).changed is changed
            assert world.target.writes() - before == expected


def test_the_target_holds_the_pull_users_token(world: World) -> None:
    result = world.run()
    assert world.target.password() == world.ecr.made[0]
    assert world.identities[0]["aws_access_key_id"] == KEY.access_key_id
    sink = result.results["sink"]
    assert sink == result.after and result.before is None
    assert (sink["type"], sink["region"], sink["registries"]) == (world.target.type, "us-east-1", [HOST])
    assert sink["expires_at"] == result.results["expires_at"] == "2026-08-01T12:00:00Z"
    assert result.results["refreshed"] is True and codes(result) == ["sink_missing"]


def test_check_mode_foretells_what_a_run_shows(world: World) -> None:
    predicted, done = world.run(check_mode=True), world.run()
    hidden = {"expires_at": None}
    after = {**done.after, **hidden, "target": {key: done.after["target"][key] for key in predicted.after["target"]}}
    assert predicted.after == after
    assert codes(predicted) == codes(done)


def test_a_fresh_token_is_left_alone(world: World) -> None:
    made = world.run()
    again = world.run()
    assert (again.changed, again.results["refreshed"], codes(again)) == (False, False, [])
    assert again.before == again.after == made.after
    assert world.ecr.made == ["token-number-1"]


def test_a_token_that_ends_soon_is_replaced_in_place(world: World) -> None:
    made = world.run()
    world.now += timedelta(hours=4)
    result = world.run()
    assert codes(result) == ["sink_ends_soon"] and result.before == made.after
    assert result.after["target"].keys() == made.after["target"].keys()
    assert world.target.password() == "token-number-2"
    assert result.results["expires_at"] == "2026-08-01T16:00:00Z"


def test_a_token_that_has_ended_is_an_error_among_the_findings(world: World) -> None:
    world.run()
    world.now += timedelta(hours=13)
    [finding] = world.run(check_mode=True).results["findings"]
    assert (finding["code"], finding["severity"]) == ("sink_expired", "error")


def test_a_token_of_a_key_that_was_replaced_is_renewed(world: World) -> None:
    world.run()
    world.keep(NEW_KEY)
    assert codes(world.run()) == ["sink_of_another"]
    assert world.target.password() == "token-number-2"
    assert world.run().changed is False


def test_what_something_else_has_written_is_not_taken_for_fresh(world: World) -> None:
    world.run()
    world.target.let_others_write()
    assert world.target.password() == OTHERS
    assert codes(world.run()) == ["sink_unknown"]
    assert world.target.password() == "token-number-2"
    assert world.run().changed is False


def test_a_removal_leaves_what_something_else_has_written(world: World) -> None:
    world.target.let_others_write()
    before = world.target.writes()
    result = world.run(state="absent")
    assert not result.changed and len(result.warnings) == 1
    assert (world.target.password(), world.target.writes()) == (OTHERS, before)


def test_the_caller_s_token_is_fresh_for_the_same_caller(world: World) -> None:
    first = world.run(secret_store=None)
    assert first.changed and "opens every repository of the region" in first.warnings[0]
    again = world.run(secret_store=None)
    assert not again.changed and not again.warnings
    assert codes(world.run()) == ["sink_of_another"]


def test_nothing_shows_a_token_or_a_key(world: World) -> None:
    results = [world.run(True), world.run(), world.run(force=True), world.run(state="absent")]
    text = repr(results)
    secrets = [*world.ecr.made, KEY.secret_access_key]
    assert len(world.ecr.made) == 2 and not [secret for secret in secrets if secret in text]


def test_a_failed_refresh_says_how_long_the_token_works(world: World) -> None:
    world.run()
    world.now += timedelta(hours=4)
    world.ecr.refusals = ["AccessDeniedException"]
    with pytest.raises(RefreshError, match="another 8.0 hours") as caught:
        world.run()
    assert caught.value.as_result()["expires_at"] == "2026-08-01T12:00:00Z"
    assert world.target.password() == "token-number-1"


def test_a_token_is_proved_before_the_target_gets_it(world: World) -> None:
    result = world.run(verify_images=[IMAGE])
    assert result.results["images"] == [{"image": IMAGE, "pullable": True}]
    world.verify = refuse  # type: ignore[method-assign]
    world.now += timedelta(hours=4)
    with pytest.raises(RefreshError, match="denied"):
        world.run(verify_images=[IMAGE])
    assert world.target.password() == "token-number-1"


def refuse(*dummy: Any) -> list[Any]:
    raise CollectionError("denied")


def test_a_fresh_token_is_proved_as_it_is_where_it_can_be_read(world: World) -> None:
    world.run()
    assert world.run(verify_images=[IMAGE]).changed is False
    readable = world.target.type in ("docker_config", "kubernetes")
    assert world.proofs == world.ecr.made[-1:] == ["token-number-1" if readable else "token-number-2"]
    assert world.target.password() == "token-number-1"


def test_a_preview_proves_with_a_token_of_the_same_kind(one: World) -> None:
    assert one.run(True, verify_images=[IMAGE]).results["images"] and one.proofs == ["token-number-1"]
    one.ecr.refusals = ["AccessDeniedException"]
    assert "cannot be told yet" in one.run(True, verify_images=[IMAGE]).warnings[0]


def test_what_differs_besides_the_token_is_set_back(one: World) -> None:
    one.run()
    one.target.path.chmod(0o644)  # type: ignore[attr-defined]
    assert codes(one.run()) == ["sink_drift"] and one.run().changed is False


# What is asked for


def test_a_region_stands_for_the_registry_of_the_account(one: World) -> None:
    for region, host in (("ap-northeast-2", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")):
        made = one.run(True, image=None, registry_region=region).after
        assert made["registries"] == [f"123456789012.dkr.ecr.{region}.{host}"]
    with pytest.raises(InputError, match="set image"):
        one.run(True, image=None, registry_region="us-iso-east-1")
    assert one.run(True, image=None, registry_region="us-east-1", secret_store=None).after["registries"] == [HOST]


def test_images_of_several_accounts_are_of_one_region(one: World) -> None:
    other = IMAGE.replace("123456789012", "111122223333")
    assert len(one.run(image=None, images=[IMAGE, other, IMAGE]).after["registries"]) == 2
    with pytest.raises(InputError, match="2 regions"):
        one.run(image=None, images=[IMAGE, IMAGE.replace("us-east-1", "eu-west-1")])
    with pytest.raises(InputError, match="verify_images"):
        one.run(verify_images=[IMAGE.replace("us-east-1", "eu-west-1")])
    with pytest.raises(InputError, match="registry_region is empty"):
        one.run(image=None, registry_region="")


@pytest.mark.parametrize(("option", "value"), [("min_validity_hours", 12.0), ("propagation_timeout", 3601)])
def test_hours_and_seconds_have_limits(one: World, option: str, value: float) -> None:
    with pytest.raises(InputError, match=option):
        one.run(**{option: value})


def test_a_life_shorter_than_asked_for_is_told(one: World) -> None:
    one.ecr.life = timedelta(hours=6)
    assert "each run refreshes it" in one.run().warnings[0]


def test_a_key_to_come_is_foretold_and_else_an_error(one: World) -> None:
    one.keep(None)
    foretold = one.run(True, verify_images=[IMAGE])
    assert foretold.changed and "holds no key yet" in foretold.warnings[0] and not one.proofs
    with pytest.raises(InputError, match="holds no key yet"):
        one.run(propagation_timeout=0)


def test_a_quarantined_user_gives_no_token(one: World) -> None:
    one.store.tag({QUARANTINED: "2026-07-31T00:00:00Z"})
    with pytest.raises(ConflictError, match="quarantined"):
        one.run()
    assert one.run(True, state="absent").changed is False


def test_a_removal_needs_no_cloud_when_it_knows_the_registry(one: World) -> None:
    one.run()
    one.aws.connect = refuse
    assert one.run(state="absent", secret_store=None).changed and one.target.password() is None


def test_a_refusal_of_a_young_key_is_waited_for(one: World) -> None:
    one.store.tag({"gpuops.runpod/granted": "2026-08-01T00:00:00Z"})
    one.ecr.refusals = ["UnrecognizedClientException", "AccessDeniedException"]
    assert one.run().changed and one.naps == [1.0, 2.0]


def test_a_role_is_one_caller_whatever_its_sessions_are_called(one: World) -> None:
    for session in ("first", "second"):
        one.aws.call = lambda *dummy, session=session, **more: (  # type: ignore[method-assign]
            {"Arn": f"arn:aws:sts::123456789012:assumed-role/refresher/{session}"}
        )
        caller = identity(one.aws, TokenSource(None, None, {}))
        assert caller == "arn:aws:sts::123456789012:assumed-role/refresher"


ROLE = "arn:aws:iam::123456789012:role/runpod/puller"


def test_a_role_s_token_is_fresh_for_the_same_role_and_repositories(world: World) -> None:
    as_role = {"secret_store": None, "role_arn": ROLE, "repositories": ["team/app"]}
    first = world.run(**as_role)
    assert first.changed and not first.warnings
    assert world.identities[-1]["aws_access_key_id"].startswith("ASIA")
    assert world.run(**as_role).changed is False
    for other in ({"repositories": ["team/other"]}, {"repositories": None}, {"role_arn": f"{ROLE}-2"}):
        assert codes(world.run(True, **{**as_role, **other})) == ["sink_of_another"]
    with pytest.raises(InputError, match="without secret_store"):
        world.run(role_arn=ROLE)


def test_a_session_that_opens_more_is_warned_of_by_the_target_s_name(one: World) -> None:
    warned = one.run(secret_store=None, repositories=["team/app"]).warnings
    assert len(warned) == 1 and warned[0].startswith(f"{one.target.path} can pull whatever arn:aws:")  # type: ignore


# Two at once


class Superseded:
    """A target to which another run comes first, a number of times."""

    def __init__(self, sink: Any, times: int) -> None:
        self.sink, self.times = sink, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sink, name)

    def write(self, *given: Any) -> SinkState:
        if self.times:
            self.times -= 1
            raise SupersededError("Something else goes on writing.")
        return self.sink.write(*given)


def test_a_write_that_another_run_came_before_is_made_anew(one: World) -> None:
    plain = one.target.connect
    one.target.connect = lambda registries: Superseded(plain(registries), 4)  # type: ignore[method-assign]
    assert one.run().changed and one.target.password() == "token-number-1"
    one.target.connect = lambda registries: Superseded(plain(registries), 5)  # type: ignore[method-assign]
    with pytest.raises(RefreshError, match="goes on writing"):
        one.run(force=True)


def test_a_token_that_another_run_has_left_is_as_good(one: World) -> None:
    plain = one.target.connect

    class Overtaken(Superseded):
        def write(self, *given: Any) -> SinkState:
            self.sink.write(*given)
            return super().write(*given)

    one.target.connect = lambda registries: Overtaken(plain(registries), 1)  # type: ignore[method-assign]
    assert one.run().after["expires_at"] == "2026-08-01T12:00:00Z" and one.target.writes() == 1


def test_options_of_the_type_are_required(capsys: pytest.CaptureFixture[str]) -> None:
    with patch_module_args({"type": "docker_config", "image": IMAGE}), pytest.raises(SystemExit):
        ecr_token_sink.main()
    assert "docker_config" in result_of(capsys.readouterr().out)["msg"]


def invoked(capsys: pytest.CaptureFixture[str], **options: Any) -> Any:
    """Return what the module says of these options, in check mode."""
    given = {"image": IMAGE, "region": "us-east-1", **options, "_ansible_check_mode": True}
    with patch_module_args(given), pytest.raises(SystemExit):
        ecr_token_sink.main()
    return json.loads(capsys.readouterr().out)


def test_the_module_speaks_to_a_cluster(
    capsys: pytest.CaptureFixture[str], connect: Callable[..., Any], tmp_path: Path
) -> None:
    with serving(KubernetesApi()) as host:
        login = {"host": host, "api_key": TOKEN}
        result = invoked(capsys, type="kubernetes", kubernetes={"name": "ecr-pull", **login})
        assert result["changed"] and result["sink"]["target"] == {"namespace": "default", "name": "ecr-pull"}
        path = tmp_path / "kubeconfig"
        code = f"print({json.dumps(json.dumps({'status': {'token': TOKEN}}))})"
        user = {"exec": {"command": sys.executable, "args": ["-c", code]}}
        document = {
            "clusters": [{"name": "c", "cluster": {"server": host}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        }
        path.write_text(json.dumps(document))
        by_file = {"name": "ecr-pull", "kubeconfig": str(path), "context": "one"}
        assert invoked(capsys, type="kubernetes", kubernetes=by_file)["changed"]
        denied = invoked(capsys, type="kubernetes", kubernetes={"name": "ecr-pull", "host": host})
        assert "HTTP 401" in denied["msg"] and TOKEN not in json.dumps([result, denied])


def test_the_module_connects_what_its_options_describe(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, connect: Callable[..., Any]
) -> None:
    target = DockerConfigTarget(tmp_path)
    result = invoked(capsys, type="docker_config", docker_config=target.options())
    assert result["changed"] and result["sink"]["target"] == {"path": str(target.path)}


# Answers that lack something, or have it in another form

EVERY = 3  # all of them take long
OTHERS_OF_ANY_KIND: tuple[Any, ...] = (None, 7, "", "text", [], {}, [None], True)


def variants(document: Any) -> Iterator[Any]:
    """Yield the document with one part of it replaced by something of another kind, or left out."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield {name: part for name, part in document.items() if name != key}
            yield from ({**document, key: other} for other in (*OTHERS_OF_ANY_KIND, *variants(value)))
    if isinstance(document, list):
        for number, value in enumerate(document):
            yield from ([*document[:number], other, *document[number + 1 :]] for other in variants(value))


@pytest.mark.parametrize("kind", ["awx", "kubernetes"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_whatever_an_answer_lacks_ends_in_a_result_or_an_error_of_ours(
    kind: str, state: str, connect: Callable[..., Any], tmp_path: Path
) -> None:
    world = World(connect, TARGETS[kind](tmp_path))
    opener: Any = world.target.opener  # type: ignore[attr-defined]
    plain, seen = opener.handle, []

    def noting(*given: Any) -> tuple[int, Any]:
        status, document = plain(*given)
        seen.append(json.loads(document) if isinstance(document, bytes) else document)
        return status, document

    asked = {"state": state, "check_mode": state == "absent", "force": True}
    world.run()
    opener.handle = noting
    world.run(**asked)
    answers = list(seen)
    assert answers
    for number, answer in enumerate(answers):
        for variant in islice(variants(answer), number % EVERY, None, EVERY):
            calls = iter(range(len(answers) * 3))

            def garbled(
                *given: Any, calls: Iterator[int] = calls, number: int = number, variant: Any = variant
            ) -> tuple[int, Any]:
                return (200, variant) if next(calls, -1) == number else plain(*given)

            opener.handle = garbled
            try:
                world.run(**asked)
            except CollectionError as error:
                assert "token-number" not in str(error)
