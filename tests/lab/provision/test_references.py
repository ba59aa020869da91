from __future__ import annotations

import pytest

from lab.provision.errors import StackFailedError

READER = """
peer = pulumi.StackReference("organization/shop/peer")
arn = peer.require_output("arn")
pulumi.export("seen", arn)
"""


def test_a_stack_sees_the_outputs_of_another(shop):
    shop.up('pulumi.export("arn", aws.sns.Topic("t", name="t", opts=here).arn)', stack="peer")
    outcome = shop.up(READER)
    assert outcome.outputs["seen"] == "arn:aws:sns:eu-west-1:123456789012:t"


def test_a_stack_that_was_never_provisioned_cannot_be_referred_to(shop):
    with pytest.raises(StackFailedError, match="peer has no outputs yet; provision it first"):
        shop.up(READER)


def test_in_a_preview_its_outputs_are_unknown(shop):
    shop.up(READER, preview=True)


def test_an_output_that_is_missing_is_an_error(shop):
    shop.up('pulumi.export("other", 1)', stack="peer")
    with pytest.raises(StackFailedError, match="arn"):
        shop.up(READER)
