"""What verification is made of: the service, the product's own tests, the data, the files.

Each part returns findings and raises nothing for what it finds.
"""
