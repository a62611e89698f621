"""Rules: conditions, their order, redirects and fixed responses."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.data.proxy.messages import BadMessage
from emulator.data.proxy.routing import Asked, Rules

ASKED = Asked(
    method="GET",
    host="Chat.Example.com",
    path="/img/Cat.png",
    query="version=v1&empty=&name=a%20b",
    client="10.1.2.3",
    headers=[("user-agent", "Mozilla/5.0 Chrome"), ("x-tier", "gold")],
    scheme="http",
    port=8000,
)


def fixed(status: int) -> dict[str, Any]:
    return {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": str(status)}}


def chosen(*conditions: dict[str, Any]) -> bool:
    """Whether a rule with these conditions takes ASKED."""
    rules = Rules(
        [
            {"Priority": "default", "Conditions": [], "Actions": [fixed(404)]},
            {"Priority": "5", "Conditions": list(conditions), "Actions": [fixed(200)]},
        ]
    )
    return rules.choose(ASKED).reply.status == 200  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ({"Field": "path-pattern", "Values": ["/img/*"]}, True),
        ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/no", "/img/?at.png"]}}, True),
        ({"Field": "path-pattern", "Values": ["/IMG/*"]}, False),
        ({"Field": "path-pattern", "Values": ["/img"]}, False),
        ({"Field": "path-pattern", "Values": ["/img/[A-Z]at.png"]}, False),
        ({"Field": "host-header", "Values": ["chat.*.com"]}, True),
        ({"Field": "host-header", "HostHeaderConfig": {"Values": ["example.com"]}}, False),
        ({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "User-Agent", "Values": ["*chrome*"]}}, True),
        ({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Tier", "Values": ["silver"]}}, False),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["HEAD", "GET"]}}, True),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}, False),
        ({"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "VERSION", "Value": "v?"}]}}, True),
        ({"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "a b"}]}}, True),
        ({"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "version", "Value": "v2"}]}}, False),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24", "10.1.0.0/16"]}}, True),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.2.0.0/16", "2001:db8::/32"]}}, False),
    ],
    ids=str,
)
def test_a_condition_matches_as_elb_documents_it(condition: dict[str, Any], matches: bool) -> None:
    assert chosen(condition) is matches


def test_a_rule_needs_all_of_its_conditions() -> None:
    path, wrong = {"Field": "path-pattern", "Values": ["/*"]}, {"Field": "host-header", "Values": ["x"]}
    assert chosen(path, path) and not chosen(path, wrong)


def test_rules_are_asked_in_the_order_of_their_priority_as_a_number() -> None:
    everything = [{"Field": "path-pattern", "Values": ["*"]}]
    rules = Rules(
        [
            {"Priority": "default", "Actions": [fixed(404)]},
            {"Priority": "10", "Conditions": everything, "Actions": [fixed(210)]},
            {"Priority": "9", "Conditions": everything, "Actions": [fixed(209)]},
        ]
    )
    assert rules.choose(ASKED).reply.status == 209  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ([], "default"),
        ([{"Priority": "1", "Actions": [fixed(200)]}], "default"),
        ([{"Priority": "default", "Actions": [{"Type": "authenticate-oidc"}, fixed(200)]}], "authenticate"),
        ([{"Priority": "default", "Actions": [{"Type": "jump"}]}], "jump"),
        ([{"Priority": "default", "Actions": [{"Type": "forward"}]}], "rule of priority default: KeyError"),
        (
            [{"Priority": "default", "Conditions": [{"Field": "moon", "Values": ["full"]}], "Actions": [fixed(1)]}],
            "moon",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused_by_name(rules: list[dict[str, Any]], names: str) -> None:
    with pytest.raises(BadMessage, match=names):
        Rules(rules)


def test_a_redirect_fills_in_what_it_does_not_change(balancer: Any, backend: Any, say: Any) -> None:
    def redirect(**config: str) -> dict[str, Any]:
        return say.default({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **config}})

    group = balancer.group("blue")
    balancer.configure(group, rules=[redirect(Protocol="HTTPS", Port="443")])
    answer = balancer.ask("/a/b?c=d")
    assert (answer.status, answer["location"]) == (301, "https://chat.example:443/a/b?c=d")
    assert b"<title>301 Moved Permanently</title>" in answer.body
    balancer.configure(group, rules=[redirect(Host="new.#{host}", Path="/v2/#{path}", Query="", StatusCode="HTTP_302")])
    answer = balancer.ask("/a?c")
    assert (answer.status, answer["location"]) == (302, f"http://new.chat.example:{balancer.port}/v2/a")


def test_a_fixed_response_is_given_as_configured_and_the_connection_goes_on(
    balancer: Any, backend: Any, say: Any
) -> None:
    config = {"StatusCode": "418", "ContentType": "application/json", "MessageBody": '{"tea": true}'}
    teapot = {"Type": "fixed-response", "FixedResponseConfig": config}
    group = balancer.group("blue", backend("1"))
    only = {"Priority": "1", "Conditions": [{"Field": "path-pattern", "Values": ["/tea"]}], "Actions": [teapot]}
    balancer.configure(group, rules=[only, say.default(say.forward(group.arn))])
    client = balancer.client()
    client.request("/tea")
    answer = client.answer()
    assert (answer.status, answer["content-type"], answer.body) == (418, "application/json", b'{"tea": true}')
    client.request("/tea", method="HEAD")
    assert client.answer(body=False)["content-length"] == "13"
    client.request("/")
    assert client.answer().body == b"1"
