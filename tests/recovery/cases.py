"""A topology and a case, as small as they can be and complete."""

from recovery.cloud.client import Region
from recovery.steps.case import Accepted, Case
from recovery.topology import (
    Deployment,
    Fence,
    Guard,
    Product,
    Request,
    Service,
    Site,
    Topology,
    Witness,
)


def deployment(site, region):
    return Deployment(
        database=f"rlg-data-{site}-1",
        database_name="rlgdata",
        secret="rlg-data/database",
        probe_secret="rlg-data/probe",
        load_balancer_arn=f"arn:aws:elasticloadbalancing:{region}:1:loadbalancer/app/{site}/1",
        load_balancer_dns=f"rlg-data-{site}.{region}.elb.amazonaws.com",
        listener_arn=f"arn:aws:elasticloadbalancing:{region}:1:listener/app/{site}/1/2",
        target_groups={"api": f"arn:{region}:targetgroup/api", "auth": f"arn:{region}:tg/auth"},
        host_group=f"rlg-data-{site}",
        image="ami-1",
        instance_type="m6i.large",
        hosts_active=2,
        hosts_standby=1,
        backup_retention_days=7,
        file_bucket=f"rlg-data-files-1-{region}",
        frontend_bucket=f"rlg-data-frontend-1-{region}",
        health_check=f"hc-{site}",
        fence=Fence(acl=f"acl-{site}", rule=100),
    )


def site(name, region):
    return Site(
        name=name,
        region=region,
        control_table="rlg-standby-control",
        bucket=f"rlg-standby-1-{region}",
        topic=f"arn:aws:sns:{region}:1:rlg-standby-alerts",
    )


def topology(**changes):
    product = Product(
        name="rlg-data",
        title="RLG Data",
        domain="data.rlg.example",
        engine="postgres",
        rto_seconds=1,
        rpo_seconds=300,
        services=(
            Service(name="api", port=5000, path="/api/*"),
            Service(name="auth", port=5010, path="/auth/*"),
        ),
        journey=(
            Request(name="write", service="api", method="POST", path="/api/entries/${nonce}"),
        ),
        api_tests=(),
        contacts=("oncall@rlg.example",),
        deployments={
            "primary": deployment("primary", "us-east-1"),
            "dr": deployment("dr", "us-west-2"),
        },
    )
    facts = {
        "schema_version": 1,
        "organisation": "rlg",
        "account": "123456789012",
        "zone": "rlg.example",
        "zone_id": "Z1",
        "https_port": 443,
        "guard": Guard(),
        "witness": Witness(region="us-east-2", control_table="rlg-standby-control"),
        "sites": {"primary": site("primary", "us-east-1"), "dr": site("dr", "us-west-2")},
        "products": (product,),
    }
    return Topology(**(facts | changes))


def case(**accepted):
    made = topology()
    return Case(
        topology=made,
        product=made.products[0],
        site=made.sites["dr"],
        peer=made.sites["primary"],
        here=Region("us-west-2"),
        witness=Region("us-east-2"),
        there=Region("us-east-1", once=True),
        resolver=None,
        execution="failover-1",
        operator="arn:aws:iam::123456789012:user/ada",
        accepted=Accepted(**accepted),
    )
