"""docs/policy.md: every document and field, from the comments in policy.proto; defaults and limits from the code."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from functools import cache
from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from services.cli.standalone.policy import REAL_PROVIDERS
from services.core.policy.documents import KINDS
from services.core.policy.provider_types import PROVIDER_TYPES
from tests.repo.pages.markdown import block, code, head, prose, table
from tests.repo.pages.policy_facts import LIMITS, NOTES, REQUIRED, default_of

ROOT = Path(__file__).resolve().parents[3]
PROTO = "turnout/policy/v1/policy.proto"
SOURCE = "protos/turnout/policy/v1/policy.proto and core/policy"
FIELD = FieldDescriptorProto


def page() -> str:
    messages = described()
    kinds = [name for name in KINDS if name in messages]
    parts = _parts(messages, kinds)
    sections = [head("Policy", SOURCE), prose(INTRO), block("yaml", EXAMPLE), prose(FILES), CHOICE]
    sections += ["## Documents\n", *(_section(messages[name], "###") for name in kinds)]
    sections += ["## Parts of documents\n", *(_section(messages[name], "###") for name in parts)]
    sections += ["## Provider types\n", prose(TYPES), _types()]
    return "\n".join(sections)


TYPES = """
    The word in a provider's `type`. Those that speak chat completions differ from `openai_compatible` only in their
    address, and in what each is known to refuse; a service without a row is `openai_compatible` with a `base_url`. The last
    column is the variable with whose key `turnout up` uses a provider by itself.
"""


def _types() -> str:
    variables = {provider.name: code(provider.variable) for provider in REAL_PROVIDERS}
    rows = [
        (
            code(name),
            kind.protocol,
            kind.base_url or "`base_url` is required",
            "no" if kind.keyless else "",
            variables.get(name, ""),
        )
        for name, kind in PROVIDER_TYPES.items()
    ]
    return table(("type", "protocol", "address", "credential", "variable"), rows)


INTRO = """
    A policy is a set of documents of seven kinds. They are kept in git as YAML or JSON and written with `turnout apply -f`.
    Workers have them a moment later, each worker all of them or, if it has to refuse them, none. One policy that uses all
    kinds:
"""

EXAMPLE = """
kind: Settings
name: default
clocks: {connect: 2s, first_content: 10s}
retry: {max_attempts: 4, deadline: 2m}
hedge: {enabled: true}                                    # a silent target is raced by the next one
---
kind: Provider
name: openai
type: openai
credentials: [env:OPENAI_API_KEY, env:OPENAI_API_KEY_2]   # references, never keys; several make a pool
breaker: {consecutive_failures: 3}
---
kind: Provider
name: local
type: openai_compatible
endpoints:                                                # the same models at two addresses
- {name: rack-1, base_url: "http://10.0.0.7:8000/v1"}
- {name: rack-2, base_url: "http://10.0.0.8:8000/v1"}
clocks: {first_content: 30s}                              # slower than the others, and known to be
---
kind: Model                                               # only where the catalogue is silent or wrong
name: local/qwen
upstream_model: Qwen/Qwen3-8B
context_length: 32768
capabilities: {tools: true, vision: false, prefill: true}
prices: {input_per_million: 0, output_per_million: 0}
---
kind: Catalogue                                           # newer than the release: `turnout catalogue push` writes it
name: groq
models: |
  {"id":"openai/gpt-oss-120b","context_length":131072,"prices":{"input_per_million":0.15,"output_per_million":0.6}}
---
kind: Router
name: support
recovery: seamless                                        # an answer that breaks off is mended by the next target
routes:
- condition: {cel_expression: 'language == "es" && plan != "free"'}
  route:
    route_id: spanish-paid
    variants:
    - weight: 90
      variant: {variant_id: stable, model_id: openai/gpt-5, model_selection: {models: [local/qwen]}}
    - weight: 10
      variant: {variant_id: candidate, model_id: local/qwen, model_selection: {models: [openai/gpt-5]}}
default_route:
  route_id: default
  variants:
  - {weight: 100, variant: {variant_id: default, model_id: openai/gpt-5-mini}}
---
kind: Alias
name: fast
model: openai/gpt-5-mini
---
kind: ApiKey                                              # `turnout keys create app` makes one
name: app
hash: blake2b:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0
scopes: [inference]
"""

FILES = """
    **Files.** Each document has `kind`, `name` and its fields. A file holds several, divided by `---`; a folder is read
    whole. Fields are read in snake_case and in camelCase. Durations are text: `300ms`, `1.5s`, `2m`, `1h`. A field that
    is not known is an error, with its path and what was probably meant (the REST router API accepts it, and says so in
    its answer). All problems of all documents are reported at once: `turnout validate -f policy.yaml --offline`.

    **Writing.** `turnout apply` checks the whole policy that would result, then writes all documents in one transaction,
    or none. Documents that are not in the file stay as they are. `turnout delete` removes one, unless others refer to
    it. With an `etag` in a document (as `turnout get --json` prints it), a write is refused if somebody else wrote since.
"""

CHOICE = """## How a request finds its model

1. An [Alias](#alias) is replaced by what it stands for.
2. `model: "<namespace>/<router>"` names a [Router](#router); the namespace is a word of the [Settings](#settings). Its
   rules are tried in order; the first whose condition is true serves the request, else `default_route`, else it is
   refused.
3. `model: "provider/model"` names that model at that [Provider](#provider). No [Model](#model) document is needed.
4. A bare model (`gpt-5`) means the Model documents of that name, in order; if there are none, the providers of this
   policy that the shipped catalogue knows to serve it.
5. `auto` names none: the best of the request's `models`, or of all models of the providers, is chosen for each request,
   and the next best ones are its fallbacks. A variant does the same with `model_id: auto`.

**Conditions** are [CEL](https://cel.dev) over the request's `metadata`: each key is a variable (`language == "es"`), and
`messages` is the list of messages, each with `role` and its `content` as text (`messages.last().content.contains("sql")`).
CEL's extensions for strings, math and encoders are there. Syntax, functions and the result's type are checked when the
policy is written. A condition that fails on a request, such as for a missing key, does not match; `||` and `&&` absorb
the failure of one side if the other side decides: `tier == "gold" || plan == "pro"` needs one of the two keys.
Metadata may be declared, in the settings or in a router (`metadata: {tier: string, age: int}`): then the types of operands
are checked as well, and a condition that reads a name that nobody declared gets a warning. A router of sixteen conditions
or more is searched by an index: a condition with a term `key == "text"` is evaluated only for requests whose
metadata has that text, so that a thousand routes cost what a few do.

**Weights** of a route's variants share out its traffic. A request with a `user` always gets the same variant: its place
is a hash of router, route and user, so it is the same on every worker and after every restart. When weights change, the
control plane works out who moves: exactly the changed share of users, from variants that shrink to variants that grow, and
first those who were in the growing variant before. It keeps the outcome in `slots` and `former_slots`. A request without
a user draws anew. An [Experiment](#experiment) of a route says what else than the user is assigned, keeps experiments of one
layer apart, and holds users out of all of them.

**Failover** goes down a variant's list: `model_id`, then `model_selection.models`, then the `models` of the request
itself. Targets that lack a capability that the request uses (tools, images) are left out; targets that are set aside are
tried last. Weights are not health: a user whose variant is unhealthy keeps the variant, and is served by its fallbacks.
A provider's `endpoints` and `credentials` are more ways to try the same model: two of them are drawn, and the one with
fewer requests under way goes first.

**Bedrock** (`type: bedrock`) is spoken to over Converse. The default address is that of us-east-1; give `base_url` for
another region (`https://bedrock-runtime.eu-central-1.amazonaws.com`). Requests are signed for the region that the host
names, or, behind a proxy, for the label `region`. A credential may be keys (`aws:default`, `aws:profile/NAME`, or a
text ACCESS_KEY:SECRET or ACCESS_KEY:SECRET:SESSION_TOKEN) or an API key of Bedrock's. A model's id says whose it is;
for an application inference profile, which does not, set the provider's label `family` (`anthropic`, `amazon`, …), so
that reasoning, `top_k` and caching are asked for in the right words.

**Google.** `type: google` is AI Studio; its credential is an API key. `type: vertex` is Vertex AI; its `base_url` names
project and location (`https://europe-west1-aiplatform.googleapis.com/v1/projects/<project>/locations/europe-west1`),
and its credential is an access token, as `google:default` makes it. Without a project in the `base_url`
(`https://aiplatform.googleapis.com/v1`) it is Vertex AI's express mode, whose credential is an API key again. Models
there whose names begin with `claude` are spoken to in Anthropic's protocol. How a model is told to reason, and what it
takes together, goes by its name: levels from Gemini 3 on, budgets of tokens before.

**Preferences** narrow and order that list. A variant has them in `model_selection`, a request in OpenRouter's object
`provider` and Inworld's `sort` and `ignore` ([what each field does](openrouter.md#the-object-provider)). `ignore`, `only`,
`labels` and `max_price` leave targets out. `sort: [latency, price]` sorts the fallbacks, or all models of an automatic
choice, by what the worker has seen lately and by what they cost; of two that are within a tenth of each other the next
word decides. `order` puts providers first. `turnout simulate` says what each of them did. What a decision measured is in
the record (`measurements`), so that it can be made again.

**Residency.** `require_labels: {region: eu}` in the settings holds for every target of every request: those of routes,
models that a request names itself, its fallbacks, automatic choices, and whatever retries, hedges and mended answers
go to, which are never more than the candidates. A route that it leaves without a model is refused when policy is
written; callers cannot undo it. `labels` in a variant do the same for what is served by that variant, the fallbacks
that its requests bring along included; `only`, `ignore` and `max_price` of a variant are about its own models. A
provider without the label does not have it.

**Credentials** are references; secrets stay on the workers. `env:NAME` and `file:/path` name one that lies there. The
others are made by a cloud's own library, with what it finds on the worker's machine, and renewed before they expire:
`aws:default` and `aws:profile/NAME` (Amazon's chain: environment, shared files, single sign-on, container, machine),
`google:default` (Application Default Credentials) and `google:file:/path` (a service account's key), `azure:default`
(Entra ID, for Azure's AI services).

**Clocks** may be set at each level. The order is settings < provider < router < variant < request, and each clock is
taken from the highest level that sets it; `ttft` counts as one. A request sets its own with
`fallback: {ttft_timeout: "800ms"}` (the time to first token of a stream; it also replaces `ttft`) or with the header
`x-turnout-timeout: 20s` (the whole request).
For whole answers only `connect`, `total` and a `headers` clock that somebody set apply
([ADR 0003](adr/0003-clocks-of-whole-answers.md)).

**Failures.** `retry`, `hedge`, `commit_after`, `recovery` and `on_exhausted` may be set in Settings, Router and Variant,
and `breaker` in Settings and Provider. Each level lays its fields over those of the one before; `commit_after` counts as
one. The defaults serve most policies. Worth a thought: `hedge: {enabled: true}` if first tokens are late now and then;
`recovery: seamless` if streams break off (it holds the beginning of answers back a little, and needs targets that declare
`prefill`, or that repeat themselves); `clocks: {ttft: {factor: 2}}` if targets become slow without failing.
[failover.md](failover.md) tells what each of them does, [errors.md](errors.md) what follows from each failure.

**Rehearsals.** A `fault` lets a provider's attempts fail on purpose, for all requests, a share of them, or those with a
certain header `x-turnout-fault`. Only workers started with `--allow-faults` act on it
([how to rehearse](operations.md#rehearse-a-failure)).

`turnout simulate` shows all of this for one request, with reasons, and with `-f` for a policy that is not yet applied.
"""

_SCALARS = {
    FIELD.TYPE_STRING: "text",
    FIELD.TYPE_BOOL: "true or false",
    FIELD.TYPE_INT32: "integer",
    FIELD.TYPE_INT64: "integer",
    FIELD.TYPE_DOUBLE: "number",
}


_DEFAULT = re.compile(r""" Default:? [`"]?([\w.]+?)[`"]?\.$""")
"""The last sentence of a comment that tells a default; the page has a column for that."""


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a message: its YAML name, its type, and its comment."""

    name: str
    kind: str
    message: str
    comment: str

    @property
    def meaning(self) -> str:
        """The comment without its default."""
        return _DEFAULT.sub("", self.comment)

    @property
    def told_default(self) -> str:
        """The default that the comment tells; empty: none."""
        found = _DEFAULT.search(self.comment)
        return found[1] if found else ""


@dataclasses.dataclass(frozen=True)
class Message:
    """One message with its comment and fields."""

    name: str
    comment: str
    fields: tuple[Field, ...]


@cache
def described() -> dict[str, Message]:
    """The messages of policy.proto with their comments."""
    file = _descriptor()
    comments = {tuple(at.path): at.leading_comments.strip() for at in file.source_code_info.location}
    found = {}
    for index, message in enumerate(file.message_type):
        fields = []
        for place, field in enumerate(message.field):
            kind, part = _kind(message, field)
            fields.append(Field(field.name, kind, part, _one_line(comments[4, index, 2, place])))
        found[message.name] = Message(message.name, _one_line(comments[4, index]), tuple(fields))
    return found


def _descriptor() -> FileDescriptorProto:
    include = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        arguments = ["protoc", f"-I{ROOT / 'protos'}", f"-I{include}", "--include_source_info"]
        if protoc.main([*arguments, f"--descriptor_set_out={out}", PROTO]) != 0:
            raise SystemExit("protoc failed")
        (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    return file


def _kind(message: DescriptorProto, field: FieldDescriptorProto) -> tuple[str, str]:
    """A field's type in words, and the message that it holds."""
    if field.type != FIELD.TYPE_MESSAGE:
        kind = _SCALARS[field.type]
        return (f"list of {kind}" if field.label == FIELD.LABEL_REPEATED else kind), ""
    name = field.type_name.rpartition(".")[2]
    if name == "Duration":
        return "duration", ""
    if name in {nested.name for nested in message.nested_type if nested.options.map_entry}:
        return "map of text to text", ""
    return ("list of " if field.label == FIELD.LABEL_REPEATED else ""), name


def _one_line(comment: str) -> str:
    """A comment as a table cell; angle brackets would be taken for HTML, but for those in code."""
    parts = " ".join(comment.split()).split("`")
    return "`".join(p if place % 2 else p.replace("<", "&lt;") for place, p in enumerate(parts))


def _parts(messages: dict[str, Message], kinds: list[str]) -> list[str]:
    """The messages that documents are made of, in the order in which a reader meets them."""
    waiting, found = list(kinds), []
    while waiting:
        name = waiting.pop(0)
        if name in messages and name not in found:
            found.append(name)
            waiting = [f.message for f in messages[name].fields if f.message] + waiting
    return [name for name in found if name not in kinds]


def _section(message: Message, level: str) -> str:
    rows = [[code(f.name), _type(f), f.meaning, _holds(message.name, f)] for f in message.fields]
    text = f"{level} {message.name}\n\n{message.comment}\n\n"
    return text + table(["field", "type", "meaning", "default and limits"], rows)


def _type(field: Field) -> str:
    return f"{field.kind}[{field.message}](#{field.message.lower()})" if field.message else field.kind


def _holds(message: str, field: Field) -> str:
    place = message, field.name
    said = ["required"] if place in REQUIRED else []
    default, limits = default_of(message, field.name, field.kind), LIMITS.get(place)
    said += [f"default {default}"] if default else []
    said += [limits] if limits else []
    said += [NOTES[place]] if place in NOTES else []
    return "; ".join(said)
