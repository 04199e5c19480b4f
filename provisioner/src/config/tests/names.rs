//! Names that AWS refuses, and names that clash.

use super::refuses;

#[test]
fn a_stacks_name_has_no_capitals() {
    refuses(
        r#"stack = "Lab_VPC""#,
        (1, 9),
        r#"stack = "Lab_VPC""#,
        "a stack's name has lower-case letters, digits and single hyphens, with a letter first and no hyphen last, and not beginning with internal-, aws, sg-, sthree- or amzn-s3-demo-",
        r#"write a short name such as "web-two""#,
    );
}

#[test]
fn a_stacks_name_does_not_begin_with_internal() {
    refuses(
        r#"stack = "internal-web""#,
        (1, 9),
        r#"stack = "internal-web""#,
        "a stack's name has lower-case letters, digits and single hyphens, with a letter first and no hyphen last, and not beginning with internal-, aws, sg-, sthree- or amzn-s3-demo-",
        r#"write a short name such as "web-two""#,
    );
}

#[test]
fn a_stacks_name_has_no_two_hyphens_together() {
    refuses(
        r#"stack = "web--two""#,
        (1, 9),
        r#"stack = "web--two""#,
        "a stack's name has lower-case letters, digits and single hyphens, with a letter first and no hyphen last, and not beginning with internal-, aws, sg-, sthree- or amzn-s3-demo-",
        r#"write a short name such as "web-two""#,
    );
}

#[test]
fn a_stacks_name_is_short_enough_for_every_name_that_derives() {
    refuses(
        r#"stack = "a-rather-long-name""#,
        (1, 9),
        r#"stack = "a-rather-long-name""#,
        r#"gives the name "a-rather-long-name-alb-private-index-tg", but AWS wants at most 32 letters, digits and hyphens, no hyphen at either end"#,
        "shorten it to at most 11 characters, or set names.private_balancer",
    );
}

#[test]
fn a_balancers_name_leaves_room_for_its_target_groups() {
    refuses(
        "[names]\npublic_balancer = \"the-public-balancer-of-the-lab\"",
        (2, 19),
        r#"names.public_balancer = "the-public-balancer-of-the-lab""#,
        r#"gives "the-public-balancer-of-the-lab-index-tg", but AWS wants at most 32 letters, digits and hyphens, no hyphen at either end"#,
        "shorten it by 7 characters",
    );
}

#[test]
fn a_balancers_name_has_no_underscore() {
    refuses(
        "[names]\nscaling_balancer = \"alb_asg\"",
        (2, 20),
        r#"names.scaling_balancer = "alb_asg""#,
        r#"gives "alb_asg-index-tg", but AWS wants at most 32 letters, digits and hyphens, no hyphen at either end"#,
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_balancers_name_is_not_internal() {
    refuses(
        "[names]\npublic_balancer = \"internal-alb\"",
        (2, 19),
        r#"names.public_balancer = "internal-alb""#,
        "AWS wants at most 32 letters, digits and hyphens, no hyphen at either end, and not internal- at the start",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_database_begins_with_a_letter() {
    refuses(
        "[names]\ndatabase = \"1st-rds\"",
        (2, 12),
        r#"names.database = "1st-rds""#,
        "AWS wants at most 63 lower-case letters, digits and single hyphens, with a letter first and no hyphen last (RDS would turn capitals into small letters)",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_database_has_no_capitals_since_rds_would_answer_another_name() {
    refuses(
        "[names]\ndatabase = \"Lab-RDS\"",
        (2, 12),
        r#"names.database = "Lab-RDS""#,
        "AWS wants at most 63 lower-case letters, digits and single hyphens, with a letter first and no hyphen last (RDS would turn capitals into small letters)",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_database_has_no_two_hyphens_together() {
    refuses(
        "[names]\nreplica = \"lab--rr\"",
        (2, 11),
        r#"names.replica = "lab--rr""#,
        "AWS wants at most 63 lower-case letters, digits and single hyphens, with a letter first and no hyphen last (RDS would turn capitals into small letters)",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_subnet_group_is_not_the_default() {
    refuses(
        "[names]\ndatabase_subnets = \"default\"",
        (2, 20),
        r#"names.database_subnets = "default""#,
        "AWS wants at most 255 lower-case letters, digits, spaces and ._-, with a letter first, and not the word default (RDS would turn capitals into small letters)",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_parameter_group_has_no_dot() {
    refuses(
        "[names]\ndatabase_parameters = \"mysql8.4\"",
        (2, 23),
        r#"names.database_parameters = "mysql8.4""#,
        "AWS wants at most 255 lower-case letters, digits and single hyphens, with a letter first and no hyphen last (RDS would turn capitals into small letters)",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_security_group_does_not_begin_with_sg() {
    refuses(
        "[names]\nprivate_group = \"sg-private\"",
        (2, 17),
        r#"names.private_group = "sg-private""#,
        "AWS wants at most 255 letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*, not sg- at the start, and not the word default",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn an_image_has_no_colon() {
    refuses(
        "[names]\nprivate_image = \"ami:private\"",
        (2, 17),
        r#"names.private_image = "ami:private""#,
        "AWS wants 3 to 128 letters, digits, spaces and ()[]./-'@_",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_launch_template_has_three_characters() {
    refuses(
        "[names]\nlaunch_template = \"lt\"",
        (2, 19),
        r#"names.launch_template = "lt""#,
        "AWS wants 3 to 128 letters, digits and ()./_-",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_scaling_group_has_no_colon() {
    refuses(
        "[names]\nscaling_group = \"lab:asg\"",
        (2, 17),
        r#"names.scaling_group = "lab:asg""#,
        "AWS wants at most 255 printable ASCII characters without spaces and colons",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_scaling_policy_has_no_colon() {
    refuses(
        "[names]\nscaling_policy = \"lab:7%\"",
        (2, 18),
        r#"names.scaling_policy = "lab:7%""#,
        "AWS wants at most 255 printable ASCII characters without colons",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_role_has_at_most_64_characters() {
    refuses(
        r#"[names]
host_role = "a-role-with-a-name-that-goes-on-and-on-until-it-is-longer-than-it-may-be""#,
        (2, 13),
        r#"names.host_role = "a-role-with-a-name-that-goes-on-and-on-until-it-is-longer-t…"#,
        "AWS wants at most 64 letters, digits and _+=,.@-",
        "shorten it by 8 characters",
    );
}

#[test]
fn a_key_pair_is_a_file_name() {
    refuses(
        "[names]\npublic_key = \"../ec2\"",
        (2, 14),
        r#"names.public_key = "../ec2""#,
        "AWS wants at most 255 printable ASCII characters, no slash, no space at either end",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn a_key_pair_is_ascii() {
    refuses(
        "[names]\nprivate_key = \"ec2-서울\"",
        (2, 15),
        r#"names.private_key = "ec2-서울""#,
        "AWS wants at most 255 printable ASCII characters, no slash, no space at either end",
        "write other characters, or leave the key out for the name that derives",
    );
}

#[test]
fn an_empty_name_is_no_name() {
    refuses(
        "[names]\nvpc = \"\"",
        (2, 7),
        r#"names.vpc = """#,
        "AWS wants at most 256 letters, digits, spaces and _.:/=+-@",
        "write a name, or leave the key out",
    );
}

#[test]
fn two_key_pairs_have_two_names() {
    refuses(
        "[names]\npublic_key = \"ec2-private-seoul\"",
        (2, 14),
        r#"names.public_key = "ec2-private-seoul""#,
        r#"gives the key pair "ec2-private-seoul", which names.private_key gives as well"#,
        "choose another name",
    );
}

#[test]
fn two_databases_have_two_names() {
    refuses(
        "[names]\nreplica = \"lab-vpc-rds\"",
        (2, 11),
        r#"names.replica = "lab-vpc-rds""#,
        r#"gives the database "lab-vpc-rds", which names.database gives as well"#,
        "choose another name",
    );
}

#[test]
fn a_target_group_of_one_balancer_is_not_that_of_another() {
    refuses(
        "[names]\npublic_balancer = \"web\"\nprivate_balancer = \"web-index\"",
        (3, 20),
        r#"names.private_balancer = "web-index""#,
        r#"gives the target group "web-index-tg", which names.public_balancer gives as well"#,
        "choose another name",
    );
}

#[test]
fn two_groups_in_one_vpc_have_two_names() {
    refuses(
        "[names]\npublic_group = \"lab-vpc-efs-sg\"",
        (2, 16),
        r#"names.public_group = "lab-vpc-efs-sg""#,
        r#"gives the security group "lab-vpc-efs-sg", which names.files gives as well"#,
        "choose another name",
    );
}

#[test]
fn a_stack_too_long_in_many_ways_is_told_once() {
    let errors = super::refused("stack = \"a-name-that-is-far-too-long-for-a-stack-of-any-kind\"");
    assert_eq!(errors.issues.len(), 1, "{errors}");
}

#[test]
fn a_stack_whose_balancers_have_other_names_may_be_longer() {
    let names = "public_balancer = \"pub\"\nprivate_balancer = \"pri\"\nscaling_balancer = \"asg\"";
    super::accepted(&format!("stack = \"a-rather-long-name\"\n[names]\n{names}"));
}
