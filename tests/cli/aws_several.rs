//! Several stacks, or several environments, in one release: each by itself.

use crate::{
    cloudformation::{differences, run},
    stage::{Ran, Stage},
    support::aws::{Cloud, member},
};

/// Goal: two stacks are one release; each is compared with itself, and one that was not asked
/// about is no match. Method: two of one template, which name their resources alike; one is
/// changed, each is asked for by itself, and both at once.
#[test]
fn each_stack_of_a_release_is_compared_with_itself() {
    let Some(cloud) = Cloud::start("several stacks") else {
        return;
    };
    let (stage, _ledger) = Stage::with_ledger();
    let deploy = |verb: &str, stack: &str, label: &str| {
        let resource = format!("{{Type: 'AWS::SNS::Topic', Properties: {{DisplayName: {label}}}}}");
        stage.write("t.yaml", format!("Resources:\n  Topic: {resource}\n"));
        let file = format!("file://{}", stage.path("t.yaml").display());
        let words = ["--stack-name", stack, "--template-body", &file];
        cloud.aws(&[&["cloudformation", verb][..], &words].concat());
    };
    deploy("create-stack", "net", "a");
    deploy("create-stack", "app", "b");
    let in_sync = ("IN_SYNC", Vec::new());
    cloud.says(|says| drop(says.drift.insert("Topic".to_owned(), in_sync)));
    let both = "--cloudformation=live:net --cloudformation=live:app";
    run(&stage, &cloud, &format!("record prod {both}")).exits(0);
    run(&stage, &cloud, "verify prod --cloudformation").exits(0);
    run(&stage, &cloud, &format!("verify prod {both}")).exits(0);
    let part = "verify prod --cloudformation=live:net --output json";
    let untold = |ran: &Ran| {
        let of = |it: &[String; 3]| it[0].ends_with("/app") || it[0].contains("/app/");
        differences(ran)
            .iter()
            .all(|it| of(it) && it[2] == "unverifiable")
    };
    let ran = run(&stage, &cloud, part).exits(16);
    assert!(untold(&ran), "{}", ran.out);
    assert_eq!(differences(&ran).len(), 3);
    deploy("update-stack", "app", "c");
    let ran = run(&stage, &cloud, "verify prod --cloudformation --output json").exits(10);
    let path = "Original.Resources.Topic.Properties.DisplayName";
    let template = ["cloudformation/template/app", path, "changed"];
    let differs = differences(&ran);
    assert!(
        differs.contains(&template.map(str::to_owned)),
        "{differs:?}"
    );
    assert!(
        differs.iter().all(|it| it[0].contains("/app")),
        "{differs:?}"
    );
    let ran = run(&stage, &cloud, part).exits(16);
    assert!(untold(&ran), "{}", ran.out);
    let ran = run(&stage, &cloud, "verify prod --cloudformation=live:other");
    ran.refuses(1, "SOURCE_INVALID").says("app, net");
    // What the command line printed of one speaks for that one.
    let of = |verb: &str| cloud.aws(&["cloudformation", verb, "--stack-name", "net"]);
    let printed = [
        of("describe-stacks"),
        of("get-template"),
        of("list-stack-resources"),
        of("describe-stack-resource-drifts"),
    ];
    let line = "verify prod --cloudformation=- --output json";
    let ran = stage.feed(line, printed.concat().as_bytes()).exits(16);
    assert!(untold(&ran), "{}", ran.out);
    run(&stage, &cloud, &format!("record prod {both}")).exits(0);
    let ran = run(&stage, &cloud, "rollback prod prod#1").exits(0);
    ran.says(
        "--stack-name app --template-file TEMPLATE && aws cloudformation deploy --stack-name net",
    );
}

/// Has AWS say that the environments run these versions.
fn say(cloud: &Cloud, labels: [(&str, &str); 2]) {
    let list = |name: &str, all: &[String]| {
        let all = all.iter().map(|it| format!("<member>{it}</member>"));
        format!("<{name}>{}</{name}>", all.collect::<String>())
    };
    let environments = labels.map(|(name, label)| {
        [
            member("ApplicationName", "shop"),
            member("EnvironmentName", name),
            member("EnvironmentId", &format!("e-{name}")),
            member("VersionLabel", label),
            member("Status", "Ready"),
        ]
        .concat()
    });
    let settings = labels.map(|(name, _)| {
        let names = [
            member("ApplicationName", "shop"),
            member("EnvironmentName", name),
        ];
        format!("{}<OptionSettings/>", names.concat())
    });
    let versions = ["v1", "v2"].map(|label| {
        let bundle = [member("S3Bucket", "bundles"), member("S3Key", label)];
        let names = [
            member("ApplicationName", "shop"),
            member("VersionLabel", label),
        ];
        format!(
            "{}<SourceBundle>{}</SourceBundle>",
            names.concat(),
            bundle.concat()
        )
    });
    let answers = [
        ("DescribeEnvironments", list("Environments", &environments)),
        (
            "DescribeConfigurationSettings",
            list("ConfigurationSettings", &settings),
        ),
        (
            "DescribeApplicationVersions",
            list("ApplicationVersions", &versions),
        ),
    ];
    cloud.says(|says| says.answers.extend(answers));
}

/// Goal: two environments of one version are one release, its bundle among it once; each is
/// compared with itself. Method: one of them gets another version behind everybody's back.
#[test]
fn each_environment_of_a_release_is_compared_with_itself() {
    let Some(cloud) = Cloud::start("several environments") else {
        return;
    };
    let (stage, _ledger) = Stage::with_ledger();
    cloud.aws(&["s3", "mb", "s3://bundles"]);
    for version in ["v1", "v2"] {
        stage.write("bundle", format!("bytes of {version}"));
        let body = stage.path("bundle").display().to_string();
        let put = ["s3api", "put-object", "--bucket", "bundles", "--key"];
        cloud.aws(&[&put[..], &[version, "--body", &body]].concat());
    }
    say(&cloud, [("web", "v1"), ("worker", "v1")]);
    let both = "--beanstalk=live:shop/web --beanstalk=live:shop/worker";
    run(&stage, &cloud, &format!("record prod {both}"))
        .exits(0)
        .says("3 objects");
    run(&stage, &cloud, "verify prod --beanstalk").exits(0);
    run(&stage, &cloud, &format!("verify prod {both}")).exits(0);
    let worker = "beanstalk/environment/shop/worker";
    let ran = run(
        &stage,
        &cloud,
        "verify prod --beanstalk=live:shop/web --output json",
    );
    assert_eq!(differences(&ran.exits(16)), [[worker, "", "unverifiable"]]);
    say(&cloud, [("web", "v1"), ("worker", "v2")]);
    let ran = run(&stage, &cloud, "verify prod --beanstalk --output json").exits(10);
    assert_eq!(differences(&ran), [[worker, "VersionLabel", "changed"]]);
    let ran = run(&stage, &cloud, "verify prod --beanstalk=live:shop/other");
    ran.refuses(1, "SOURCE_INVALID").says("shop/other");
    run(&stage, &cloud, &format!("record prod {both}")).exits(0);
    run(&stage, &cloud, "verify prod --beanstalk")
        .exits(0)
        .says("prod#2");
    let ran = run(&stage, &cloud, "rollback prod prod#1").exits(0);
    ran.says("--environment-id e-web --version-label v1 && aws elasticbeanstalk")
        .says("--environment-id e-worker --version-label v1");
}
