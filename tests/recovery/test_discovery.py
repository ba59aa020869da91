import hashlib
import json

import pytest

from recovery import discovery, naming
from recovery.engine.errors import RefusedError
from recovery.topology import encode
from tests.recovery.cases import topology

BUCKET = "rlg-standby-1-us-west-2"
DOCUMENT = encode(topology())


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path))
    monkeypatch.setattr(discovery, "_PAUSE_SECONDS", 0.01)
    return tmp_path


@pytest.fixture
def publish(aws):
    aws("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )

    def publish(document=DOCUMENT, sha256=None, **pointer):
        aws("s3").put_object(Bucket=BUCKET, Key=naming.TOPOLOGY_KEY, Body=document)
        facts = {
            "bucket": BUCKET,
            "key": naming.TOPOLOGY_KEY,
            "sha256": sha256 or hashlib.sha256(document).hexdigest(),
        }
        value = json.dumps(facts | pointer)
        set_parameter(aws, value)

    return publish


def set_parameter(aws, value):
    aws("ssm").put_parameter(
        Name=naming.TOPOLOGY_PARAMETER, Value=value, Type="String", Overwrite=True
    )


def test_the_published_topology_is_found_from_the_region(publish):
    publish()
    assert discovery.find("us-west-2") == topology()


def test_a_region_without_a_parameter_is_refused_with_the_next_action(region):
    with pytest.raises(RefusedError, match=r"/standby/topology in us-east-2; give the region"):
        discovery.find("us-east-2")


def test_an_unknown_region_is_refused_with_the_known_ones(region):
    with pytest.raises(RefusedError, match=r"us-wast-2 is no AWS region; .*us-west-2"):
        discovery.find("us-wast-2")
    with pytest.raises(RefusedError, match="is no AWS region"):
        discovery.find("us west")


@pytest.mark.parametrize("value", ["not json", "{}", '{"bucket": 1, "key": "k", "sha256": "x"}'])
def test_a_parameter_that_is_no_pointer_is_refused(aws, value):
    set_parameter(aws, value)
    with pytest.raises(RefusedError, match="is no pointer to a topology"):
        discovery.find("us-west-2")


def test_a_pointer_to_nothing_is_refused(publish):
    publish(key="elsewhere.json")
    with pytest.raises(RefusedError, match=r"elsewhere\.json, named by .* does not exist"):
        discovery.find("us-west-2")


def test_a_document_that_the_parameter_does_not_vouch_for_is_refused(publish):
    publish(sha256="0" * 64)
    with pytest.raises(RefusedError, match="vouches for 000"):
        discovery.find("us-west-2")


def test_a_malformed_document_is_refused_with_its_first_error(publish):
    publish(document=b'{"schema_version": 1}')
    with pytest.raises(RefusedError, match=r"is malformed: .*missing required field"):
        discovery.find("us-west-2")
    publish(document=b'{"schema_version": 99}')
    with pytest.raises(RefusedError, match="schema_version is 99"):
        discovery.find("us-west-2")


def test_a_silent_region_leaves_the_copy_of_last_time_and_says_so(
    publish, fresh_clients, monkeypatch, capsys
):
    publish()
    discovery.find("us-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(discovery.client, "_pool", discovery.client._Pool())

    assert discovery.find("us-west-2") == topology()

    assert "using the topology as of" in capsys.readouterr().err


def test_without_a_copy_the_silence_is_the_error(fresh_clients, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(discovery.UnreachableError, match="ssm:GetParameter in us-west-2"):
        discovery.find("us-west-2")


def test_a_copy_that_cannot_be_kept_holds_nothing_up(publish, state, monkeypatch):
    monkeypatch.setenv("STANDBY_STATE", str(state / "file"))
    (state / "file").write_text("in the way")
    publish()
    assert discovery.find("us-west-2") == topology()
