"""Provider functions that programs call, answered by AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lab.provision.errors import ProvisionError
from lab.provision.values import Secret

if TYPE_CHECKING:
    from lab.provision.clients import Clients
    from lab.provision.providers import Provider
    from lab.provision.sdk import Invocation
    from lab.provision.values import Properties

_Aws = Callable[[str], Any]
"""Service → its client in the region that was asked for."""


def invoke(invocation: Invocation, provider: Provider, clients: Clients) -> Properties:
    """Return the function's answer; raise ProvisionError for one that the lab does not know."""
    function = FUNCTIONS.get(invocation.token)
    if function is None:
        msg = f"function {invocation.token} is not in lab/provision/invokes.py; add it there"
        raise ProvisionError(msg)
    region = provider.region
    given = {k: v for k, v in invocation.arguments.items() if k != "region"}
    answer = function(lambda service: clients(service, region), given)
    return {"id": region, "region": region, **given, **answer}


def _caller(aws: _Aws, _given: Properties) -> Properties:
    found = aws("sts").get_caller_identity()
    return {
        "id": found["Account"],
        "accountId": found["Account"],
        "arn": found["Arn"],
        "userId": found["UserId"],
    }


def _zones(aws: _Aws, given: Properties) -> Properties:
    filters = [{"Name": f["name"], "Values": f["values"]} for f in given.get("filters", [])]
    found = aws("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
    state = given.get("state")
    left_out = {*given.get("excludeNames", []), *given.get("excludeZoneIds", [])}
    kept = [
        zone
        for zone in found
        if state in {None, zone["State"]} and not left_out & {zone["ZoneName"], zone["ZoneId"]}
    ]
    return {
        "names": [zone["ZoneName"] for zone in kept],
        "zoneIds": [zone["ZoneId"] for zone in kept],
        "groupNames": sorted({zone.get("GroupName", zone["RegionName"]) for zone in kept}),
    }


def _hosted_zone(aws: _Aws, given: Properties) -> Properties:
    route53 = aws("route53")
    if "zoneId" in given:
        zone = route53.get_hosted_zone(Id=given["zoneId"])["HostedZone"]
    else:
        name = f"{given['name'].rstrip('.')}."
        private = given.get("privateZone", False)
        zones = route53.list_hosted_zones()["HostedZones"]
        found = [z for z in zones if z["Name"] == name and z["Config"]["PrivateZone"] == private]
        if len(found) != 1:
            msg = f"{len(found)} hosted zones are called {name}; exactly one is needed"
            raise ProvisionError(msg)
        zone = found[0]
    id_ = zone["Id"].rpartition("/")[2]
    servers = route53.get_hosted_zone(Id=id_).get("DelegationSet", {}).get("NameServers", [])
    return {
        "id": id_,
        "zoneId": id_,
        "name": zone["Name"].rstrip("."),
        "arn": f"arn:aws:route53:::hostedzone/{id_}",
        "callerReference": zone["CallerReference"],
        "comment": zone["Config"].get("Comment", ""),
        "nameServers": servers,
        "primaryNameServer": servers[0] if servers else "",
        "privateZone": zone["Config"]["PrivateZone"],
        "resourceRecordSetCount": zone.get("ResourceRecordSetCount", 0),
        "linkedServicePrincipal": "",
        "linkedServiceDescription": "",
        "tags": {},
        "vpcId": "",
    }


def _image(aws: _Aws, given: Properties) -> Properties:
    filters = [{"Name": f["name"], "Values": f["values"]} for f in given.get("filters", [])]
    owners = {"Owners": given["owners"]} if "owners" in given else {}
    found = aws("ec2").describe_images(Filters=filters, **owners)["Images"]
    if not found or (len(found) > 1 and not given.get("mostRecent")):
        msg = f"{len(found)} images match {given}; one is needed, or most_recent"
        raise ProvisionError(msg)
    image = max(found, key=lambda i: str(i["CreationDate"]))
    plain = (
        "ImageId",
        "Name",
        "Architecture",
        "CreationDate",
        "OwnerId",
        "State",
        "RootDeviceName",
    )
    names = {name[:1].lower() + name[1:]: image.get(name, "") for name in plain}
    return {
        **names,
        "id": image["ImageId"],
        "arn": f"arn:aws:ec2:::image/{image['ImageId']}",
        "description": image.get("Description", ""),
        "virtualizationType": image.get("VirtualizationType", "hvm"),
        "tags": {},
    }


def _parameter(aws: _Aws, given: Properties) -> Properties:
    decrypt = given.get("withDecryption", True)
    found = aws("ssm").get_parameter(Name=given["name"], WithDecryption=decrypt)["Parameter"]
    return {
        "id": found["Name"],
        "arn": found["ARN"],
        "name": found["Name"],
        "type": found["Type"],
        "value": found["Value"],
        "insecureValue": found["Value"] if found["Type"] != "SecureString" else "",
        "version": found["Version"],
        "withDecryption": decrypt,
    }


_PASSWORD = {
    "excludeCharacters": "ExcludeCharacters",
    "excludeLowercase": "ExcludeLowercase",
    "excludeNumbers": "ExcludeNumbers",
    "excludePunctuation": "ExcludePunctuation",
    "excludeUppercase": "ExcludeUppercase",
    "includeSpace": "IncludeSpace",
    "passwordLength": "PasswordLength",
    "requireEachIncludedType": "RequireEachIncludedType",
}


def _password(aws: _Aws, given: Properties) -> Properties:
    wanted = {aws_name: given[name] for name, aws_name in _PASSWORD.items() if name in given}
    made = aws("secretsmanager").get_random_password(**wanted)["RandomPassword"]
    # The provider does not mark it as a secret, and its id is the password itself.
    return {"id": made, "randomPassword": made}


def _secret_version(aws: _Aws, given: Properties) -> Properties:
    which = {"VersionId": given["versionId"]} if "versionId" in given else {}
    stage = given.get("versionStage", "AWSCURRENT")
    found = aws("secretsmanager").get_secret_value(
        SecretId=given["secretId"], **which or {"VersionStage": stage}
    )
    return {
        "id": f"{given['secretId']}|{stage}",
        "arn": found["ARN"],
        "createdDate": str(found["CreatedDate"]),
        "secretString": Secret(found.get("SecretString", "")),
        "secretBinary": Secret(""),
        "versionId": found["VersionId"],
        "versionStage": stage,
        "versionStages": found["VersionStages"],
    }


def _region(_aws: _Aws, _given: Properties) -> Properties:
    return {}


def _partition(_aws: _Aws, _given: Properties) -> Properties:
    return {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


FUNCTIONS: dict[str, Callable[[_Aws, Properties], Properties]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region,
    "aws:route53/getZone:getZone": _hosted_zone,
    "aws:ec2/getAmi:getAmi": _image,
    "aws:ssm/getParameter:getParameter": _parameter,
    "aws:secretsmanager/getRandomPassword:getRandomPassword": _password,
    "aws:secretsmanager/getSecretVersion:getSecretVersion": _secret_version,
}
