# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the audit, rendered by Ansible as the role does."""

from __future__ import annotations

import copy
import html
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.gpuops.runpod.plugins.module_utils._core.finding import module_call
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.report import audit as judge
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import workloads
from tests.system.conftest import REGISTRY, House

from .audits import WORKLOADS, audited, observed
from .test_audit import neighbour, tag_gone, template_changed, token_over

pytestmark = pytest.mark.unmeasured

PAGE = Path(__file__).resolve().parents[3] / "roles" / "runpod_ecr" / "templates" / "audit.html.j2"
HOSTILE = """<script>alert(1)</script>"><img onerror='x'>&amp;{{ 7 * 7 }}{% raw %}"""
STRUCTURE = {"status", "kind", "kinds", "links", "severity", "generated_at", "since", "starts_at", "ends_at", "number"}
VOID = {"meta", "input", "use", "path", "rect", "circle", "line"}

Json = dict[str, Any]


def rendered(audit: Json) -> str:
    templar = Templar(loader=DataLoader(), variables={"__runpod_ecr_audit": audit})
    return templar.template(trust_as_template(PAGE.read_text()))


class Outline(HTMLParser):
    """The elements of a page with the names of their attributes, and all its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, dummy in attrs)))
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.targets += [value or "" for name, value in attrs if name == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def healthy(house: House) -> Json:
    house.arrange(*WORKLOADS)
    return audited(house)


@pytest.fixture
def spoilt(house: House) -> Json:
    """A report with something of everything."""
    house.arrange(*WORKLOADS)
    tag_gone(house)
    token_over(house)
    template_changed(house)
    neighbour(house)
    house.sandbox.runpod.seed("registries", {"name": "unused"})
    house.sandbox.fail("^GET /v2/registries/delegations$", answer={"status": 403, "body": {"detail": "no"}}, times=None)
    return audited(house, rotate_after_days=0)


def with_text(value: Any, text: str) -> Any:
    """Return a report whose every name, cause, remedy and raw text is another."""
    if isinstance(value, dict):
        return {key: one if key in STRUCTURE else with_text(one, text) for key, one in value.items()}
    if isinstance(value, list):
        return [with_text(one, text) for one in value]
    return text if isinstance(value, str) else value


@pytest.mark.parametrize("audit", ["healthy", "spoilt"])
def test_the_page_needs_nothing_and_runs_nothing(audit: str, request: pytest.FixtureRequest) -> None:
    page = rendered(request.getfixturevalue(audit))
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|//\w|src=|url\(|@import|<script|<link|<iframe|\son\w+=|javascript:", page)
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    assert {target[1:] for target in outline.targets if target.startswith("#")} <= set(outline.ids)
    assert all(target.startswith("#") for target in outline.targets)


def test_what_the_clouds_call_things_is_text_and_nothing_else(spoilt: Json) -> None:
    plain, hostile = with_text(spoilt, "x"), with_text(spoilt, HOSTILE)
    one, other = Outline(rendered(plain)), Outline(rendered(hostile))
    assert one.elements == other.elements
    assert HOSTILE in other.text


def test_nothing_is_written_without_being_escaped() -> None:
    shown = re.findall(r"{{ (.*?) }}", PAGE.read_text())
    macros = tuple(f"{name}(" for name in re.findall(r"{% macro (\w+)\(", PAGE.read_text()))
    assert [each for each in shown if not each.startswith(macros) and not each.endswith("| e")] == []


def test_findings_come_first_and_the_worst_of_them_first(spoilt: Json) -> None:
    text = Outline(rendered(spoilt)).text
    assert "RunPod cannot pull 2 of 2 workloads" in text
    causes = [one["cause"] for one in spoilt["findings"] if one["status"] != "green"]
    order = [f"{len(causes)} findings", *causes, "Keys and tokens", "2 workloads", "nobody owns"]
    order += ["Used by others", "Worth knowing"]
    body = text[text.index(order[0]) :]
    places = [body.index(f"\n{each}" if each == "2 workloads" else each) for each in order]
    assert places == sorted(places)
    assert "since 2026-01-01 00:00 UTC" in text and f"Looked as{spoilt['identity']}" in text.replace("\n", "")


def test_only_what_is_proved_is_as_it_should_be(house: House, healthy: Json) -> None:
    assert "is as it should be, as far as it can be seen from outside." in rendered(healthy)
    house.arrange(access="delegation")
    page = rendered(audited(house, workloads=[{"image": f"{REGISTRY}/runpod-gpu-training:v1"}], access="delegation"))
    assert "as it should be" not in page and "it is not proved that RunPod can pull the workload" in page
    assert "Not proved. Only RunPod has the roles" in Outline(page).text


@pytest.mark.parametrize(
    ("summary", "status", "said"),
    [
        ({"workloads": 1, "green": 1}, "green", "RunPod can pull the workload"),
        ({"workloads": 3, "green": 3}, "green", "RunPod can pull all 3 workloads"),
        ({"workloads": 3, "amber": 1}, "amber", "RunPod can pull now, but 1 of 3 workloads needs a hand soon"),
        (
            {"workloads": 3, "grey": 1, "unproven": 2},
            "grey",
            "Nothing is known to be wrong, but 1 of 3 workloads could not be looked at in full",
        ),
        ({"workloads": 3, "unproven": 2}, "unproven", "it is not proved that RunPod can pull 2 of 3 workloads"),
        ({"workloads": 3, "green": 3}, "grey", "RunPod can pull all 3 workloads"),
        ({"workloads": 3, "green": 3}, "amber", "all 3 workloads, but something else"),
        ({"workloads": 1, "red": 1}, "red", "RunPod cannot pull the workload now"),
        ({"workloads": 3, "red": 1, "amber": 2}, "red", "cannot pull 1 of 3 workloads now; 2 more need a hand soon"),
    ],
)
def test_the_first_line_answers_the_question(healthy: Json, summary: Json, status: str, said: str) -> None:
    counts = {**dict.fromkeys(healthy["summary"], 0), **summary}
    assert said in Outline(rendered({**healthy, "status": status, "summary": counts})).text


def test_a_command_stands_apart_from_the_words_about_it(spoilt: Json) -> None:
    audit = spoilt
    audit["findings"][0]["remedy"] = "When nothing needs it: aws iam delete-user --user-name x"
    audit["findings"][1]["remedy"] = "ansible localhost -m ping"
    page = rendered(audit)
    assert "<code>aws iam delete-user --user-name x</code>" in page and "When nothing needs it:" in page
    assert "<code>ansible localhost -m ping</code>" in page


def test_a_name_that_looks_like_a_command_is_a_part_of_the_one_it_is_in(spoilt: Json) -> None:
    audit = spoilt
    call = module_call("runpod_template", name="x: ansible-playbook evil.yml #", state="absent")
    audit["findings"][0]["remedy"] = f"When nothing needs it: {call}"
    audit["findings"][1]["remedy"] = call
    page = rendered(audit)
    assert page.count(f"<code>{html.escape(call)}</code>".replace("&#x27;", "&#39;").replace("&quot;", "&#34;")) == 2
    assert "<code>ansible-playbook evil" not in page


@pytest.mark.parametrize(
    "name",
    [
        "</code></pre><script>alert(1)</script>",
        "' onmouseover='alert(1)",
        '" style="x" x="',
        "<!--",
        "]]>",
        "&lt;script&gt;",
    ],
)
def test_a_hostile_name_is_shown_in_a_remedy_as_what_it_is(spoilt: Json, name: str) -> None:
    plain, hostile = copy.deepcopy(spoilt), copy.deepcopy(spoilt)
    for audit, value in ((plain, "x"), (hostile, name)):
        for one in audit["findings"]:
            one["remedy"] = module_call("runpod_template", name=value, state="absent")
    one, other = Outline(rendered(plain)), Outline(rendered(hostile))
    assert one.elements == other.elements
    assert json.dumps(name) in other.text.replace(r"\u0027", "'")


def test_a_fleet_is_folded_and_quick(house: House) -> None:
    house.arrange(*WORKLOADS)
    desired, seen = observed(house)
    items = workloads([{"image": f"{REGISTRY}/team/app-{number}:v1"} for number in range(300)], {"serverless": True})
    finding = {"code": "tag_not_found", "severity": "error", "cause": "It is gone.", "remedy": "Push it."}
    image = {"digest": None, "platforms": [], "size": None, "pullable": False, "findings": [finding]}
    proof = [{"image": item["image"], **image} for item in items[:9]]
    report = judge(desired._replace(items=items), seen._replace(proof=proof, templates=None, runpod_findings=[]))
    start = time.process_time()
    page = rendered(report)
    assert time.process_time() - start < 20
    assert len(page) < 1_200_000
    assert page.count(" open>") == 3
    assert 'id="red-only"' in page and 'id="amber-only"' not in page


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_in_both_colour_schemes(scheme: int) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", re.findall(r":root {(.*?)}", PAGE.read_text(), re.S)[scheme]))
    grounds = ("paper", "card", "red-bg", "amber-bg", "grey-bg", "unproven-bg", "green-bg")
    pairs = [(text, ground) for text in ("ink", "soft") for ground in (*grounds, "code")]
    pairs += [
        (tone, ground) for tone in ("red", "amber", "grey", "unproven", "green") for ground in ("card", f"{tone}-bg")
    ]
    assert [pair for pair in pairs if contrast(colours[pair[0]], colours[pair[1]]) < 4.5] == []


# The page of a fleet


OVERVIEW = PAGE.with_name("audits.html.j2")


def overview(*audits: Json | None) -> str:
    """Return the page over hosts of which some may not have been audited."""
    hosts = [f"team-{number:03}" for number in range(len(audits))]
    known = {
        host: {"inventory_hostname": host, "__runpod_ecr_audit": audit}
        for host, audit in zip(hosts, audits, strict=True)
        if audit
    }
    variables = {
        "ansible_play_hosts_all": hosts,
        "hostvars": known,
        "runpod_ecr_audit_report": "/reports/audit.html",
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    return templar.template(trust_as_template(OVERVIEW.read_text()))


def with_status(healthy: Json, status: str, *causes: str) -> Json:
    ranks = ["red", "amber", "grey", "unproven", "green"]
    found = [{"status": status, "cause": cause} for cause in causes]
    return {**healthy, "status": status, "rank": ranks.index(status), "findings": found}


def test_an_overview_counts_and_leads_to_the_worst_first(healthy: Json) -> None:
    fine, bad = with_status(healthy, "green"), with_status(healthy, "red", "It is broken.", "So is this.", "And this.")
    amber = with_status(healthy, "amber", HOSTILE)
    outline = Outline(overview(*[fine] * 150, amber, None, *[bad] * 3, *[fine] * 45))
    assert "RunPod cannot pull something now on 3 of 200 hosts" in outline.text
    assert "200 hosts: 3 red, 1 amber, 195 green, 1 not audited." in outline.text
    assert outline.targets[:4] == [f"audit-team-{number}.html" for number in (152, 153, 154, 150)]
    assert len(outline.targets) == 199
    assert "It is broken. And 2 more." in outline.text and "So is this." not in outline.text
    assert HOSTILE in outline.text and "script" not in {name for name, dummy in outline.elements}


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (["green", "green"], "RunPod can pull everything"),
        (["green", "unproven"], "Nothing is wrong, and not all pulls are proved"),
        (["green", "grey"], "Something could not be looked at"),
        (["green", "amber"], "RunPod can pull now, but something needs a hand"),
        (["green", None], "RunPod can pull now, but something needs a hand"),
    ],
)
def test_an_overview_answers_for_the_worst_host(healthy: Json, statuses: list[str | None], said: str) -> None:
    page = overview(*(with_status(healthy, status, "Look.") if status else None for status in statuses))
    assert said in Outline(page).text
