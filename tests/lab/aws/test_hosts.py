"""Groups of hosts, what they are launched from, and the balancers before them."""

import base64
import os

import pytest

from tests.lab.aws.asking import EAST, WEST, eventually, refusal, unique

USER_DATA = base64.b64encode(b"cat > /etc/standby/host.env <<'END'\nA=b\nEND\n").decode()


def image(aws, region=WEST):
    found = aws.client("ssm", region).get_parameter(
        Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    )
    return found["Parameter"]["Value"]


def subnets(aws, region=WEST):
    ec2 = aws.client("ec2", region)
    vpc = ec2.create_vpc(CidrBlock="10.70.0.0/16")["Vpc"]["VpcId"]
    return vpc, [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.70.{number}.0/24", AvailabilityZone=f"{region}{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]


def template(aws, region=WEST, ami=None):
    made = aws.client("ec2", region).create_launch_template(
        LaunchTemplateName=unique("template"),
        LaunchTemplateData={
            "ImageId": ami or image(aws, region),
            "InstanceType": "m6i.large",
            "UserData": USER_DATA,
        },
    )
    return {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "$Latest"}


def group(aws, region=WEST, **wanted):
    name = unique("group")
    _, places = subnets(aws, region)
    aws.client("autoscaling", region).create_auto_scaling_group(
        **{
            "AutoScalingGroupName": name,
            "MinSize": 0,
            "MaxSize": 4,
            "DesiredCapacity": 2,
            "LaunchTemplate": template(aws, region),
            "VPCZoneIdentifier": ",".join(places),
            **wanted,
        }
    )
    return name


def instances(aws, name, region=WEST):
    found = aws.client("autoscaling", region).describe_auto_scaling_groups(
        AutoScalingGroupNames=[name]
    )
    return found["AutoScalingGroups"][0]["Instances"]


def in_service(aws, name, count, region=WEST):
    def check():
        found = instances(aws, name, region)
        ready = [one for one in found if one["LifecycleState"] == "InService"]
        return ready if len(ready) == len(found) == count else None

    return eventually(check)


@pytest.fixture(autouse=True)
def _scaled_in(lab_run):
    yield
    server, _ = lab_run
    for region in (EAST, WEST):
        server.control("POST", "regions", {"region": region, "state": "up"})
        scaling = server.client("autoscaling", region)
        for found in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
            name = found["AutoScalingGroupName"]
            scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)


def test_instances_spread_over_the_zones(aws):
    found = in_service(aws, group(aws), 2)
    assert {one["AvailabilityZone"] for one in found} == {f"{WEST}a", f"{WEST}b"}


def test_launching_takes_time(aws):
    if aws.kind == "lab":
        aws.control("POST", "speed", {"speed": 100})
    name = group(aws)
    assert {one["LifecycleState"] for one in instances(aws, name)} == {"Pending"}
    in_service(aws, name, 2)


@pytest.mark.parametrize("desired", [5, 0])
def test_the_desired_capacity_stays_between_the_bounds(aws, desired):
    name = group(aws, MinSize=1)
    act = aws.client("autoscaling").set_desired_capacity
    code = refusal(act, AutoScalingGroupName=name, DesiredCapacity=desired)
    assert code == "ValidationError"


def test_a_group_that_does_not_exist_is_not_scaled(aws):
    act = aws.client("autoscaling").set_desired_capacity
    code = refusal(act, AutoScalingGroupName="nobody", DesiredCapacity=1)
    assert code == "ValidationError"


def test_a_group_is_not_created_beyond_its_bounds(aws):
    with pytest.raises(aws.client("autoscaling").exceptions.ClientError, match="Desired capacity"):
        _or_fail(group, aws, DesiredCapacity=9)


def _or_fail(act, *arguments, **named):
    act(*arguments, **named)
    pytest.fail("the call was accepted")


def test_an_image_that_the_region_does_not_have_launches_nothing(aws):
    missing = "ami-00000000000000000"
    _, places = subnets(aws)
    code = refusal(
        aws.client("autoscaling").create_auto_scaling_group,
        AutoScalingGroupName=unique("group"),
        MinSize=0,
        MaxSize=1,
        LaunchTemplate=template(aws, ami=missing),
        VPCZoneIdentifier=",".join(places),
    )
    assert code == "ValidationError"
    code = refusal(
        aws.client("ec2").run_instances,
        ImageId=missing,
        InstanceType="m6i.large",
        MinCount=1,
        MaxCount=1,
    )
    assert code == "InvalidAMIID.NotFound"


def test_a_dead_host_is_replaced(lab, lab_run):
    name = group(lab)
    first = in_service(lab, name, 2)[0]["InstanceId"]
    os.kill(int((lab_run[1] / "hosts" / first).read_text()), 9)

    def replaced():
        found = instances(lab, name)
        return len(found) == 2 and first not in {one["InstanceId"] for one in found}

    eventually(replaced)
    in_service(lab, name, 2)


def test_scaling_in_ends_hosts(lab, lab_run):
    name = group(lab)
    found = in_service(lab, name, 2)
    lab.client("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    left = in_service(lab, name, 1)[0]["InstanceId"]
    gone = next(one["InstanceId"] for one in found if one["InstanceId"] != left)
    process = int((lab_run[1] / "hosts" / gone).read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_hosts_die_with_their_region_and_are_launched_anew_when_it_heals(lab, lab_run):
    name = group(lab, EAST)
    before = {one["InstanceId"] for one in in_service(lab, name, 2, EAST)}
    lab.control("POST", "regions", {"region": EAST, "state": "dead", "api": "refuse"})
    for host in before:
        with pytest.raises(ProcessLookupError):
            os.kill(int((lab_run[1] / "hosts" / host).read_text()), 0)
    lab.control("POST", "regions", {"region": EAST, "state": "up"})

    def anew():
        found = instances(lab, name, EAST)
        names = {one["InstanceId"] for one in found if one["LifecycleState"] == "InService"}
        return len(names) == 2 and not names & before

    eventually(anew)


def test_a_quota_stops_launches_and_says_so(lab):
    lab.control("POST", "quotas", {"region": WEST, "vcpus": 4})
    try:
        quota = lab.client("service-quotas").get_service_quota(
            ServiceCode="ec2", QuotaCode="L-1216C47A"
        )
        assert quota["Quota"]["Value"] == 4
        name = group(lab, DesiredCapacity=3)
        in_service(lab, name, 2)
        activities = lab.client("autoscaling").describe_scaling_activities(
            AutoScalingGroupName=name
        )["Activities"]
        assert "vCPU limit of 4" in activities[0]["StatusMessage"]
        code = refusal(
            lab.client("ec2").run_instances,
            ImageId=image(lab),
            InstanceType="m6i.large",
            MinCount=1,
            MaxCount=1,
        )
        assert code == "VcpuLimitExceeded"
    finally:
        lab.control("POST", "quotas", {"region": WEST, "vcpus": 256})


def test_the_quota_of_vcpus_can_be_read(aws):
    act = aws.client("service-quotas").get_service_quota
    try:
        found = act(ServiceCode="ec2", QuotaCode="L-1216C47A")
    except aws.client("service-quotas").exceptions.ClientError as error:
        pytest.fail(str(error))
    assert found["Quota"]["Value"] > 0


def balanced(aws):
    vpc, places = subnets(aws)
    elb = aws.client("elbv2")
    made = elb.create_load_balancer(Name=unique("lb")[:30], Subnets=places)["LoadBalancers"][0]
    targets = elb.create_target_group(
        Name=unique("tg")[:30],
        Protocol="HTTP",
        Port=5000,
        VpcId=vpc,
        HealthCheckPath="/health",
        TargetType="instance",
    )["TargetGroups"][0]["TargetGroupArn"]
    listener = elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="HTTP",
        Port=8443,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
    )["Listeners"][0]["ListenerArn"]
    return made, targets, listener, places


def health(aws, targets):
    found = aws.client("elbv2").describe_target_health(TargetGroupArn=targets)
    return {
        one["Target"]["Id"]: one["TargetHealth"]["State"]
        for one in found["TargetHealthDescriptions"]
    }


def test_a_balancer_stands_in_two_zones(aws):
    _, places = subnets(aws)
    act = aws.client("elbv2").create_load_balancer
    assert refusal(act, Name=unique("lb")[:30], Subnets=places[:1]) == "ValidationError"


def test_a_target_is_not_healthy_before_it_has_been_seen_healthy(aws):
    _, targets, _, places = balanced(aws)
    name = group(aws, TargetGroupARNs=[targets], VPCZoneIdentifier=",".join(places))
    in_service(aws, name, 2)
    assert set(eventually(lambda: health(aws, targets)).values()) == {"initial"}


def test_a_targets_health_is_what_the_balancer_reports(lab):
    _, targets, _, places = balanced(lab)
    name = group(lab, TargetGroupARNs=[targets], VPCZoneIdentifier=",".join(places))
    one, other = (found["InstanceId"] for found in in_service(lab, name, 2))
    eventually(lambda: len(health(lab, targets)) == 2)
    lab.control("POST", "health", {targets: {one: "healthy", other: "unhealthy"}})
    assert health(lab, targets) == {one: "healthy", other: "unhealthy"}


def test_a_group_that_asks_the_balancer_replaces_unhealthy_hosts(lab):
    _, targets, _, places = balanced(lab)
    name = group(
        lab,
        TargetGroupARNs=[targets],
        VPCZoneIdentifier=",".join(places),
        HealthCheckType="ELB",
        HealthCheckGracePeriod=1,
        DesiredCapacity=1,
    )
    sick = in_service(lab, name, 1)[0]["InstanceId"]
    lab.control("POST", "health", {targets: {sick: "unhealthy"}})
    eventually(lambda: sick not in {one["InstanceId"] for one in instances(lab, name)})


def test_scaled_in_hosts_leave_the_balancer(aws):
    _, targets, _, places = balanced(aws)
    name = group(aws, TargetGroupARNs=[targets], VPCZoneIdentifier=",".join(places))
    in_service(aws, name, 2)
    aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=0)
    eventually(lambda: health(aws, targets) == {}, 3)


def test_the_world_tells_where_balancers_and_targets_are(lab):
    made, targets, listener, places = balanced(lab)
    lab.client("elbv2").modify_load_balancer_attributes(
        LoadBalancerArn=made["LoadBalancerArn"],
        Attributes=[{"Key": "client_keep_alive.seconds", "Value": "90"}],
    )
    lab.client("elbv2").create_rule(
        ListenerArn=listener,
        Priority=5,
        Conditions=[{"Field": "path-pattern", "Values": ["/api/*"]}],
        Actions=[
            {
                "Type": "fixed-response",
                "FixedResponseConfig": {"StatusCode": "503", "MessageBody": "moved"},
            }
        ],
    )
    name = group(
        lab, TargetGroupARNs=[targets], VPCZoneIdentifier=",".join(places), DesiredCapacity=1
    )
    host = in_service(lab, name, 1)[0]["InstanceId"]

    def known():
        world = lab.control("GET", "world")
        return world if world["target_groups"][targets]["targets"] else None

    world = eventually(known)
    found = next(one for one in world["balancers"] if one["arn"] == made["LoadBalancerArn"])
    assert found["address"].startswith("127.100.")
    assert found["dns"] == made["DNSName"]
    assert found["keep_alive"] == 90
    (one,) = found["listeners"]
    assert (one["port"], one["default"]) == (8443, {"target_group": targets})
    rule = {"priority": 5, "paths": ["/api/*"], "action": {"fixed": 503, "body": "moved"}}
    assert one["rules"] == [rule]
    (target,) = world["target_groups"][targets]["targets"]
    assert (target["id"], target["port"]) == (host, 5000)
    assert target["address"].startswith("127.70.")


def test_a_subnet_is_in_a_zone_of_its_region(aws):
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.71.0.0/16")["Vpc"]["VpcId"]
    act = ec2.create_subnet
    code = refusal(act, VpcId=vpc, CidrBlock="10.71.0.0/24", AvailabilityZone=f"{EAST}a")
    assert code == "InvalidParameterValue"


def test_a_reservation_holds_capacity_until_instances_fill_it(lab):
    ec2 = lab.client("ec2")
    made = ec2.create_capacity_reservation(
        InstanceType="m6i.large",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=f"{WEST}a",
        InstanceCount=2,
        TagSpecifications=[
            {"ResourceType": "capacity-reservation", "Tags": [{"Key": "for", "Value": "all"}]}
        ],
    )["CapacityReservation"]

    def found():
        return ec2.describe_capacity_reservations(
            CapacityReservationIds=[made["CapacityReservationId"]]
        )["CapacityReservations"][0]

    assert found()["AvailableInstanceCount"] == 2
    assert found()["Tags"] == [{"Key": "for", "Value": "all"}]
    in_service(lab, group(lab), 2)
    assert found()["AvailableInstanceCount"] == 1
    lab.control("POST", "quotas", {"region": WEST, "vcpus": 6})
    try:
        act = ec2.create_capacity_reservation
        code = refusal(
            act,
            InstanceType="m6i.large",
            InstancePlatform="Linux/UNIX",
            AvailabilityZone=f"{WEST}a",
            InstanceCount=2,
        )
        assert code == "VcpuLimitExceeded"
    finally:
        lab.control("POST", "quotas", {"region": WEST, "vcpus": 256})
    ec2.cancel_capacity_reservation(CapacityReservationId=made["CapacityReservationId"])
    assert found()["State"] == "cancelled"
