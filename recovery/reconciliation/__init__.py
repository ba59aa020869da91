"""Bringing Pulumi's stacks in line with what recovery did: what is, what is wanted, what to do.

`world` asks AWS, `wanted` says what each stack's configuration has to be, `checkpoint` reads a
state, `operations` says what in it stands for something else now, `preview` judges what Pulumi
would change, `command` runs Pulumi. Only `command` starts a process; only `world` calls AWS.
"""
