"""AWS, one module per service: the only importer of boto3 and botocore.

Importing these modules is cheap; the SDK itself is loaded with the first client. Every public
function is wrapped by `call.uses`, which declares the IAM actions it needs and turns whatever the
SDK raises into one of `errors`.
"""
