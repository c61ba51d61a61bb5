# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.finding import (
    Rule,
    as_option,
    as_tag,
    module_call,
    worst_first,
)

ROW = Rule("broken", "error", "{what} is broken", "mend {what}")
HOSTILE = [
    "{{ lookup('pipe', 'touch carried-out') }}",
    "{% for x in [lookup('pipe', 'touch carried-out')] %}{% endfor %}",
    "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ lookup('pipe', 'touch carried-out') ]]",
    "'; touch carried-out; '",
    '"; touch carried-out; "',
    "$(touch carried-out)",
    "`touch carried-out`",
    "x\ntouch carried-out\n",
    "x & touch carried-out || > carried-out",
    "-e x=1 state=present \\' \\u007b\\u007b \\",
    "\x1b]0;title\x07\x1b[31mred\x7f\x9b31m\x00",
    "\u202egnp.exe \u00e9\U0001f600 \u2028 \ufeff",
    '{"__ansible_vault": "x"}',
]


def test_a_row_is_filled_with_facts() -> None:
    filled = {"code": "broken", "severity": "error", "cause": "{a} is broken", "remedy": "mend {a}"}
    assert ROW.filled({"what": "{a}", "unused": 1}) == filled


def test_a_row_quotes_what_is_a_word_of_a_command() -> None:
    row = Rule("broken", "error", "{what!r}", "aws iam mend --name {what!q} --others {what}")
    remedy = row.filled({"what": "x; rm y"})["remedy"]
    assert remedy == "aws iam mend --name 'x; rm y' --others x; rm y"


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_of_a_row_is_carried_out_by_a_terminal(name: str) -> None:
    filled = ROW.filled({"what": name})
    assert (filled["cause"] + filled["remedy"]).isprintable()


@pytest.mark.parametrize("name", [*HOSTILE, "-x", "--output=text", "plain+=,.@-_"])
def test_a_value_is_one_of_its_option_whatever_it_begins_with(name: str, tmp_path: Path) -> None:
    name = name.replace("\0", "")  # which no program can be given
    row = Rule("broken", "error", "", "aws iam mend --name{what!o} --more")
    remedies = [f"aws iam mend --name{as_option(name)} --more"]
    if name.isprintable():
        assert row.filled({"what": name})["remedy"] == remedies[0]
    given = pasted(remedies[0], tmp_path)
    assert given in (["iam", "mend", "--name", name, "--more"], ["iam", "mend", f"--name={name}", "--more"])
    assert given[2] == "--name" or name.startswith("-")


@pytest.mark.parametrize("value", ["puller", "a,b", "a=b", "{x}", "it's"])
def test_a_tag_is_one_whatever_its_value_means_to_the_short_form(value: str, tmp_path: Path) -> None:
    [given] = pasted(f"aws {as_tag('key', value)}", tmp_path)
    assert (
        given == f"Key=key,Value={value}"
        if value == "puller"
        else json.loads(given) == [{"Key": "key", "Value": value}]
    )


def test_the_worst_comes_first_and_the_others_keep_their_order() -> None:
    severities = ["info", "error", "warning", "error"]
    found = worst_first({"severity": severity, "at": at} for at, severity in enumerate(severities))
    assert [one["at"] for one in found] == [1, 3, 2, 0]


def test_a_call_of_a_module_is_short_where_its_options_are_plain() -> None:
    call = module_call("runpod_template", name="team/app-1", disk=50)
    words = ["ansible", "localhost", "-m", "gpuops.runpod.runpod_template", "-a", '{"name": "team/app-1", "disk": 50}']
    assert shlex.split(call) == words


def pasted(command: str, folder: Path) -> list[str]:
    """Return the arguments that a program gets when a command is pasted into a shell in an empty folder."""
    program, work = folder / "bin", folder / "work"
    work.mkdir()
    program.mkdir()
    for name in ("ansible", "aws"):
        (program / name).write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
        (program / name).chmod(0o755)
    environment = {"PATH": f"{program}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(["sh", "-c", command], cwd=work, env=environment, capture_output=True, check=True)
    assert (list(work.iterdir()), done.stderr) == ([], b"")
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_call_of_a_module_is_data_to_the_shell_and_to_ansible(name: str, tmp_path: Path) -> None:
    call = module_call("runpod_template", name=name, repositories=[name], secret_store={"name": name})
    assert call.isprintable() and call.isascii()
    *before, arguments = pasted(call, tmp_path)
    assert before == ["localhost", "-m", "gpuops.runpod.runpod_template", "-a"]
    marked = {"__ansible_unsafe": name}
    assert json.loads(arguments) == {"name": marked, "repositories": [marked], "secret_store": {"name": marked}}
