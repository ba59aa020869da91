"""The stack's name says which program runs: `primary` and `dr` are sites, `link` ties them."""  # noqa: INP001 - Pulumi runs the folder

import pulumi

from infra import link, settings, site


def main() -> None:
    """Declare everything of the selected stack."""
    config = pulumi.Config()
    shared = settings.load(config)
    match pulumi.get_stack():
        case "link":
            link.build(shared, settings.load_active(config))
        case "primary" | "dr" as stack:
            site.build(shared, settings.load_placement(config, shared, stack))
        case stack:
            msg = f"there is no program for the stack {stack}; select primary, dr or link"
            raise pulumi.RunError(msg)


main()
