"""The steps that plans are made of, one module per concern.

Each takes a `Case`: one product on its way to one site. `acts` change, everything else reads.
"""
