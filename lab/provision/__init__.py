"""Provision the stacks in the lab: their own programs, run by Pulumi's SDK, made real by boto3.

`python -m lab.provision --run-dir RUN STACK...`. `sdk` is the seam to Pulumi, `engine` decides
what to do with each registration, `rows` says per resource type how it is done, `state` keeps
what was done. It is called a lab provision, never a Pulumi preview: the provider's defaults and
validation are not modelled.
"""
