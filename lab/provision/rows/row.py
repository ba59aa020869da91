"""How one resource type is made real: the row, and what its functions are given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lab.provision.clients import Clients
    from lab.provision.values import Properties


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One resource on its way from what it was to what is declared."""

    clients: Clients
    service: str
    region: str
    name: str
    """The resource's name in the program."""
    token: str
    """Constant for this resource and unlike any other's: for idempotent calls."""
    id: str = ""
    new: Properties = field(default_factory=dict[str, Any])
    old: Properties = field(default_factory=dict[str, Any])
    outputs: Properties = field(default_factory=dict[str, Any])
    """What was known of the resource before."""
    changed: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    """Ids of this type that belong to other resources of the stack."""

    @property
    def aws(self) -> Any:
        """The client of the row's service in the resource's region."""
        return self.clients(self.service, self.region)

    def of(self, id_: str) -> Change:
        """Return the same change for the resource with this id."""
        return replace(self, id=id_)

    def client(self, service: str, region: str = "") -> Any:
        """Return another service's client, in the resource's region unless told otherwise."""
        return self.clients(service, region or self.region)

    def pick(self, *names: str, **renamed: str) -> Properties:
        """Return the declared properties called so, under AWS's names.

        `cidrBlock` becomes `CidrBlock`; `pick(IpProtocol="protocol")` takes another name. What is
        not declared is left out.
        """
        wanted = {pascal(name): name for name in names} | renamed
        return {aws: self.new[ours] for aws, ours in wanted.items() if ours in self.new}

    def pick_changed(self, *names: str, **renamed: str) -> Properties:
        """Return, of those, only what has changed."""
        wanted = {pascal(name): name for name in names} | renamed
        return {
            aws: self.new[ours]
            for aws, ours in wanted.items()
            if ours in self.new and ours in self.changed
        }

    @property
    def tags(self) -> dict[str, str]:
        """The declared tags."""
        return self.new.get("tags", {})

    @property
    def tags_removed(self) -> list[str]:
        """Keys of tags that are declared no longer."""
        return sorted(set(self.old.get("tags", {})) - set(self.tags))

    def one(self, found: Iterable[tuple[str, bool]]) -> str | None:
        """Return the first id whose condition holds and that is no other resource's."""
        return next((id_ for id_, is_it in found if is_it and id_ not in self.taken), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A change in place, for when any of the properties has changed."""

    properties: frozenset[str]
    apply: Callable[[Change], object]
    at_creation: bool = False
    """Run it after the creation too: creating does not cover these properties."""
    renews: bool = False
    """What it returns is the resource's new id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """The property that gets an automatic name, and how long that may be."""

    property: str
    limit: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Everything the lab knows of one resource type."""

    type: str
    service: str
    """boto3's name of the service."""
    source: str
    """File of terraform-provider-aws whose `ForceNew` and plan modifiers `replace` follows."""
    create: Callable[[Change], str]
    """Make it and return its id."""
    delete: Callable[[Change], object]
    find: Callable[[Change], str | None]
    """Return the id of what an interrupted creation has made, if it has."""
    read: Callable[[Change], Properties | None] = lambda _change: {}
    """Return the outputs that AWS knows, or None if there is no such resource."""
    observe: Callable[[Change], Properties | None] | None = None
    """Return the inputs that AWS has for `change.id`, an absent one as None; None: there is no such
    resource. What recovery changes beside the stacks has it: it is refreshed, and imported."""
    replace: frozenset[str] = frozenset()
    """Properties that AWS cannot change in place."""
    updates: tuple[Update, ...] = ()
    local: frozenset[str] = frozenset()
    """Properties that steer the provider; AWS never hears of them."""
    refuse: Callable[[Change], str | None] = lambda _change: None
    """Return why this change can never be made, if so."""
    moving: frozenset[str] = frozenset()
    """Outputs that every update changes, so that a preview cannot know them."""
    naming: Naming | None = None
    json: frozenset[str] = frozenset()
    """Properties that are JSON documents: equal meaning is no change."""
    regional: bool = True

    @property
    def properties(self) -> frozenset[str]:
        """Every property that the row knows."""
        changed_in_place = (update.properties for update in self.updates)
        own = {"region"} if self.regional else set[str]()
        return self.replace.union(self.local, own, *changed_in_place)


def props(names: str) -> frozenset[str]:
    """Return the names in a text."""
    return frozenset(names.split())


def update(
    names: str,
    apply: Callable[[Change], object],
    *,
    at_creation: bool = False,
    renews: bool = False,
) -> Update:
    """Return an update of the properties named in a text."""
    return Update(properties=props(names), apply=apply, at_creation=at_creation, renews=renews)


def where(**filters: str) -> list[dict[str, Any]]:
    """Return EC2's filters: `where(vpc_id=...)` is its filter `vpc-id`."""
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]


def pascal(name: str) -> str:
    """Return `cidrBlock` as `CidrBlock`."""
    return name[:1].upper() + name[1:]


def pascal_all(value: Any) -> Any:
    """Return a structure with all its keys as AWS writes them."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {pascal(key): pascal_all(item) for key, item in items}
    if isinstance(value, list):
        return [pascal_all(item) for item in cast("list[Any]", value)]
    return value
