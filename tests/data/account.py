"""Reads and touches an AWS account for the tests, through boto3: a second opinion beside `lamp`'s own SDK.

Speaks JSON lines: a request {"call": [service, operation, arguments]} or {"snapshot": [region, …]} on stdin,
an answer {"ok": …} or {"error": code, "message": …} on stdout.
"""

import base64
import datetime
import json
import re
import sys

import boto3
import botocore.config
import botocore.exceptions

ENDPOINT, HOME_REGION = sys.argv[1:3]
CONFIG = botocore.config.Config(
    retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=60, s3={"addressing_style": "path"}
)
CLIENTS = {}


def client(service, region=HOME_REGION):
    """One client per service and region, made when it is first needed."""
    key = (service, region)
    if key not in CLIENTS:
        CLIENTS[key] = boto3.client(
            service,
            region_name=region,
            endpoint_url=ENDPOINT,
            aws_access_key_id="reader",
            aws_secret_access_key="reader",
            config=CONFIG,
        )
    return CLIENTS[key]


def pages(service, operation, key, region, **arguments):
    """All items of a listing, page after page."""
    it = client(service, region)
    if it.can_paginate(operation):
        answers = it.get_paginator(operation).paginate(**arguments)
    else:
        answers = [getattr(it, operation)(**arguments)]
    found = []
    for answer in answers:
        for step in key.split("."):
            answer = answer.get(step) or []
        found += answer
    return found


def ec2(region):
    """Everything of EC2 that costs money, blocks a VPC, or could be left behind."""

    def listing(operation, key, **arguments):
        return pages("ec2", operation, key, region, **arguments)

    instances = [i for r in listing("describe_instances", "Reservations") for i in r["Instances"]]
    ended = {it["InstanceId"] for it in instances if it["State"]["Name"] == "terminated"}
    # moto keeps the volumes of a scaling group's instances, attached to what has ended.
    volumes = [
        it
        for it in listing("describe_volumes", "Volumes")
        if not any(a["InstanceId"] in ended for a in it["Attachments"])
    ]
    templates = listing("describe_launch_templates", "LaunchTemplates")
    for it in templates:
        it["Versions"] = pages(
            "ec2", "describe_launch_template_versions", "LaunchTemplateVersions", region, LaunchTemplateId=it["LaunchTemplateId"]
        )
        for version in it["Versions"]:
            data = version["LaunchTemplateData"]
            text = base64.b64decode(data.get("UserData", "")).decode()
            # The emulator's own address differs from test to test.
            data["UserData"] = re.sub(r"http://127\.0\.0\.1:\d+", "http://endpoint", text)
    return {
        "vpc": [it | vpc_attributes(it["VpcId"], region) for it in listing("describe_vpcs", "Vpcs") if not it["IsDefault"]],
        "subnet": [it for it in listing("describe_subnets", "Subnets") if not it["DefaultForAz"]],
        "internet-gateway": listing("describe_internet_gateways", "InternetGateways"),
        "elastic-ip": listing("describe_addresses", "Addresses"),
        "nat-gateway": [it for it in listing("describe_nat_gateways", "NatGateways") if it["State"] != "deleted"],
        "route-table": listing("describe_route_tables", "RouteTables"),
        "endpoint": [it for it in listing("describe_vpc_endpoints", "VpcEndpoints") if it["State"] != "deleted"],
        "security-group": listing("describe_security_groups", "SecurityGroups"),
        "security-group-rule": listing("describe_security_group_rules", "SecurityGroupRules"),
        "key-pair": listing("describe_key_pairs", "KeyPairs"),
        "instance": [it for it in instances if it["State"]["Name"] != "terminated"],
        "image": listing("describe_images", "Images", Owners=["self"]),
        "snapshot": listing("describe_snapshots", "Snapshots", OwnerIds=["self"]),
        "volume": volumes,
        "network-acl": [it for it in listing("describe_network_acls", "NetworkAcls") if not it["IsDefault"]],
        "launch-template": templates,
    }


def vpc_attributes(vpc, region):
    """What DescribeVpcs does not say."""
    ask = client("ec2", region).describe_vpc_attribute
    return {
        "Dns": [
            ask(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"],
            ask(VpcId=vpc, Attribute="enableDnsSupport")["EnableDnsSupport"]["Value"],
        ]
    }


def balancing(region):
    """Balancers with listeners, rules, attributes and target health, by name."""
    elb = client("elbv2", region)
    balancers = pages("elbv2", "describe_load_balancers", "LoadBalancers", region)
    groups = pages("elbv2", "describe_target_groups", "TargetGroups", region)
    listeners, rules = [], []
    for it in balancers:
        arn = it["LoadBalancerArn"]
        it["Attributes"] = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        for listener in pages("elbv2", "describe_listeners", "Listeners", region, LoadBalancerArn=arn):
            listeners.append(listener)
            found = pages("elbv2", "describe_rules", "Rules", region, ListenerArn=listener["ListenerArn"])
            rules += [rule | {"ListenerArn": listener["ListenerArn"]} for rule in found]
    for it in groups:
        arn = it["TargetGroupArn"]
        it["Attributes"] = elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        it["Targets"] = [
            t["Target"] for t in elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        ]
    tagged = (
        [(it["LoadBalancerArn"], it) for it in balancers]
        + [(it["TargetGroupArn"], it) for it in groups]
        + [(it["ListenerArn"], it) for it in listeners]
        + [(it["RuleArn"], it) for it in rules]
    )
    # AWS describes the tags of twenty at a time.
    for start in range(0, len(tagged), 20):
        part = dict(tagged[start : start + 20])
        for tags in elb.describe_tags(ResourceArns=list(part))["TagDescriptions"]:
            part[tags["ResourceArn"]]["Tags"] = tags["Tags"]
    return {"load-balancer": balancers, "target-group": groups, "listener": listeners, "listener-rule": rules}


def scaling(region):
    """Groups with their policies."""
    groups = pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", region)
    names = {it["AutoScalingGroupName"] for it in groups}
    policies = pages("autoscaling", "describe_policies", "ScalingPolicies", region)
    return {
        "scaling-group": groups,
        # AWS removes a group's policies with it; moto forgets to.
        "scaling-policy": [it for it in policies if it["AutoScalingGroupName"] in names],
        "alarm": pages("cloudwatch", "describe_alarms", "MetricAlarms", region),
    }


def database(region):
    """RDS, with the parameters that somebody set in each group."""
    groups = [
        it
        for it in pages("rds", "describe_db_parameter_groups", "DBParameterGroups", region)
        if not it["DBParameterGroupName"].startswith("default.")
    ]
    for it in groups:
        name = it["DBParameterGroupName"]
        found = pages("rds", "describe_db_parameters", "Parameters", region, DBParameterGroupName=name, Source="user")
        it["Parameters"] = [{k: p.get(k) for k in ("ParameterName", "ParameterValue", "ApplyMethod")} for p in found]
        it["TagList"] = client("rds", region).list_tags_for_resource(ResourceName=it["DBParameterGroupArn"])["TagList"]
    subnet_groups = pages("rds", "describe_db_subnet_groups", "DBSubnetGroups", region)
    for it in subnet_groups:
        it["TagList"] = client("rds", region).list_tags_for_resource(ResourceName=it["DBSubnetGroupArn"])["TagList"]
    instances = pages("rds", "describe_db_instances", "DBInstances", region)
    for it in instances:
        # It moves by itself.
        it.pop("LatestRestorableTime", None)
    return {
        "database": instances,
        "db-subnet-group": subnet_groups,
        "db-parameter-group": groups,
        "db-snapshot": pages("rds", "describe_db_snapshots", "DBSnapshots", region),
    }


def files(region):
    """File systems with their mount targets and groups."""
    efs = client("efs", region)
    systems = pages("efs", "describe_file_systems", "FileSystems", region)
    targets = [
        t | {"SecurityGroups": efs.describe_mount_target_security_groups(MountTargetId=t["MountTargetId"])["SecurityGroups"]}
        for it in systems
        for t in pages("efs", "describe_mount_targets", "MountTargets", region, FileSystemId=it["FileSystemId"])
    ]
    for it in systems:
        # It moves by itself.
        it.pop("SizeInBytes", None)
        it["Policy"] = optional(lambda it=it: json.loads(efs.describe_file_system_policy(FileSystemId=it["FileSystemId"])["Policy"]))
        it["Backup"] = optional(lambda it=it: efs.describe_backup_policy(FileSystemId=it["FileSystemId"])["BackupPolicy"])
    return {"file-system": systems, "mount-target": targets}


def parameters(region):
    """Everything in the Parameter Store that is not Amazon's own; values of secrets stay out."""
    ssm = client("ssm", region)
    found = [it for it in pages("ssm", "describe_parameters", "Parameters", region) if not it["Name"].startswith("/aws/")]
    plain = [it["Name"] for it in found if it["Type"] != "SecureString"]
    values = {}
    for start in range(0, len(plain), 10):
        part = ssm.get_parameters(Names=plain[start : start + 10])["Parameters"]
        values |= {it["Name"]: it["Value"] for it in part}
    for it in found:
        it["Value"] = values.get(it["Name"])
        it["Tags"] = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=it["Name"])["TagList"]
    return {"parameter": found}


def logs(region):
    """Log groups: RDS leaves some behind."""
    found = pages("logs", "describe_log_groups", "logGroups", region)
    for it in found:
        it["Tags"] = client("logs", region).list_tags_for_resource(resourceArn=it["logGroupArn"])["tags"]
    return {"log-group": found}


def identity():
    """Roles, their policies, profiles and our own managed policies."""
    iam = client("iam")
    roles = pages("iam", "list_roles", "Roles", HOME_REGION)
    for it in roles:
        name = it["RoleName"]
        it["Attached"] = [p["PolicyArn"] for p in pages("iam", "list_attached_role_policies", "AttachedPolicies", HOME_REGION, RoleName=name)]
        it["Inline"] = {
            p: iam.get_role_policy(RoleName=name, PolicyName=p)["PolicyDocument"]
            for p in pages("iam", "list_role_policies", "PolicyNames", HOME_REGION, RoleName=name)
        }
        it["Tags"] = iam.list_role_tags(RoleName=name)["Tags"]
    return {
        "role": roles,
        "instance-profile": pages("iam", "list_instance_profiles", "InstanceProfiles", HOME_REGION),
        "policy": pages("iam", "list_policies", "Policies", HOME_REGION, Scope="Local"),
        "user": pages("iam", "list_users", "Users", HOME_REGION),
    }


def buckets():
    """Buckets with everything that is set on them, and the objects' names, sizes and types."""
    s3 = client("s3")
    found = s3.list_buckets()["Buckets"]
    for it in found:
        name = {"Bucket": it["Name"]}
        it["Region"] = s3.get_bucket_location(**name)["LocationConstraint"]
        it["Policy"] = optional(lambda: json.loads(s3.get_bucket_policy(**name)["Policy"]))
        it["Public"] = optional(lambda: s3.get_public_access_block(**name)["PublicAccessBlockConfiguration"])
        it["Encryption"] = optional(lambda: s3.get_bucket_encryption(**name)["ServerSideEncryptionConfiguration"])
        it["Versioning"] = s3.get_bucket_versioning(**name).get("Status")
        it["Ownership"] = optional(lambda: s3.get_bucket_ownership_controls(**name)["OwnershipControls"])
        it["Website"] = optional(lambda: without_metadata(s3.get_bucket_website(**name)))
        it["Tags"] = optional(lambda: s3.get_bucket_tagging(**name)["TagSet"]) or []
        it["Objects"] = [
            {"Key": o["Key"], "Size": o["Size"], "Type": s3.head_object(**name, Key=o["Key"])["ContentType"]}
            for o in pages("s3", "list_objects_v2", "Contents", HOME_REGION, **name)
        ]
    return {"bucket": found}


def edge():
    """Distributions and their origin access controls."""
    front = client("cloudfront")
    distributions = []
    for it in pages("cloudfront", "list_distributions", "DistributionList.Items", HOME_REGION):
        whole = front.get_distribution(Id=it["Id"])["Distribution"]
        whole["Tags"] = front.list_tags_for_resource(Resource=whole["ARN"])["Tags"]["Items"]
        distributions.append(whole)
    controls = front.list_origin_access_controls().get("OriginAccessControlList", {}).get("Items") or []
    return {"distribution": distributions, "origin-access-control": controls}


def optional(read):
    """None where AWS says that nothing is set; a server error is still an error."""
    try:
        return read()
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise
        return None


def without_metadata(answer):
    """The answer without boto3's own addition."""
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}


def snapshot(regions):
    """The whole account as {kind: [resource]}; what is regional is read in every region named."""
    found = identity() | buckets() | edge()
    for region in regions:
        for part in (ec2, balancing, scaling, database, files, parameters, logs):
            for kind, items in part(region).items():
                found.setdefault(kind, []).extend(items)
    # moto's target groups remember instances and balancers that are gone.
    instances = {it["InstanceId"] for it in found["instance"]}
    balancers = {it["LoadBalancerArn"] for it in found["load-balancer"]}
    for it in found["target-group"]:
        it["Targets"] = [t for t in it["Targets"] if t["Id"] in instances]
        it["LoadBalancerArns"] = [arn for arn in it["LoadBalancerArns"] if arn in balancers]
    return found


def call(service, operation, arguments):
    """Any operation of any service, as a hand at the console would do it."""
    region = arguments.pop("region", HOME_REGION)
    return without_metadata(getattr(client(service, region), operation)(**arguments))


def plain(value):
    """JSON for what boto3 parses into Python's own types."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, "read"):
        return value.read().decode("utf-8", "replace")
    return str(value)


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            ok = snapshot(request["snapshot"]) if "snapshot" in request else call(*request["call"])
            answer = {"ok": ok}
        except botocore.exceptions.ClientError as error:
            answer = {"error": error.response["Error"]["Code"], "message": str(error)}
        except Exception as error:  # the test on the other side fails with these words
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer, default=plain), flush=True)


main()
