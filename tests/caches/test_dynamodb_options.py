"""Settings of the DynamoDB cache: URLs, arguments, objects of boto3; and what is refused, with the fix."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.config import Config
from dynamodb_fixtures import TABLE, cache, credentials, dynamodb, endpoint
from dynamodb_steps import IMPATIENT, REGION, raw_client, raw_table

from m2m_auth import TokenSource
from m2m_auth.caches.dynamodb import DynamoDBTokenCache
from m2m_auth.caches.opening import from_client, from_url
from m2m_auth.errors import CacheUnavailable, ConfigurationError
from m2m_auth.testing import FakeAuthorizationServer

__all__ = ["cache", "credentials", "dynamodb", "endpoint"]


@pytest.mark.processes
def test_by_url(endpoint: str, cache: DynamoDBTokenCache) -> None:
    """The URL's table, region, endpoint and timeout are used."""
    named = from_url(f"dynamodb://{TABLE}?region={REGION}&endpoint_url={endpoint}&timeout=5")
    named.set("by url", b"value", 60)
    assert cache.get("by url") == b"value"
    assert repr(named) == f"DynamoDBTokenCache({TABLE!r}, {endpoint!r})"
    named.close()


def test_a_tables_name_keeps_its_case() -> None:
    """The URL keeps the case of the table's name."""
    assert repr(from_url("dynamodb://My_Table.v2?region=eu-west-1")) == "DynamoDBTokenCache('My_Table.v2', 'eu-west-1')"
    assert repr(from_url("dynamodb://My_Table.v2/")) == "DynamoDBTokenCache('My_Table.v2', 'the default region')"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("dynamodb:", "dynamodb://table"),
        ("dynamodb:tokens", "dynamodb://table"),
        ("dynamodb://", "dynamodb://table"),
        ("dynamodb://[", "dynamodb://table"),
        ("dynamodb://tokens/more", "dynamodb://table"),
        ("dynamodb://tokens#more", "dynamodb://table"),
        ("dynamodb://AKIA:secret-key@tokens", "without credentials: boto3 finds them"),
        ("dynamodb://to", "3 to 255"),
        ("dynamodb://to kens", "3 to 255"),
        ("dynamodb://tokens?regoin=eu-west-1", r"unknown option 'regoin' \(did you mean 'region'\?\)"),
        ("dynamodb://tokens?endpoint=http://x", r"\(did you mean 'endpoint_url'\?\). Known: region, endpoint_url"),
        ("dynamodb://tokens?region=", "region needs exactly one value"),
        ("dynamodb://tokens?region=a&region=b", "region needs exactly one value"),
        ("dynamodb://tokens?region=Europe!", "not a region like 'eu-west-1'"),
        ("dynamodb://tokens?timeout=soon", "not a number of seconds"),
        ("dynamodb://tokens?timeout=0", "above 0"),
        ("dynamodb://tokens?timeout=nan", "above 0"),
        ("dynamodb://tokens?timeout=inf", "above 0"),
        ("dynamodb://tokens?endpoint_url=localhost:8000", "not a URL"),
        ("dynamodb://tokens?endpoint_url=http://user:secret-key@localhost", "not a URL"),
    ],
)
def test_a_wrong_url(url: str, said: str) -> None:
    """A wrong URL is refused at once, with the fix and without repeating a secret."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        from_url(url)
    assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        (None, {}, "not a table's name"),
        ("a/b/c", {}, "not a table's name"),
        ("tokens", {"timeout": True}, "above 0"),
        ("tokens", {"timeout": "0.5"}, "above 0"),
        ("tokens", {"region": ""}, "not a region"),
        ("tokens", {"client": object()}, r"boto3.client\('dynamodb'\)"),
        ("tokens", {"client": object(), "region": "eu-west-1"}, "Fix: leave out region="),
    ],
)
def test_wrong_arguments(table: Any, options: dict[str, Any], said: str) -> None:
    """The constructor refuses wrong arguments in the same way."""
    with pytest.raises(ConfigurationError, match=said):
        DynamoDBTokenCache(table, **options)


def test_an_arn() -> None:
    """An ARN names a table of another account."""
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/tokens"
    assert repr(DynamoDBTokenCache(arn)) == f"DynamoDBTokenCache({arn!r}, 'the default region')"


@pytest.mark.processes
def test_a_native_table(endpoint: str, cache: DynamoDBTokenCache) -> None:
    """``cache=`` takes a boto3 Table, and sources share a token through it."""
    table = raw_table(endpoint, TABLE, IMPATIENT)
    with closing(table.meta.client), FakeAuthorizationServer() as server:
        one = TokenSource(server.token_endpoint, "client", "secret", cache=table)
        two = TokenSource(server.token_endpoint, "client", "secret", cache=cache)
        assert one.token().value == two.token().value
        assert server.mints == 1
        one.close()
        two.close()


@pytest.mark.processes
def test_a_resources_client_is_refused(endpoint: str) -> None:
    """The client of a boto3 resource is refused, since it encodes values differently; the error says what to pass."""
    table = raw_table(endpoint, TABLE, IMPATIENT)
    with closing(table.meta.client):
        cache = DynamoDBTokenCache(TABLE, client=table.meta.client)
        with pytest.raises(CacheUnavailable, match="a boto3 Table, not a resource's client"):
            cache.set("key", b"value", 60)


@pytest.fixture
def boto3_objects(endpoint: str) -> Iterator[dict[str, Any]]:
    """Objects of boto3 that are not a DynamoDB table."""
    resource: Any = boto3.resource("dynamodb", region_name=REGION, endpoint_url=endpoint)
    queues: Any = boto3.resource("sqs", region_name=REGION, endpoint_url=endpoint)
    yield {"the resource": resource, "another service": queues}
    resource.meta.client.close()
    queues.meta.client.close()


@pytest.mark.processes
@pytest.mark.parametrize("name", ["the resource", "another service"])
def test_other_boto3_objects(boto3_objects: dict[str, Any], name: str) -> None:
    """They are refused, and the fix names what to pass."""
    with pytest.raises(ConfigurationError, match=r"not a DynamoDB table. Fix: boto3.resource\('dynamodb'\).Table"):
        from_client(boto3_objects[name])


@pytest.mark.processes
@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, r"up to 60 s, several attempts"),
        (Config(connect_timeout=1, read_timeout=1), r"up to 1 s, several attempts"),
        (Config(connect_timeout=1, read_timeout=30, retries={"total_max_attempts": 1}), "up to 30 s, no retries"),
        (Config(connect_timeout=30, read_timeout=1, retries={"total_max_attempts": 1}), "up to 30 s, no retries"),
        (Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 3}), "up to 1 s, 3 attempts"),
        (Config(connect_timeout=1, read_timeout=1, retries={"max_attempts": 2}), "up to 1 s, 3 attempts"),
    ],
)
@pytest.mark.parametrize("native", ["client", "table"])
def test_a_client_with_long_timeouts(
    endpoint: str, caplog: pytest.LogCaptureFixture, config: Config | None, said: str, native: str
) -> None:
    """A client with long timeouts or retries causes one warning with the fix."""
    with caplog.at_level(logging.WARNING, "m2m_auth"):
        if native == "client":
            client = raw_client(endpoint, config)
            DynamoDBTokenCache(TABLE, client=client)
        else:
            table = raw_table(endpoint, TABLE, config)
            client = table.meta.client
            DynamoDBTokenCache.from_client(table)
    client.close()
    (record,) = [record for record in caplog.records if record.name == "m2m_auth"]
    assert said in record.getMessage()
    assert "Config(connect_timeout=0.5, read_timeout=0.5, retries={'total_max_attempts': 1})" in record.getMessage()


@pytest.mark.processes
@pytest.mark.parametrize("retries", [{"total_max_attempts": 1}, {"max_attempts": 0}])
def test_a_client_with_short_timeouts(endpoint: str, caplog: pytest.LogCaptureFixture, retries: Any) -> None:
    """A client with short timeouts and no retries causes no warning."""
    with closing(raw_client(endpoint, Config(connect_timeout=1, read_timeout=5, retries=retries))) as client:
        DynamoDBTokenCache(TABLE, client=client)
    assert not [record for record in caplog.records if record.name == "m2m_auth"]


@pytest.mark.processes
def test_a_given_client_stays_open(endpoint: str) -> None:
    """close() closes the cache's own client; a user's client keeps its connection."""
    with closing(raw_client(endpoint, IMPATIENT)) as client:
        cache = DynamoDBTokenCache(TABLE, client=client)
        cache.set("key", b"value", 60)
        cache.close()
        assert client.get_item(TableName=TABLE, Key={"key": {"S": "key"}})["Item"]["value"] == {"B": b"value"}


def run(code: str) -> str:
    """The output of a new process."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.processes
def test_boto3_is_imported_when_it_is_needed() -> None:
    """Neither the module nor a new cache imports boto3 or botocore, which takes half a second."""
    code = (
        "import sys; from m2m_auth.caches import from_url; from_url('dynamodb://tokens?region=eu-west-1'); "
        "print(sorted({'boto3', 'botocore', 'urllib3'} & set(sys.modules)))"
    )
    assert run(code) == "[]"


@pytest.mark.processes
def test_without_boto3() -> None:
    """Without boto3 the URL is refused at once, not at the first call, and the message names the extra."""
    code = """
import sys
from importlib.abc import MetaPathFinder

class Hidden(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
from m2m_auth.caches import from_url
from m2m_auth.errors import ConfigurationError
try:
    from_url("dynamodb://tokens")
except ConfigurationError as error:
    print(error)
"""
    assert run(code) == (
        "cache='dynamodb://tokens' needs the package 'botocore', which is not installed. "
        "Fix: pip install 'm2m-auth[dynamodb]'"
    )
