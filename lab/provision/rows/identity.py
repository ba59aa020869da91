"""Roles, their policies, and instance profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import existing
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


# Role


def _read_role(change: Change) -> Properties | None:
    found = change.aws.get_role(RoleName=change.id)["Role"]
    return {
        "arn": found["Arn"],
        "name": found["RoleName"],
        "uniqueId": found["RoleId"],
        "createDate": found["CreateDate"].isoformat(),
        "managedPolicyArns": [],
        "inlinePolicies": [],
    }


def _create_role(change: Change) -> str:
    return change.aws.create_role(
        RoleName=change.new["name"],
        **change.pick("description", "maxSessionDuration", "path", "permissionsBoundary"),
        AssumeRolePolicyDocument=change.new["assumeRolePolicy"],
        **tags.given(change),
    )["Role"]["RoleName"]


def _named_role(change: Change) -> str | None:
    found = existing(lambda: change.aws.get_role(RoleName=change.new["name"]))
    return found and found["Role"]["RoleName"]


ROLE = Row(
    type="aws:iam/role:Role",
    service="iam",
    source="internal/service/iam/role.go",
    replace=props("name path"),
    local=props("forceDetachPolicies"),
    updates=(
        update(
            "assumeRolePolicy",
            lambda c: c.aws.update_assume_role_policy(
                RoleName=c.id, PolicyDocument=c.new["assumeRolePolicy"]
            ),
        ),
        update(
            "description maxSessionDuration",
            lambda c: c.aws.update_role(
                RoleName=c.id,
                Description=c.new.get("description", ""),
                MaxSessionDuration=c.new.get("maxSessionDuration", 3600),
            ),
        ),
        update(
            "permissionsBoundary",
            lambda c: c.aws.put_role_permissions_boundary(
                RoleName=c.id, PermissionsBoundary=c.new["permissionsBoundary"]
            ),
        ),
        tags.tagging(lambda c: {"RoleName": c.id}, tag="tag_role", untag="untag_role"),
    ),
    create=_create_role,
    read=_read_role,
    delete=lambda c: c.aws.delete_role(RoleName=c.id),
    find=_named_role,
    naming=Naming(property="name", limit=64),
    json=props("assumeRolePolicy"),
    regional=False,
)


# Policies of a role


def _put_policy(change: Change) -> str:
    role, name = change.new["role"], change.new["name"]
    change.aws.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=change.new["policy"])
    return f"{role}:{name}"


def _find_policy(change: Change) -> str | None:
    role, name = change.new["role"], change.new["name"]
    found = existing(lambda: change.aws.get_role_policy(RoleName=role, PolicyName=name))
    return f"{role}:{name}" if found else None


ROLE_POLICY = Row(
    type="aws:iam/rolePolicy:RolePolicy",
    service="iam",
    source="internal/service/iam/role_policy.go",
    replace=props("name role"),
    updates=(update("policy", _put_policy),),
    create=_put_policy,
    delete=lambda c: c.aws.delete_role_policy(RoleName=c.new["role"], PolicyName=c.new["name"]),
    find=_find_policy,
    naming=Naming(property="name", limit=128),
    json=props("policy"),
    regional=False,
)


def _attachment(change: Change) -> Properties:
    return change.pick("policyArn", RoleName="role")


def _attach(change: Change) -> str:
    change.aws.attach_role_policy(**_attachment(change))
    return f"{change.new['role']}/{change.new['policyArn']}"


ROLE_POLICY_ATTACHMENT = Row(
    type="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    service="iam",
    source="internal/service/iam/role_policy_attachment.go",
    replace=props("policyArn role"),
    create=_attach,
    delete=lambda c: c.aws.detach_role_policy(**_attachment(c)),
    # Attaching twice is no error.
    find=_attach,
    regional=False,
)


# Instance profile


def _profile(change: Change, name: str) -> Any:
    found = existing(lambda: change.aws.get_instance_profile(InstanceProfileName=name))
    return found and found["InstanceProfile"]


def _set_role(change: Change) -> None:
    held = {role["RoleName"] for role in _profile(change, change.id)["Roles"]}
    wanted = change.new.get("role")
    for role in sorted(held - {wanted}):
        change.aws.remove_role_from_instance_profile(InstanceProfileName=change.id, RoleName=role)
    if wanted and wanted not in held:
        change.aws.add_role_to_instance_profile(InstanceProfileName=change.id, RoleName=wanted)


def _read_profile(change: Change) -> Properties | None:
    found = _profile(change, change.id)
    return found and {
        "arn": found["Arn"],
        "uniqueId": found["InstanceProfileId"],
        "createDate": found["CreateDate"].isoformat(),
    }


def _delete_profile(change: Change) -> None:
    for role in _profile(change, change.id)["Roles"]:
        change.aws.remove_role_from_instance_profile(
            InstanceProfileName=change.id, RoleName=role["RoleName"]
        )
    change.aws.delete_instance_profile(InstanceProfileName=change.id)


INSTANCE_PROFILE = Row(
    type="aws:iam/instanceProfile:InstanceProfile",
    service="iam",
    source="internal/service/iam/instance_profile.go",
    replace=props("name path"),
    updates=(
        update("role", _set_role, at_creation=True),
        tags.tagging(
            lambda c: {"InstanceProfileName": c.id},
            tag="tag_instance_profile",
            untag="untag_instance_profile",
        ),
    ),
    create=lambda c: c.aws.create_instance_profile(
        InstanceProfileName=c.new["name"], **c.pick("path"), **tags.given(c)
    )["InstanceProfile"]["InstanceProfileName"],
    read=_read_profile,
    delete=_delete_profile,
    find=lambda c: c.new["name"] if _profile(c, c.new["name"]) else None,
    naming=Naming(property="name", limit=128),
    regional=False,
)

ROWS = (ROLE, ROLE_POLICY, ROLE_POLICY_ATTACHMENT, INSTANCE_PROFILE)
