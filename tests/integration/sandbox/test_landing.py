"""What stands beside the JSON-RPC: the page at /, Horizon's paths, and which web pages may call."""

from __future__ import annotations

import json

import pytest

from helpers.network import Network

HEALTH = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}


async def test_the_page_at_the_root_says_what_there_is_and_that_horizon_is_not(network: Network) -> None:
    async with network.http.get(network.url + "/") as response:
        assert response.status == 200
        page = await response.json()
    assert page["network_passphrase"] == network.passphrase
    assert page["horizon"].startswith("Horizon is not simulated")
    for interface in ("rpc", "friendbot", "admin"):
        assert network.ready[f"{interface}_url"] == network.url + page[interface]


async def test_a_tool_that_waits_for_the_port_is_answered(network: Network) -> None:
    async with network.http.head(network.url) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/GABC",
        "/transactions",
        "/ledgers/2",
        "/fee_stats",
        "/transactions_async",
        "/paths/strict-send",
    ],
)
@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_horizons_paths_say_that_it_is_not_simulated(network: Network, verb: str, path: str) -> None:
    async with network.http.request(verb, network.url + path) as response:
        assert response.status == 501
        assert response.content_type == "application/problem+json"
        answer = json.loads(await response.text())
    assert answer["status"] == 501
    assert answer["title"] == "Not Implemented"
    assert "Horizon is not simulated" in answer["detail"]
    assert "/rpc" in answer["detail"]


async def test_any_other_path_is_not_found(network: Network) -> None:
    async with network.http.get(network.url + "/lab") as response:
        assert response.status == 404
        assert "/rpc" in json.loads(await response.text())["detail"]


@pytest.mark.parametrize("path", ["/rpc/", "/soroban/rpc/"])
async def test_a_slash_at_the_end_makes_no_difference(network: Network, path: str) -> None:
    assert (await network.post(HEALTH, path))[0] == 200
    async with network.http.get(network.ready["friendbot_url"] + "/") as response:
        assert response.status == 400  # it asks for an address


async def test_web_pages_may_call(network: Network) -> None:
    """As stellar-rpc answers: a preflight is allowed what it asks for, an answer names the page's origin."""
    page = {"Origin": "https://app.example"}
    question = page | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-client-name",
    }
    for path in ("/rpc", "/friendbot"):
        async with network.http.options(network.url + path, headers=question) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert response.headers["Access-Control-Allow-Methods"] == "POST"
            assert response.headers["Access-Control-Allow-Headers"] == "content-type,x-client-name"
            assert "Origin" in response.headers["Vary"]
    async with network.http.post(network.ready["rpc_url"], json=HEALTH, headers=page) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Origin" in response.headers["Vary"]
    # A refusal has to be readable too, or a page is only told of a network error.
    async with network.http.get(network.ready["friendbot_url"], headers=page) as response:
        assert response.status == 400
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"


async def test_no_web_page_reaches_the_admin_interface(network: Network) -> None:
    page = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    for verb in ("OPTIONS", "GET"):
        async with network.http.request(
            verb, f"{network.ready['admin_url']}/stats", headers=page
        ) as response:
            assert response.status in {403, 405}
            assert "Access-Control-Allow-Origin" not in response.headers
