"""A program with one of nearly every resource type, for plain moto."""

import json

EVERYTHING = """
import json

own = {"Name": "shop"}
trust = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }],
})
allowed = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
})

vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", enable_dns_hostnames=True, tags=own, opts=here)
gateway = aws.ec2.InternetGateway("out", vpc_id=vpc.id, tags=own, opts=here)
subnets = [
    aws.ec2.Subnet(
        f"subnet-{zone}",
        vpc_id=vpc.id,
        cidr_block=f"10.0.{at}.0/24",
        availability_zone=f"eu-west-1{zone}",
        map_public_ip_on_launch=True,
        opts=here,
    )
    for at, zone in enumerate("ab")
]
for at in range(2):  # nothing tells these two apart
    aws.ec2.Eip(f"address-{at}", domain="vpc", tags={"kind": "spare"}, opts=here)
outgoing = aws.ec2.Eip("outgoing", domain="vpc", tags={"kind": "nat"}, opts=here)
aws.ec2.NatGateway("nat", allocation_id=outgoing.id, subnet_id=subnets[0].id, opts=here)
table = aws.ec2.RouteTable("public", vpc_id=vpc.id, tags=own, opts=here)
aws.ec2.Route(
    "internet",
    route_table_id=table.id,
    destination_cidr_block="0.0.0.0/0",
    gateway_id=gateway.id,
    opts=here,
)
aws.ec2.RouteTableAssociation(
    "public-a", route_table_id=table.id, subnet_id=subnets[0].id, opts=here
)
acl = aws.ec2.NetworkAcl("hosts", vpc_id=vpc.id, tags=own, opts=here)
aws.ec2.NetworkAclRule(
    "hosts-out",
    network_acl_id=acl.id,
    rule_number=1000,
    egress=True,
    protocol="-1",
    rule_action="allow",
    cidr_block="0.0.0.0/0",
    opts=here,
)
aws.ec2.NetworkAclAssociation(
    "hosts", network_acl_id=acl.id, subnet_id=subnets[0].id, opts=here
)
other = aws.ec2.Vpc("other", cidr_block="10.1.0.0/16", opts=here)
peering = aws.ec2.VpcPeeringConnection(
    "peering", vpc_id=vpc.id, peer_vpc_id=other.id, peer_region="eu-west-1", opts=here
)
aws.ec2.VpcPeeringConnectionAccepter(
    "accepted", vpc_peering_connection_id=peering.id, auto_accept=True, opts=here
)
group = aws.ec2.SecurityGroup("hosts", vpc_id=vpc.id, description="Hosts", opts=here)
aws.vpc.SecurityGroupIngressRule(
    "https",
    security_group_id=group.id,
    ip_protocol="tcp",
    from_port=443,
    to_port=443,
    cidr_ipv4="0.0.0.0/0",
    opts=here,
)
aws.vpc.SecurityGroupEgressRule(
    "anywhere",
    security_group_id=group.id,
    ip_protocol="tcp",
    from_port=443,
    to_port=443,
    cidr_ipv4="0.0.0.0/0",
    opts=here,
)

role = aws.iam.Role("role", name="shop", assume_role_policy=trust, opts=here)
aws.iam.RolePolicy("inline", role=role.name, policy=allowed, opts=here)
aws.iam.RolePolicyAttachment(
    "attached", role=role.name, policy_arn=POLICY_ARN, opts=here
)
profile = aws.iam.InstanceProfile("profile", name="shop", role=role.name, opts=here)

zone_id = ZONE_ID
certificate = aws.acm.Certificate(
    "certificate", domain_name="shop.example", validation_method="DNS", opts=here
)
proof = certificate.domain_validation_options[0]
record = aws.route53.Record(
    "proof",
    zone_id=zone_id,
    name=proof.resource_record_name,
    type=proof.resource_record_type,
    records=[proof.resource_record_value],
    ttl=60,
    allow_overwrite=True,
    opts=here,
)
valid = aws.acm.CertificateValidation(
    "valid", certificate_arn=certificate.arn, validation_record_fqdns=[record.fqdn], opts=here
)
balancer = aws.lb.LoadBalancer(
    "balancer",
    name="shop",
    load_balancer_type="application",
    subnets=[subnet.id for subnet in subnets],
    security_groups=[group.id],
    drop_invalid_header_fields=True,
    client_keep_alive=60,
    opts=here,
)
targets = aws.lb.TargetGroup(
    "targets",
    name="shop-api",
    port=5000,
    protocol="HTTP",
    vpc_id=vpc.id,
    deregistration_delay=10,
    health_check={"path": "/health", "interval": 10, "matcher": "200"},
    opts=here,
)
listener = aws.lb.Listener(
    "listener",
    load_balancer_arn=balancer.arn,
    port=443,
    protocol="HTTPS",
    certificate_arn=valid.certificate_arn,
    default_actions=[{
        "type": "fixed-response",
        "fixed_response": {"content_type": "text/plain", "status_code": "404"},
    }],
    opts=here,
)
aws.lb.ListenerRule(
    "api",
    listener_arn=listener.arn,
    priority=10,
    actions=[{"type": "forward", "target_group_arn": targets.arn}],
    conditions=[{"path_pattern": {"values": ["/api/*"]}}],
    opts=here,
)
template = aws.ec2.LaunchTemplate(
    "template",
    image_id=IMAGE,
    instance_type="t3.small",
    iam_instance_profile={"arn": profile.arn},
    vpc_security_group_ids=[group.id],
    user_data="aGVsbG8=",
    metadata_options={"http_tokens": "required", "http_endpoint": "enabled"},
    update_default_version=True,
    opts=here,
)
hosts = aws.autoscaling.Group(
    "hosts",
    name="shop",
    min_size=1,
    max_size=2,
    desired_capacity=1,
    vpc_zone_identifiers=[subnet.id for subnet in subnets],
    target_group_arns=[targets.arn],
    health_check_type="EC2",
    launch_template={"id": template.id, "version": "$Latest"},
    tags=[{"key": "Name", "value": "shop", "propagate_at_launch": True}],
    opts=here,
)
aws.ec2.Instance(
    "control",
    ami=IMAGE,
    instance_type="t3.small",
    subnet_id=subnets[0].id,
    vpc_security_group_ids=[group.id],
    tags={"Name": "control"},
    opts=here,
)

key = aws.kms.Key("key", description="shop", enable_key_rotation=True, opts=here)
aws.kms.Alias("alias", name="alias/shop", target_key_id=key.key_id, opts=here)
secret = aws.secretsmanager.Secret("secret", name="shop/db", kms_key_id=key.arn, opts=here)
aws.secretsmanager.SecretVersion(
    "password",
    secret_id=secret.id,
    secret_string_wo="hush",
    secret_string_wo_version=1,
    opts=here,
)
aws.ssm.Parameter("parameter", name="/shop/size", type="String", value="2", opts=here)

inner = aws.rds.SubnetGroup(
    "inner", name="shop", subnet_ids=[subnet.id for subnet in subnets], opts=here
)
parameters = aws.rds.ParameterGroup(
    "parameters",
    name="shop",
    family="postgres16",
    parameters=[{"name": "rds.force_ssl", "value": "1"}],
    opts=here,
)
database = aws.rds.Instance(
    "database",
    identifier="shop-1",
    instance_class="db.m6g.large",
    engine="postgres",
    engine_version="16",
    allocated_storage=20,
    db_name="shop",
    username="shop",
    password_wo="hush",
    password_wo_version=1,
    db_subnet_group_name=inner.name,
    parameter_group_name=parameters.name,
    vpc_security_group_ids=[group.id],
    kms_key_id=key.arn,
    storage_encrypted=True,
    backup_retention_period=7,
    apply_immediately=True,
    skip_final_snapshot=True,
    opts=here,
)

topic = aws.sns.Topic("topic", name="shop", opts=here)
aws.sns.TopicSubscription(
    "mail", topic=topic.arn, protocol="email", endpoint="us@shop.example", opts=here
)
alarm = aws.cloudwatch.MetricAlarm(
    "alarm",
    name="shop-lag",
    namespace="AWS/RDS",
    metric_name="ReplicaLag",
    dimensions={"DBInstanceIdentifier": database.identifier},
    statistic="Maximum",
    comparison_operator="GreaterThanThreshold",
    threshold=60.5,
    period=60,
    evaluation_periods=1,
    treat_missing_data="ignore",
    alarm_actions=[topic.arn],
    opts=here,
)
check = aws.route53.HealthCheck(
    "check",
    type="CLOUDWATCH_METRIC",
    cloudwatch_alarm_name=alarm.name,
    cloudwatch_alarm_region="eu-west-1",
    insufficient_data_health_status="LastKnownStatus",
    opts=here,
)
aws.route53.Record(
    "public",
    zone_id=zone_id,
    name="api",
    type="A",
    set_identifier="here",
    health_check_id=check.id,
    failover_routing_policies=[{"type": "PRIMARY"}],
    aliases=[{
        "name": balancer.dns_name,
        "zone_id": balancer.zone_id,
        "evaluate_target_health": False,
    }],
    opts=here,
)

files = aws.s3.Bucket("files", bucket="shop-files", opts=here)
copies = aws.s3.Bucket("copies", bucket="shop-copies", opts=here)
versioned = [
    aws.s3.BucketVersioning(
        f"versioned-{name}",
        bucket=bucket.bucket,
        versioning_configuration={"status": "Enabled"},
        opts=here,
    )
    for name, bucket in (("files", files), ("copies", copies))
]
aws.s3.BucketServerSideEncryptionConfiguration(
    "encrypted",
    bucket=files.bucket,
    rules=[{"apply_server_side_encryption_by_default": {
        "sse_algorithm": "aws:kms", "kms_master_key_id": key.arn}}],
    opts=here,
)
aws.s3.BucketPublicAccessBlock(
    "private", bucket=files.bucket, block_public_acls=True, block_public_policy=True, opts=here
)
aws.s3.BucketPolicy(
    "policy",
    bucket=files.bucket,
    policy=files.arn.apply(lambda arn: json.dumps({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }],
    })),
    opts=here,
)
aws.s3.BucketReplicationConfig(
    "replicated",
    bucket=files.bucket,
    role=role.arn,
    rules=[{
        "id": "all",
        "status": "Enabled",
        "priority": 1,
        "delete_marker_replication": {"status": "Enabled"},
        "filter": {"prefix": ""},
        "destination": {"bucket": copies.arn, "storage_class": "STANDARD"},
    }],
    opts=pulumi.ResourceOptions(provider=provider, depends_on=versioned),
)
aws.s3.BucketObjectv2(
    "topology",
    bucket=files.bucket,
    key="topology.json",
    content="{}",
    content_type="application/json",
    opts=here,
)
aws.dynamodb.Table(
    "control",
    name="shop-control",
    billing_mode="PAY_PER_REQUEST",
    hash_key="key",
    attributes=[{"name": "key", "type": "S"}],
    point_in_time_recovery={"enabled": True},
    opts=here,
)
pulumi.export("address", database.address)
pulumi.export("balancer", balancer.dns_name)
pulumi.export("main", vpc.main_route_table_id)
pulumi.export("group", hosts.name)
"""

NOT_IN_MOTO = frozenset(
    {
        "aws:s3/bucketMetric:BucketMetric",
        "aws:ec2/capacityReservation:CapacityReservation",
        "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication",
    }
)
"""Types that plain moto has nothing for; the stacks' own test makes them in the lab's AWS."""


def everything(clients) -> str:
    """Return the program, with what must exist beforehand made."""
    zone = clients("route53", "eu-west-1").create_hosted_zone(
        Name="shop.example", CallerReference="shop"
    )["HostedZone"]["Id"]
    images = clients("ec2", "eu-west-1").describe_images(Owners=["amazon"])["Images"]
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    policy = clients("iam", "eu-west-1").create_policy(PolicyName="shop", PolicyDocument=document)[
        "Policy"
    ]["Arn"]
    return (
        EVERYTHING.replace("ZONE_ID", repr(zone.rpartition("/")[2]))
        .replace("IMAGE", repr(images[0]["ImageId"]))
        .replace("POLICY_ARN", repr(policy))
    )
