"""The hosts of a product at one site: what they are, may do and run."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra import access, authority
from recovery import naming

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra import products
    from infra.region import Region
    from infra.settings import Role, Settings
    from recovery.topology import Service


SSM_POLICY = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
_HEADROOM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsArgs:
    """A fleet and what its hosts are told."""

    settings: Settings
    product: products.Product
    region: Region
    site: str
    role: Role
    zones: Sequence[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    group_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    database_address: pulumi.Input[str]
    file_bucket: str
    frontend_bucket: str
    target_groups: Mapping[str, pulumi.Input[str]]


class Hosts(pulumi.ComponentResource):
    """An Auto Scaling group at the scale of the role, over both zones.

    Its health check is EC2's in both roles, never the balancer's: a guard stops the services of
    a site that is not the assigned one, and hosts that rightly do not serve must not be
    recycled for it. The balancer itself sends nothing to a host that is not well.
    """

    group_name: pulumi.Output[str]
    image: pulumi.Output[str]

    def __init__(
        self, name: str, args: HostsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Hosts", name, None, opts)
        sizes = args.product.hosts
        template = self._template(name, args)
        self.image = template.image_id.apply(lambda image: image or "")
        scale = sizes.active if args.role == "active" else sizes.standby
        self.group_name = aws.autoscaling.Group(
            name,
            name=naming.host_group(args.product.name, args.site),
            min_size=scale,
            desired_capacity=scale,
            # Recovery scales a standby out to full size: no role may cap it below.
            max_size=_HEADROOM * sizes.active,
            vpc_zone_identifiers=args.subnet_ids,
            target_group_arns=list(args.target_groups.values()),
            health_check_type="EC2",
            health_check_grace_period=120,
            launch_template={
                "id": template.id,
                "version": template.latest_version.apply(lambda version: str(int(version))),
            },
            tags=[{"key": "Name", "value": name, "propagate_at_launch": True}],
            opts=pulumi.ResourceOptions(parent=self),
        ).name
        if sizes.reserve:
            self._reservations(name, args)
        self.register_outputs({"group_name": self.group_name})

    def _template(self, name: str, args: HostsArgs) -> aws.ec2.LaunchTemplate:
        script = pulumi.Output.from_input(args.database_address).apply(
            lambda address: base64.b64encode(
                user_data(environment(args, address)).encode()
            ).decode()
        )
        return aws.ec2.LaunchTemplate(
            name,
            image_id=image(args.product.hosts.image, self),
            instance_type=args.product.hosts.type,
            iam_instance_profile={"arn": self._profile(name, args)},
            vpc_security_group_ids=[args.group_id],
            user_data=script,
            update_default_version=True,
            metadata_options={"http_tokens": "required", "http_endpoint": "enabled"},
            block_device_mappings=[
                {"device_name": "/dev/xvda", "ebs": {"encrypted": "true", "volume_type": "gp3"}}
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _profile(self, name: str, args: HostsArgs) -> pulumi.Output[str]:
        own = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(name, assume_role_policy=access.trust("ec2.amazonaws.com"), opts=own)
        aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=SSM_POLICY, opts=own)
        aws.iam.RolePolicy(
            name,
            role=role.name,
            policy=pulumi.Output.from_input(args.key_arn).apply(lambda key: host_policy(args, key)),
            opts=own,
        )
        return aws.iam.InstanceProfile(name, role=role.name, opts=own).arn

    def _reservations(self, name: str, args: HostsArgs) -> None:
        """Hold what full scale takes, split over the zones as the group splits its hosts."""
        share = -(-args.product.hosts.active // len(args.zones))
        for zone in args.zones:
            aws.ec2.CapacityReservation(
                f"{name}-{zone}",
                availability_zone=zone,
                instance_type=args.product.hosts.type,
                instance_platform="Linux/UNIX",
                instance_count=share,
                instance_match_criteria="open",
                end_date_type="unlimited",
                opts=pulumi.ResourceOptions(parent=self),
            )


def image(parameter: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """Return the id of the region's image that the SSM parameter holds."""
    answer = aws.ssm.get_parameter_output(name=parameter, opts=pulumi.InvokeOptions(parent=parent))
    # The provider marks every parameter's value as secret; an image's id is none.
    return pulumi.Output.unsecret(answer.value)


def environment(args: HostsArgs, database_address: str) -> dict[str, str]:
    """Return what a host knows of itself; all else its guard reads from the topology."""
    product = args.product
    return {
        "STANDBY_PRODUCT": product.name,
        "STANDBY_SITE": args.site,
        "AWS_REGION": args.region.name,
        "STANDBY_DATABASE_HOST": database_address,
        "STANDBY_DATABASE_NAME": product.database_name,
        "STANDBY_DATABASE_SECRET": naming.database_secret(product.name),
        "STANDBY_PROBE_SECRET": naming.probe_secret(product.name),
        "STANDBY_FILES_BUCKET": args.file_bucket,
        "STANDBY_FRONTEND_BUCKET": args.frontend_bucket,
        "STANDBY_SERVICES": _services(product.services),
        "STANDBY_COMMAND": product.hosts.command,
        **authority.VARIABLES,
    }


def _services(services: Sequence[Service]) -> str:
    listed = [{"name": service.name, "port": service.port} for service in services]
    return json.dumps(listed, separators=(",", ":"))


def user_data(variables: Mapping[str, str]) -> str:
    """Return the script of a host's first start.

    The image brings the unit, which reads /etc/standby/host.env; a template is beside this module.
    It runs the guard, and the guard alone runs the services: nothing here starts them.
    """
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    return (
        "#!/bin/bash\n"
        "set -euo pipefail\n"
        "install -d -m 0755 /etc/standby\n"
        "cat > /etc/standby/host.env <<'END'\n"
        f"{lines}"
        "END\n"
        f"{authority.FETCH}"
        "systemctl enable --now standby-guard.service\n"
    )


def host_policy(args: HostsArgs, key_arn: str) -> str:
    """Return what a host may do: serve its product, read who is to, and say that it will not."""
    region, product = args.region, args.product.name
    table = naming.control_table(args.settings.organisation)
    regions = [
        *(site.region for site in args.settings.sites.values()),
        args.settings.witness_region,
    ]
    own_bucket = naming.site_bucket(args.settings.organisation, region.account, region.name)
    files, frontend = (f"arn:aws:s3:::{name}" for name in (args.file_bucket, args.frontend_bucket))
    secrets = (naming.database_secret(product), naming.probe_secret(product))
    return access.document(
        access.allow(
            ["secretsmanager:GetSecretValue"],
            # Secrets Manager appends six characters of its own to a secret's name.
            [region.arn("secretsmanager", f"secret:{secret}-??????") for secret in secrets],
        ),
        access.allow(["s3:ListBucket"], [files, frontend]),
        access.allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [f"{files}/*"]),
        access.allow(
            ["s3:GetObject"],
            [f"{frontend}/*", f"arn:aws:s3:::{own_bucket}/{naming.TOPOLOGY_KEY}"],
        ),
        access.allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        access.allow(
            ["ssm:GetParameter"],
            [region.arn("ssm", f"parameter{naming.TOPOLOGY_PARAMETER}")],
        ),
        access.allow(
            ["dynamodb:GetItem"],
            [f"arn:aws:dynamodb:{each}:{region.account}:table/{table}" for each in regions],
        ),
        access.allow(
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": naming.SWITCH_NAMESPACE}},
        ),
        access.allow(
            ["sns:Publish"],
            [region.arn("sns", naming.alerts_topic(args.settings.organisation))],
        ),
    )
