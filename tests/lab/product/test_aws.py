"""The hand-made signature is the one that the SDK makes."""

from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials

from lab.product.aws import Credentials, sign

NOW = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize("token", [None, "session"])
@pytest.mark.parametrize(
    ("service", "signer", "method", "path", "headers", "body"),
    [
        ("secretsmanager", SigV4Auth, "POST", "/", {"X-Amz-Target": "a.B"}, b"{}"),
        ("s3", S3SigV4Auth, "GET", "/bucket/one%20key/%C3%A9", {}, b""),
        ("s3", S3SigV4Auth, "PUT", "/bucket/key", {"Content-Type": "text/csv"}, b"1,2"),
    ],
)
def test_a_request_is_signed_as_the_sdk_signs_it(
    *, token, service, signer, method, path, headers, body
):
    signed = sign(
        method,
        "127.0.53.1:4566",
        path,
        headers,
        body,
        credentials=Credentials(access_key="LABHOST", secret_key="hidden", token=token),
        scope=("us-west-2", service),
        now=NOW,
    )
    request = AWSRequest(
        method=method,
        url=f"http://127.0.53.1:4566{path}",
        headers={name: value for name, value in signed.items() if name != "Authorization"},
        data=body,
    )
    request.context["timestamp"] = signed["X-Amz-Date"]
    sdk = signer(SdkCredentials("LABHOST", "hidden", token), service, "us-west-2")
    text = sdk.string_to_sign(request, sdk.canonical_request(request))
    expected = sdk.signature(text, request)
    assert signed["Authorization"].endswith(f"Signature={expected}")
