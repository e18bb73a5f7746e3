//! Elastic Beanstalk, through AWS's own command line: environments, versions and settings from
//! a stand-in that speaks AWS's protocol, bundles from the buckets of a moto server.

use std::fs;

use serde_json::{Value, json};

use crate::{
    cloudformation::differences,
    inputs::holds,
    stage::{Ran, Stage},
    support::aws::{Cloud, member},
};

const SECRET: &str = "swordfish-4711";
const VERIFY: &str = "verify prod/shop --beanstalk=live:shop/shop-prod";
const VARIABLES: &str = "aws:elasticbeanstalk:application:environment";

fn run(stage: &Stage, cloud: &Cloud, line: &str) -> Ran {
    let mut command = stage.command();
    let command = command.args(line.split_whitespace());
    Ran::of(cloud.settle(command), line)
}

/// What the stand-in says of the one environment.
struct Shop {
    id: &'static str,
    status: &'static str,
    token: &'static str,
    policy: &'static str,
    key: &'static str,
}

impl Shop {
    fn new() -> Self {
        Self {
            id: "e-1",
            status: "Ready",
            token: SECRET,
            policy: "Immutable",
            key: "shop.zip",
        }
    }

    fn say(&self, cloud: &Cloud) {
        let names = [
            member("ApplicationName", "shop"),
            member("EnvironmentName", "shop-prod"),
        ];
        let tier = [member("Name", "WebServer"), member("Type", "Standard")].concat();
        let environment = [
            names.concat(),
            member("EnvironmentId", self.id),
            member("VersionLabel", "v1"),
            member("Status", self.status),
            member(
                "PlatformArn",
                "arn:aws:elasticbeanstalk:eu-west-1::platform/Go/4.1",
            ),
            format!("<Tier>{tier}</Tier>"),
        ];
        let bundle = [member("S3Bucket", "bundles"), member("S3Key", self.key)].concat();
        let version = [
            member("ApplicationName", "shop"),
            member("VersionLabel", "v1"),
            member("Status", "PROCESSED"),
            format!("<SourceBundle>{bundle}</SourceBundle>"),
        ];
        let variables = format!("TOKEN={}", self.token);
        let settings = [
            (VARIABLES, "TOKEN", self.token),
            (
                "aws:elasticbeanstalk:command",
                "DeploymentPolicy",
                self.policy,
            ),
            (
                "aws:cloudformation:template:parameter",
                "EnvironmentVariables",
                &variables,
            ),
            ("aws:rds:dbinstance", "DBUser", "shop"),
        ];
        let settings = settings.map(|(namespace, option, value)| {
            let setting = [
                member("Namespace", namespace),
                member("OptionName", option),
                member("Value", value),
            ];
            format!("<member>{}</member>", setting.concat())
        });
        let settings = format!("<OptionSettings>{}</OptionSettings>", settings.concat());
        let settings = [
            names.concat(),
            member("DeploymentStatus", "deployed"),
            settings,
        ];
        let list = |name: &str, inside: &[String]| {
            format!("<{name}><member>{}</member></{name}>", inside.concat())
        };
        let answers = [
            ("DescribeEnvironments", list("Environments", &environment)),
            (
                "DescribeApplicationVersions",
                list("ApplicationVersions", &version),
            ),
            (
                "DescribeConfigurationSettings",
                list("ConfigurationSettings", &settings),
            ),
        ];
        cloud.says(|says| says.beanstalk.extend(answers));
    }
}

fn upload(stage: &Stage, cloud: &Cloud, bytes: &str) {
    stage.write("shop.zip", bytes);
    let path = stage.path("shop.zip").display().to_string();
    let to = [
        "s3api",
        "put-object",
        "--bucket",
        "bundles",
        "--key",
        "shop.zip",
    ];
    cloud.aws(&[&to[..], &["--body", &path]].concat());
}

fn shop(test: &str) -> Option<(Stage, crate::stage::Ledger, Cloud)> {
    let cloud = Cloud::start(test)?;
    let (stage, ledger) = Stage::with_ledger();
    cloud.aws(&["s3", "mb", "s3://bundles"]);
    let versions = ["s3api", "put-bucket-versioning", "--bucket", "bundles"];
    cloud.aws(
        &[
            &versions[..],
            &["--versioning-configuration", "Status=Enabled"],
        ]
        .concat(),
    );
    upload(&stage, &cloud, "the bundle's bytes");
    Shop::new().say(&cloud);
    Some((stage, ledger, cloud))
}

/// Goal: the bytes that instances get are compared, though the label stays: an overwritten
/// bundle is drift, the old bytes are a match again, and one that cannot be fetched is no match.
#[test]
fn an_overwritten_bundle_is_drift_and_one_that_is_gone_is_unverifiable() {
    let Some((stage, _ledger, cloud)) = shop("an overwritten bundle") else {
        return;
    };
    let record = "record prod/shop --beanstalk=live:shop/shop-prod";
    run(&stage, &cloud, record).exits(0);
    run(&stage, &cloud, VERIFY).exits(0).says("VERIFIED");
    upload(&stage, &cloud, "the bundle's BYTES");
    let ran = run(&stage, &cloud, "verify prod/shop --beanstalk --output json").exits(10);
    let version = "beanstalk/version/shop/v1";
    let expected = [
        [version, "Blake3", "changed"],
        [version, "Sha256", "changed"],
    ];
    assert_eq!(differences(&ran), expected);
    upload(&stage, &cloud, "the bundle's bytes");
    run(&stage, &cloud, VERIFY).exits(0).says("VERIFIED");
    Shop {
        key: "gone.zip",
        ..Shop::new()
    }
    .say(&cloud);
    let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(16);
    assert_eq!(differences(&ran), [[version, "", "unverifiable"]]);
    run(&stage, &cloud, record)
        .refuses(1, "SOURCE_INVALID")
        .says("cannot be fetched");
}

/// Goal: each setting is compared, variables by tags alone, and an environment is its id.
/// Method: one thing changed after the other.
#[test]
fn settings_and_identity_are_compared_and_variables_are_withheld() {
    let Some((stage, _ledger, cloud)) = shop("settings and identity") else {
        return;
    };
    run(
        &stage,
        &cloud,
        "record prod/shop --beanstalk=live:shop/shop-prod",
    )
    .exits(0);
    for directory in ["data", "home"] {
        assert!(!holds(&stage.path(directory), SECRET.as_bytes()));
    }
    assert!(
        holds(&stage.path("data"), b"DBUser"),
        "the search finds what is there"
    );
    let environment = "beanstalk/environment/shop/shop-prod";
    let changed = |shop: &Shop, paths: &[&str]| {
        shop.say(&cloud);
        let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(10);
        let expected: Vec<_> = paths
            .iter()
            .map(|path| [environment, path, "changed"])
            .collect();
        assert_eq!(differences(&ran), expected);
        assert!(!ran.out.contains(SECRET) && !ran.out.contains("marlin"));
    };
    let policy = Shop {
        policy: "AllAtOnce",
        ..Shop::new()
    };
    changed(
        &policy,
        &["OptionSettings[aws:elasticbeanstalk:command::DeploymentPolicy].Value"],
    );
    run(
        &stage,
        &cloud,
        "record other --beanstalk=live:shop/shop-prod",
    )
    .exits(0)
    .says("DeploymentPolicy is AllAtOnce and not Immutable");
    let stack = "aws:cloudformation:template:parameter::EnvironmentVariables";
    let variable = format!("OptionSettings[{VARIABLES}::TOKEN].Value");
    let stack = format!("OptionSettings[{stack}].Value");
    changed(
        &Shop {
            token: "marlin",
            ..Shop::new()
        },
        &[&stack, &variable],
    );
    changed(
        &Shop {
            id: "e-2",
            ..Shop::new()
        },
        &["EnvironmentId"],
    );
    Shop {
        status: "Updating",
        ..Shop::new()
    }
    .say(&cloud);
    run(&stage, &cloud, VERIFY).exits(16).says("Updating");
    run(
        &stage,
        &cloud,
        "record third --beanstalk=live:shop/shop-prod",
    )
    .refuses(1, "SOURCE_INVALID")
    .says("Ready");
    Shop {
        token: "******",
        ..Shop::new()
    }
    .say(&cloud);
    run(&stage, &cloud, VERIFY).exits(10).says("not told");
    Shop::new().say(&cloud);
    cloud.says(|says| says.denied = vec!["DescribeConfigurationSettings"]);
    run(&stage, &cloud, VERIFY).exits(16).says("AccessDenied");
    cloud.says(|says| says.denied = Vec::new());
    run(&stage, &cloud, VERIFY).exits(0).says("VERIFIED");
}

/// Goal: a pipeline records the bundle and its settings before they are live, and what is
/// live is then compared; a variable that was added is drift, a default of AWS is not. Method:
/// the file that names them, and the answers of the command line from standard input.
#[test]
fn a_pipeline_records_a_bundle_before_it_is_live() {
    let Some((stage, _ledger, cloud)) = shop("a bundle before it is live") else {
        return;
    };
    let deployment = json!({
        "application": "shop", "environment": "shop-prod", "version": "v1",
        "bundle": "shop.zip", "documents": ["options.json"],
    });
    stage.write("deploy.json", deployment.to_string());
    let policy = json!({
        "Namespace": "aws:elasticbeanstalk:command",
        "OptionName": "DeploymentPolicy",
        "Value": "Immutable",
    });
    let token = json!({"Namespace": VARIABLES, "OptionName": "TOKEN", "Value": SECRET});
    stage.write("options.json", json!([policy, token]).to_string());
    stage
        .run("record prod/shop --beanstalk=deploy.json")
        .exits(0);
    run(&stage, &cloud, VERIFY)
        .exits(0)
        .says("VERIFIED")
        .says("DBUser");
    stage.write("options.json", json!([policy]).to_string());
    stage
        .run("record bare/shop --beanstalk=deploy.json")
        .exits(0);
    let ran = run(&stage, &cloud, "verify bare/shop --beanstalk --output json");
    let path = format!("OptionSettings[{VARIABLES}::TOKEN]");
    let expected = [
        "beanstalk/environment/shop/shop-prod",
        path.as_str(),
        "added",
    ];
    assert_eq!(differences(&ran.exits(10)), [expected]);
    let of =
        |verb: &str, more: &[&str]| cloud.aws(&[&["elasticbeanstalk", verb][..], more].concat());
    let settings = [
        "--application-name",
        "shop",
        "--environment-name",
        "shop-prod",
    ];
    let answers = [
        of("describe-environments", &[]),
        of("describe-application-versions", &[]),
        of("describe-configuration-settings", &settings),
    ];
    let line = "verify prod/shop --beanstalk=- --output json";
    let ran = stage.feed(line, answers.concat().as_bytes()).exits(16);
    let version = ["beanstalk/version/shop/v1", "", "unverifiable"];
    assert_eq!(differences(&ran), [version], "the bundle was not given");
    for directory in ["data", "home"] {
        assert!(!holds(&stage.path(directory), SECRET.as_bytes()));
    }
}

/// Goal: what is no deployment is refused by name, and nothing is recorded. Method: one of
/// each sort.
#[test]
fn bad_deployments_are_refused_and_nothing_is_recorded() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("in/shop.zip", "bytes");
    stage.write("secret.zip", "not part of it");
    let before = stage.size();
    let with = |member: &str, value: Value| {
        let mut all = json!({
            "application": "shop", "environment": "e", "version": "v1", "bundle": "shop.zip",
        });
        all[member] = value;
        all.to_string()
    };
    stage.write(
        "in/twice.json",
        json!([
            {"Namespace": "n", "OptionName": "o", "Value": "1"},
            {"Namespace": "n", "OptionName": "o", "Value": "2"},
        ])
        .to_string(),
    );
    for (text, why) in [
        (with("bundle", json!("../secret.zip")), "below the folder"),
        (with("bundle", json!("/etc/passwd")), "below the folder"),
        (with("bundle", json!(7)), "bundle is no text"),
        (with("documents", json!(["../x"])), "below the folder"),
        (with("documents", json!(["twice.json"])), "set twice"),
        (with("documents", json!("options.json")), "no list"),
        (with("application", json!("")), "application is no text"),
        (with("files", json!([])), "files is not known"),
        (r#"{"bundle": "shop.zip"}"#.to_owned(), "not named"),
        (
            r#"{"bundle": "a", "bundle": "b"}"#.to_owned(),
            "stands twice",
        ),
        (r#"{"bundle": "shop.zip"#.to_owned(), "EOF"),
        (r#"{"Stacks": []}"#.to_owned(), "neither a deployment"),
        (r#"{"Environments": []}"#.to_owned(), "not named"),
    ] {
        stage.write("in/deploy.json", text);
        let ran = stage.run("record staging --beanstalk=in/deploy.json");
        ran.refuses(1, "SOURCE_INVALID").says(why);
    }
    stage.write("in/deploy.json", with("bundle", json!("none.zip")));
    let ran = stage.run("record staging --beanstalk=in/deploy.json");
    ran.refuses(1, "PATH_UNREADABLE").says("none.zip");
    let ran = stage.run("record staging --beanstalk=live:shop");
    ran.refuses(1, "SOURCE_INVALID")
        .says("live:APPLICATION/ENVIRONMENT");
    assert_eq!(stage.size(), before);
    assert!(fs::exists(stage.path("secret.zip")).unwrap());
}
