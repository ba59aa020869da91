"""What a site keeps: its key and its buckets."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import access


class Key(pulumi.ComponentResource):
    """The site's own key; it encrypts all that is kept here and never leaves the region."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, account: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("standby:infra:Key", name, None, opts)
        key = aws.kms.Key(
            name,
            description=f"Data of {name}",
            policy=access.key_policy(account),
            enable_key_rotation=True,
            deletion_window_in_days=30,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        aws.kms.Alias(
            name,
            name=f"alias/{name}",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketArgs:
    """A bucket's computed name, and the key of its region."""

    bucket: str
    key_arn: pulumi.Input[str]


class Bucket(pulumi.ComponentResource):
    """A bucket that keeps every version, encrypted, closed to the public, over TLS only.

    Replication rules are a resource of their own in the link, never a property here: the two
    together would delete each other's rules (pulumi/pulumi#13296).
    """

    bucket: pulumi.Output[str]
    """Its name, once it may be written to: versioned, encrypted and closed."""
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Bucket", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name, bucket=args.bucket, opts=pulumi.ResourceOptions(parent=self, protect=True)
        )
        self.arn = bucket.arn
        ready = [
            aws.s3.BucketVersioning(
                name,
                bucket=bucket.bucket,
                versioning_configuration={"status": "Enabled"},
                opts=own,
            ).bucket,
            aws.s3.BucketServerSideEncryptionConfiguration(
                name,
                bucket=bucket.bucket,
                rules=[
                    {
                        "apply_server_side_encryption_by_default": {
                            "sse_algorithm": "aws:kms",
                            "kms_master_key_id": args.key_arn,
                        },
                        "bucket_key_enabled": True,
                    }
                ],
                opts=own,
            ).bucket,
            self._closed(name, bucket),
        ]
        self.bucket = pulumi.Output.all(*ready).apply(lambda names: names[0])
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})

    def _closed(self, name: str, bucket: aws.s3.Bucket) -> pulumi.Output[str]:
        closed = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # S3 answers 409 when both are put at once: one after the other.
        return aws.s3.BucketPolicy(
            name,
            bucket=closed.bucket,
            policy=closed.bucket.apply(access.encrypted_only),
            opts=pulumi.ResourceOptions(parent=self),
        ).bucket
