# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the REST API of AWX 24.6.1: what the modules of awx.awx ask of it, with its fields and refusals.

The fields stand in awx_fields.json as the API's OPTIONS tell them. What AWX ignores silently is a refusal here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from threading import Thread
from typing import Any

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

Json = dict[str, Any]

FIELDS: dict[str, dict[str, Json]] = json.loads(Path(__file__).with_name("awx_fields.json").read_text())
USER, PASSWORD, TOKEN = "admin", "example", "example-of-a-token"
HIDDEN = "$encrypted$"
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "id": (int,),
    "json": (dict, list, str),
    "choice": (str, int),
}
# The kinds of things, as `type` names them, and what a field refers to.
SINGULAR = {"inventories": "inventory"}
TEMPLATES = ("job_templates", "workflow_job_templates", "workflow_approval_templates", "projects")
REFERENCES = {
    "organization": ("organizations",),
    "credential_type": ("credential_types",),
    "credential": ("credentials",),
    "webhook_credential": ("credentials",),
    "signature_validation_credential": ("credentials",),
    "execution_environment": ("execution_environments",),
    "default_environment": ("execution_environments",),
    "inventory": ("inventories",),
    "project": ("projects",),
    "workflow_job_template": ("workflow_job_templates",),
    "unified_job_template": TEMPLATES,
}
NOTIFICATIONS = {
    f"notification_templates_{event}": "notification_templates" for event in ("started", "success", "error")
}
PROMPTS = {"credentials": "credentials", "labels": "labels", "instance_groups": "instance_groups"}
LINKS = dict.fromkeys(("success_nodes", "failure_nodes", "always_nodes"), "workflow_job_template_nodes")
LISTS: dict[str, dict[str, str]] = {
    "job_templates": {**NOTIFICATIONS, **PROMPTS},
    "workflow_job_templates": {
        **NOTIFICATIONS,
        "notification_templates_approvals": "notification_templates",
        "labels": "labels",
    },
    "workflow_job_template_nodes": {**PROMPTS, **LINKS},
    "schedules": PROMPTS,
    "projects": NOTIFICATIONS,
    "inventories": {"instance_groups": "instance_groups"},
}
ROLES = {
    "job_templates": ("admin", "execute", "read"),
    "workflow_job_templates": ("admin", "execute", "approval", "read"),
    "teams": ("admin", "member", "read"),
}
# What goes with what it belongs to, and what only loses it.
CASCADES = {
    "inventories": [("hosts", "inventory")],
    "workflow_job_templates": [
        ("workflow_job_template_nodes", "workflow_job_template"),
        ("schedules", "unified_job_template"),
    ],
    "job_templates": [("schedules", "unified_job_template")],
    "projects": [],
}
UNIQUE = {
    "credential_types": ("name", "kind"),
    "credentials": ("name", "organization", "credential_type"),
    "execution_environments": ("name",),
    "hosts": ("name", "inventory"),
    "workflow_job_template_nodes": ("identifier", "workflow_job_template"),
    "schedules": ("name", "unified_job_template"),
    "workflow_approval_templates": (),
}
APPROVAL_FIELDS = {
    "name": {"type": "string", "required": True},
    "description": {"type": "string", "default": ""},
    "timeout": {"type": "integer", "default": 0},
}
# What the modules send and AWX ignores: it is the project's, or AWX' own.
READ_ONLY = {
    ("job_templates", "organization"),
    ("credential_types", "managed"),
    ("workflow_approval_templates", "type"),
    ("workflow_job_template_nodes", "type"),
}
SECRETS = {"api_key", "password", "secret_key", "external_id"}


class Refusal(HTTPException):
    def __init__(self, status: int, body: Json) -> None:
        super().__init__(response=answer(status, body))


def answer(status: int, body: Any = None) -> Response:
    headers = {"X-API-Product-Name": "AWX", "X-API-Product-Version": "24.6.1"}
    text = "" if body is None else json.dumps(body)
    return Response(text, status=status, headers=headers, content_type="application/json")


class Controller:
    """What a controller holds, by kind and id, and how it answers; `prefix` is where its API is."""

    def __init__(self, prefix: str = "/api/") -> None:
        self.prefix = f"{prefix}v2/"
        self.apis = {"controller": prefix} if prefix != "/api/" else None
        self.things: dict[str, dict[int, Json]] = {kind: {} for kind in (*FIELDS, "workflow_approval_templates")}
        self.links: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], Json] = {}
        self.granted: dict[int, list[int]] = {}
        self.roles: dict[int, tuple[str, int, str]] = {}
        self.writes: list[str] = []
        self.modified: dict[tuple[str, int], datetime] = {}
        self.clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
        self._last = 0
        self.add("organizations", {"name": "Default"})
        amazon = {"fields": [{"id": name} for name in ("username", "password", "security_token")]}
        self.add("credential_types", {"name": "Amazon Web Services", "kind": "cloud", "inputs": amazon})

    # What tests see and do

    def add(self, kind: str, given: Json) -> Json:
        """Make a thing as somebody on AWX' pages does."""
        fields = self.fields_of(kind)
        empty = {name: field.get("default") for name, field in fields.items()}
        self._last += 1
        self.things[kind][self._last] = {"id": self._last, **empty, **given}
        for role in ROLES.get(kind, ()):
            self._last += 1
            self.roles[self._last] = (kind, max(self.things[kind]), f"{role}_role")
        return self.things[kind][max(self.things[kind])]

    def one(self, kind: str, name: str) -> Json:
        [found] = [thing for thing in self.things[kind].values() if thing.get("name") == name]
        return found

    def snapshot(self) -> Json:
        """Return all that is there, by names, so that two states can be compared."""
        return json.loads(
            json.dumps(
                {
                    "things": {
                        kind: sorted((self.shown(kind, one) for one in things.values()), key=str)
                        for kind, things in self.things.items()
                    },
                    "granted": sorted(
                        f"{self.things['teams'][team]['name']} {role} {self.things[kind][one]['name']}"
                        for number, teams in self.granted.items()
                        for kind, one, role in [self.roles[number]]
                        for team in teams
                    ),
                }
            )
        )

    def shown(self, kind: str, thing: Json) -> Json:
        named = {
            name: self.name_of(name, value) if name in REFERENCES and value is not None else value
            for name, value in thing.items()
            if name != "id"
        }
        lists = {
            name: sorted(
                self.things[other][one].get("name") or self.things[other][one]["identifier"]
                for one in self.links.get((kind, thing["id"], name), [])
            )
            for name, other in LISTS.get(kind, {}).items()
        }
        return {**named, **lists, "survey": self.surveys.get((kind, thing["id"]))}

    def name_of(self, field: str, value: int) -> str:
        kind = self.kind_of(field, value)
        return str(self.things[kind][value]["name"])

    # The API

    def __call__(self, environ: Any, start: Any) -> Any:
        request = Request(environ)
        try:
            response = self.handle(request)
        except HTTPException as error:
            response = error.get_response() if error.response is None else error.response  # type: ignore[assignment]
        return response(environ, start)

    def handle(self, request: Request) -> Response:
        if request.path == "/api/":
            return answer(200, {"apis": self.apis} if self.apis else {"current_version": self.prefix})
        if not self.authorized(request):
            raise Refusal(401, {"detail": "Authentication credentials were not provided."})
        if not request.path.startswith(self.prefix) or not request.path.endswith("/"):
            raise NotFound
        method = request.method
        if method not in ("GET", "HEAD") and "/tokens/" not in request.path:
            self.writes.append(f"{method} {request.path.removeprefix(self.prefix)}")
        for pattern, handler in ROUTES:
            if found := re.fullmatch(pattern, request.path.removeprefix(self.prefix)):
                return handler(self, request, *found.groups())
        raise NotFound

    def authorized(self, request: Request) -> bool:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return request.headers.get("Authorization") in (f"Bearer {TOKEN}", f"Basic {basic}")

    def tokens(self, request: Request, *dummy: str) -> Response:
        return answer(204) if request.method == "DELETE" else answer(201, {"id": 1, "token": TOKEN})

    def unified(self, request: Request) -> Response:
        found = [
            (kind, one) for kind in TEMPLATES for one in self.things[kind].values() if self.matches(kind, one, request)
        ]
        results = [self.told(kind, one) for kind, one in found]
        return answer(200, {"count": len(found), "next": None, "previous": None, "results": results})

    def listing(self, request: Request, kind: str) -> Response:
        if kind not in FIELDS:
            raise NotFound
        if request.method == "POST":
            return answer(201, self.told(kind, self.create(kind, request.get_json())))
        size = int(request.args.get("page_size", "25"))
        found = [one for one in self.things[kind].values() if self.matches(kind, one, request)]
        results = [self.told(kind, one) for one in found[:size]]
        return answer(200, {"count": len(found), "next": None, "previous": None, "results": results})

    def matches(self, kind: str, thing: Json, request: Request) -> bool:
        asked = {name: value for name, value in request.args.items() if name not in ("page_size", "page")}
        either = {name.removeprefix("or__"): value for name, value in asked.items() if name.startswith("or__")}
        every = {name: value for name, value in asked.items() if not name.startswith("or__")}
        return all(self.meets(kind, thing, name, value) for name, value in every.items()) and (
            not either or any(self.meets(kind, thing, name, value) for name, value in either.items())
        )

    def meets(self, kind: str, thing: Json, name: str, wanted: str) -> bool:
        field, *rest = name.split("__")
        if field == "organization" and kind == "job_templates":
            thing = {**thing, "organization": self.things["projects"][thing["project"]]["organization"]}
        if kind == "workflow_approval_templates":
            thing = {"organization": None, **thing}
        if field not in thing:
            raise Refusal(400, {"detail": f"{kind} has no field named '{field}'"})
        value = thing[field]
        if rest and field in REFERENCES:
            if value is None:
                return False
            other = self.kind_of(field, value)
            return self.meets(other, self.things[other][value], "__".join(rest), wanted)
        compare = {"startswith": str.startswith, "in": lambda text, names: text in names.split(",")}
        return compare[rest[0]](str(value), wanted) if rest else str(value) == wanted

    def kind_of(self, field: str, value: int) -> str:
        kinds = [kind for kind in REFERENCES[field] if value in self.things[kind]]
        if not kinds:
            raise Refusal(400, {field: [f'Invalid pk "{value}" - object does not exist.']})
        return kinds[0]

    def fields_of(self, kind: str) -> dict[str, Json]:
        return APPROVAL_FIELDS if kind == "workflow_approval_templates" else FIELDS[kind]

    def create(self, kind: str, given: Json) -> Json:
        missing = [name for name, field in self.fields_of(kind).items() if field.get("required") and name not in given]
        if missing:
            raise Refusal(400, {name: ["This field is required."] for name in missing})
        checked = self.checked(kind, given)
        self.require_unique(kind, None, checked)
        self.require_inputs(kind, checked)
        made = self.add(kind, checked)
        self.modified[kind, made["id"]] = self.clock()
        return made

    def checked(self, kind: str, given: Json) -> Json:
        """Return what is stored of what was given. Raises Refusal."""
        given = {name: value for name, value in given.items() if (kind, name) not in READ_ONLY}
        fields = self.fields_of(kind)
        wrong = {name: ["no such field"] for name in given.keys() - fields.keys()}
        for name, value in given.items():
            if name in fields and (said := self.fault(name, fields[name], value)):
                wrong[name] = [said]
        if wrong:
            raise Refusal(400, wrong)
        if kind == "credentials" and "inputs" in given:
            return {**given, "inputs": {name: value for name, value in given["inputs"].items() if value != ""}}
        return given

    def fault(self, name: str, field: Json, value: Any) -> str:
        if value is None:
            return "This field may not be null." if field.get("required") else ""
        if field["type"] == "integer" and isinstance(value, bool) or not isinstance(value, TYPES[field["type"]]):
            return f"{value!r} is no {field['type']}"
        if field["type"] == "choice" and value not in field["choices"]:
            return f'"{value}" is not a valid choice.'
        if field["type"] == "string" and len(value) > field.get("max", 2**20):
            return "Ensure this field has no more characters."
        if field["type"] == "id":
            self.kind_of(name, value)
        return ""

    def require_unique(self, kind: str, own: int | None, thing: Json) -> None:
        fields = UNIQUE.get(kind, ("name", "organization" if "organization" in self.fields_of(kind) else "name"))
        if fields and any(
            one["id"] != own and all(one.get(name) == thing.get(name) for name in fields)
            for one in self.things[kind].values()
        ):
            raise Refusal(400, {"__all__": [f"{kind} with this {' and '.join(fields)} already exists."]})

    def require_inputs(self, kind: str, thing: Json) -> None:
        """Refuse inputs that a credential's type does not have."""
        if kind == "credentials":
            fields = self.things["credential_types"][thing["credential_type"]]["inputs"].get("fields", [])
            if unknown := thing["inputs"].keys() - {field["id"] for field in fields}:
                raise Refusal(400, {"inputs": {name: ["Additional properties are not allowed"] for name in unknown}})

    def found(self, kind: str, number: str) -> Json:
        thing = self.things.get(kind, {}).get(int(number))
        if thing is None:
            raise NotFound
        return thing

    def detail(self, request: Request, kind: str, number: str) -> Response:
        thing = self.found(kind, number)
        if request.method == "PATCH":
            changed = self.checked(kind, request.get_json())
            self.require_unique(kind, thing["id"], {**thing, **changed})
            self.require_inputs(kind, {**thing, **changed})
            if kind == "credentials" and "inputs" in changed:
                kept = {name: value for name, value in changed["inputs"].items() if value != HIDDEN}
                changed["inputs"] = {**thing["inputs"], **kept}
            thing.update(changed)
            self.modified[kind, thing["id"]] = self.clock()
        elif request.method == "DELETE":
            self.delete(kind, thing["id"])
            return answer(204)
        return answer(200, self.told(kind, thing))

    def delete(self, kind: str, number: int) -> None:
        if kind == "credential_types" and any(
            one["credential_type"] == number for one in self.things["credentials"].values()
        ):
            raise Refusal(403, {"detail": "Credential types that are in use cannot be deleted"})
        for other, field in CASCADES.get(kind, []):
            for one in [one["id"] for one in self.things[other].values() if one[field] == number]:
                self.delete(other, one)
        thing = self.things[kind].pop(number)
        approval = thing.get("unified_job_template")
        if kind == "workflow_job_template_nodes" and approval in self.things["workflow_approval_templates"]:
            del self.things["workflow_approval_templates"][approval]
        self.forget(kind, number)

    def forget(self, kind: str, number: int) -> None:
        """Let nothing refer to what is gone; labels that nothing bears go, too."""
        gone = {role for role, (of, one, dummy) in self.roles.items() if (of, one) == (kind, number)}
        self.roles = {role: held for role, held in self.roles.items() if role not in gone}
        self.granted = {
            role: [team for team in teams if (kind, team) != ("teams", number)]
            for role, teams in self.granted.items()
            if role not in gone
        }
        self.links = {
            key: [one for one in ids if (LISTS[key[0]][key[2]], one) != (kind, number)]
            for key, ids in self.links.items()
            if key[:2] != (kind, number)
        }
        for other in self.things.values():
            for one in other.values():
                one.update({name: None for name in REFERENCES if one.get(name) == number})
        self.surveys.pop((kind, number), None)
        if kind in ("job_templates", "workflow_job_templates"):
            borne = {one for (_kind, _number, name), ids in self.links.items() if name == "labels" for one in ids}
            self.things["labels"] = {one: label for one, label in self.things["labels"].items() if one in borne}

    def related_list(self, request: Request, kind: str, number: str, name: str) -> Response:
        self.found(kind, number)
        if name not in LISTS.get(kind, {}):
            raise NotFound
        other, ids = LISTS[kind][name], self.links.setdefault((kind, int(number), name), [])
        if request.method == "POST":
            given = request.get_json()
            self.found(other, str(given["id"]))
            if given.get("disassociate"):
                ids.remove(given["id"])
            elif given["id"] not in ids:
                ids.append(given["id"])
            return answer(204)
        results = [self.told(other, self.things[other][one]) for one in ids]
        return answer(200, {"count": len(ids), "next": None, "previous": None, "results": results})

    def survey(self, request: Request, kind: str, number: str) -> Response:
        self.found(kind, number)
        if request.method == "POST":
            given = request.get_json()
            if not given.get("spec") or {"name", "description"} - given.keys():
                raise Refusal(400, {"error": "'spec' doesn't contain any items."})
            self.surveys[kind, int(number)] = given
        return answer(200, self.surveys.get((kind, int(number)), {}))

    def approval(self, request: Request, number: str) -> Response:
        node = self.found("workflow_job_template_nodes", number)
        node["unified_job_template"] = self.create("workflow_approval_templates", request.get_json())["id"]
        made = self.things["workflow_approval_templates"][node["unified_job_template"]]
        return answer(201, self.told("workflow_approval_templates", made))

    def grants(self, request: Request, number: str, dummy: str) -> Response:
        if int(number) not in self.roles:
            raise NotFound
        teams = self.granted.setdefault(int(number), [])
        if request.method == "POST":
            given = request.get_json()
            self.found("teams", str(given["id"]))
            if given.get("disassociate"):
                teams.remove(given["id"])
            elif given["id"] not in teams:
                teams.append(given["id"])
            return answer(204)
        results = [self.told("teams", self.things["teams"][one]) for one in teams]
        return answer(200, {"count": len(teams), "next": None, "previous": None, "results": results})

    def told(self, kind: str, thing: Json) -> Json:
        """Return a thing as the API shows it."""
        number, url = thing["id"], f"{self.prefix}{kind}/{thing['id']}/"
        related = {name: f"{url}{name}/" for name in (*LISTS.get(kind, {}), "survey_spec")}
        summary: Json = {}
        for field in REFERENCES:
            if thing.get(field) is not None:
                other = self.kind_of(field, thing[field])
                named = self.things[other][thing[field]]
                summary[field] = {"id": thing[field], "name": named["name"]}
                related[field] = f"{self.prefix}{other}/{thing[field]}/"
                if field == "unified_job_template":
                    summary[field]["unified_job_type"] = JOB_TYPES[other]
        roles = {role: one for one, (of, held, role) in self.roles.items() if (of, held) == (kind, number)}
        summary["object_roles"] = {role: {"id": one} for role, one in roles.items()}
        shown = {
            **thing,
            "type": SINGULAR.get(kind, kind[:-1]),
            "url": url,
            "related": related,
            "summary_fields": summary,
        }
        if kind == "credentials":
            shown["inputs"] = {name: HIDDEN if name in SECRETS else value for name, value in thing["inputs"].items()}
            shown["modified"] = self.modified.get((kind, number), self.clock()).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if kind == "credential_types":
            shown["managed"] = False
        if kind == "job_templates":
            shown["organization"] = (
                self.things["projects"][thing["project"]]["organization"] if thing["project"] else None
            )
        return shown


JOB_TYPES = {
    "job_templates": "job",
    "workflow_job_templates": "workflow_job",
    "workflow_approval_templates": "workflow_approval",
    "projects": "project_update",
}
ROUTES: list[tuple[str, Callable[..., Response]]] = [
    (r"tokens/(?:\d+/)?", Controller.tokens),
    (r"unified_job_templates/", Controller.unified),
    (r"(\w+)/", Controller.listing),
    (r"(\w+)/(\d+)/", Controller.detail),
    (r"roles/(\d+)/(teams)/", Controller.grants),
    (r"workflow_job_template_nodes/(\d+)/create_approval_template/", Controller.approval),
    (r"(job_templates|workflow_job_templates)/(\d+)/survey_spec/", Controller.survey),
    (r"(\w+)/(\d+)/(\w+)/", Controller.related_list),
]


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None: ...


@contextmanager
def serving(controller: Controller) -> Iterator[str]:
    """Serve a controller on a free port of this machine; yield its address."""
    server = make_server("127.0.0.1", 0, controller, threaded=False, request_handler=Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
