//! The static site.

use super::refuses;

#[test]
fn a_bucket_has_no_capitals() {
    refuses(
        "[site]\nbucket = \"Lab-Site\"",
        (2, 10),
        r#"site.bucket = "Lab-Site""#,
        "S3 wants 3 to 63 lower-case letters, digits, hyphens and dots, a letter or digit at both ends, no two dots together, no IP address, and none of the prefixes and suffixes that S3 keeps for itself",
        r#"write a name such as "lab-site-2f9c", or leave the key out"#,
    );
}

#[test]
fn a_bucket_is_no_address() {
    refuses(
        "[site]\nbucket = \"192.168.1.1\"",
        (2, 10),
        r#"site.bucket = "192.168.1.1""#,
        "S3 wants 3 to 63 lower-case letters, digits, hyphens and dots, a letter or digit at both ends, no two dots together, no IP address, and none of the prefixes and suffixes that S3 keeps for itself",
        r#"write a name such as "lab-site-2f9c", or leave the key out"#,
    );
}

#[test]
fn a_bucket_does_not_take_s3s_own_suffix() {
    refuses(
        "[site]\nbucket = \"lab-s3alias\"",
        (2, 10),
        r#"site.bucket = "lab-s3alias""#,
        "S3 wants 3 to 63 lower-case letters, digits, hyphens and dots, a letter or digit at both ends, no two dots together, no IP address, and none of the prefixes and suffixes that S3 keeps for itself",
        r#"write a name such as "lab-site-2f9c", or leave the key out"#,
    );
}

#[test]
fn a_bucket_of_another_partition_is_refused() {
    refuses(
        "[site]\nregion = \"cn-north-1\"",
        (2, 10),
        r#"site.region = "cn-north-1""#,
        "lies in a partition of its own (as China and GovCloud do), whose ARNs lamp does not write",
        r#"write a region of the others, such as "us-east-1""#,
    );
}

#[test]
fn a_log_bucket_is_a_bucket() {
    refuses(
        "[site]\nlog_bucket = \"x\"",
        (2, 14),
        r#"site.log_bucket = "x""#,
        "S3 wants 3 to 63 lower-case letters, digits, hyphens and dots, a letter or digit at both ends, no two dots together, no IP address, and none of the prefixes and suffixes that S3 keeps for itself",
        r#"write a name such as "lab-site-2f9c", or leave the key out"#,
    );
}

#[test]
fn a_root_object_has_no_slash_before_it() {
    refuses(
        "[site]\ndefault_root_object = \"/index.html\"",
        (2, 23),
        r#"site.default_root_object = "/index.html""#,
        "is not the name of an object: no slash before it, no spaces",
        r#"write a name such as "index.html""#,
    );
}

#[test]
fn an_index_document_has_no_slash_at_all() {
    refuses(
        "[site]\nindex_document = \"en/index.html\"",
        (2, 18),
        r#"site.index_document = "en/index.html""#,
        "is not the name of an object: no slash before it, no spaces",
        r#"write a name such as "index.html""#,
    );
}

#[test]
fn a_name_of_ones_own_needs_a_certificate() {
    refuses(
        "[site]\naliases = [\"www.example.org\"]",
        (2, 11),
        r#"site.aliases = ["www.example.org"]"#,
        "CloudFront serves a name of yours only with a certificate for it",
        "set site.certificate to the ARN of one (ACM, in us-east-1), or remove the names",
    );
}

#[test]
fn an_alias_is_a_host_name() {
    refuses(
        r#"[site]
aliases = ["https://www.example.org/"]
certificate = "arn:aws:acm:us-east-1:123456789012:certificate/0f1e2d3c""#,
        (2, 12),
        r#"site.aliases[0] = "https://www.example.org/""#,
        "is not a host name of your own",
        r#"write a name such as "www.example.org""#,
    );
}

#[test]
fn a_certificate_is_in_us_east_1() {
    refuses(
        "[site]\ncertificate = \"arn:aws:acm:ap-northeast-2:123456789012:certificate/0f1e2d3c\"",
        (2, 15),
        r#"site.certificate = "arn:aws:acm:ap-northeast-2:123456789012:certificate/0f1e2d3…"#,
        "is not the ARN of a certificate in us-east-1, the only region that CloudFront looks in",
        r#"write it as "arn:aws:acm:us-east-1:<account>:certificate/<id>""#,
    );
}

#[test]
fn a_sites_region_is_a_code() {
    refuses(
        "[site]\nregion = \"virginia\"",
        (2, 10),
        r#"site.region = "virginia""#,
        "is not the code of an AWS region",
        r#"write a region's code, such as "us-east-1""#,
    );
}
