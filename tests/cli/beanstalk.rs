//! Elastic Beanstalk, through AWS's own command line: environments, versions and settings from
//! a stand-in that speaks AWS's protocol, bundles from the buckets of a moto server.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::{
    cloudformation::differences,
    stage::{Ran, Stage},
    support::aws::{Cloud, member},
};

const SECRET: &str = "swordfish-4711";
const VERIFY: &str = "verify prod/shop --beanstalk=live:shop/shop-prod";
const RECORD: &str = "record prod/shop --beanstalk=live:shop/shop-prod";
const ENVIRONMENT: &str = "beanstalk/environment/shop/shop-prod";
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
    label: &'static str,
}

impl Shop {
    fn new() -> Self {
        Self {
            id: "e-1",
            status: "Ready",
            token: SECRET,
            policy: "Immutable",
            key: "shop.zip",
            label: "v1",
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut shop = Self::new();
        change(&mut shop);
        shop
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
            member("VersionLabel", self.label),
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
            member("VersionLabel", self.label),
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
        cloud.says(|says| says.answers.extend(answers));
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
    run(&stage, &cloud, RECORD).exits(0);
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
    Shop::with(|shop| shop.key = "gone.zip").say(&cloud);
    let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(16);
    assert_eq!(differences(&ran), [[version, "", "unverifiable"]]);
    run(&stage, &cloud, RECORD)
        .refuses(1, "SOURCE_INVALID")
        .says("cannot be fetched");
}

/// Goal: a version that nobody recorded is drift, and going back to the recorded one is verified.
/// Method: another version is live, then recorded, then gone back from.
#[test]
fn a_version_that_nobody_recorded_is_drift_and_a_rollback_is_verified() {
    let Some((stage, _ledger, cloud)) = shop("a version that nobody recorded") else {
        return;
    };
    run(&stage, &cloud, RECORD).exits(0);
    run(&stage, &cloud, VERIFY).exits(0).says("prod/shop#1");
    let bundle = stage.path("shop.zip").display().to_string();
    let put = ["s3api", "put-object", "--bucket", "bundles", "--key"];
    cloud.aws(&[&put[..], &["v2.zip", "--body", &bundle]].concat());
    let newer = Shop::with(|shop| (shop.label, shop.key) = ("v2", "v2.zip"));
    newer.say(&cloud);
    let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(10);
    let differences = differences(&ran);
    assert!(
        differences.contains(&[ENVIRONMENT, "VersionLabel", "changed"].map(str::to_owned)),
        "{differences:?}"
    );
    run(&stage, &cloud, RECORD).exits(0);
    run(&stage, &cloud, VERIFY).exits(0).says("prod/shop#2");
    let ran = run(&stage, &cloud, "rollback prod/shop prod/shop#1").exits(0);
    ran.says("update-environment --environment-id e-1 --version-label v1");
    let ran = run(&stage, &cloud, VERIFY).exits(15);
    ran.says("what is here is prod/shop#2");
    Shop::new().say(&cloud);
    run(&stage, &cloud, VERIFY).exits(0).says("prod/shop#3");
}

/// Goal: each setting is compared, and variables by tags alone. Method: one changed after the
/// other, and a search for the value of the variable.
#[test]
fn settings_are_compared_and_variables_are_withheld() {
    let Some((stage, _ledger, cloud)) = shop("settings are compared") else {
        return;
    };
    run(&stage, &cloud, RECORD).exits(0);
    stage.keeps_nowhere(SECRET, "VersionLabel");
    let changed = |paths: &[&str]| {
        let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(10);
        let paths = paths.iter();
        let expected: Vec<_> = paths.map(|path| [ENVIRONMENT, path, "changed"]).collect();
        assert_eq!(differences(&ran), expected);
        assert!(!ran.out.contains(SECRET) && !ran.out.contains("marlin"));
    };
    Shop::with(|shop| shop.policy = "AllAtOnce").say(&cloud);
    changed(&["OptionSettings[aws:elasticbeanstalk:command::DeploymentPolicy].Value"]);
    let ran = run(
        &stage,
        &cloud,
        "record other --beanstalk=live:shop/shop-prod",
    );
    ran.exits(0)
        .says("DeploymentPolicy is AllAtOnce and not Immutable");
    let stack = "aws:cloudformation:template:parameter::EnvironmentVariables";
    let variable = format!("OptionSettings[{VARIABLES}::TOKEN].Value");
    let stack = format!("OptionSettings[{stack}].Value");
    Shop::with(|shop| shop.token = "marlin").say(&cloud);
    changed(&[&stack, &variable]);
    Shop::new().say(&cloud);
    run(&stage, &cloud, VERIFY).exits(0).says("VERIFIED");
}

/// Goal: an environment is its id, and one that is on its way, or of which AWS does not tell
/// all, is no match. Method: one after the other.
#[test]
fn an_environment_is_its_id_and_what_is_not_told_of_it_is_unknown() {
    let Some((stage, _ledger, cloud)) = shop("an environment is its id") else {
        return;
    };
    run(&stage, &cloud, RECORD).exits(0);
    Shop::with(|shop| shop.id = "e-2").say(&cloud);
    let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(10);
    assert_eq!(
        differences(&ran),
        [[ENVIRONMENT, "EnvironmentId", "changed"]]
    );
    Shop::with(|shop| shop.status = "Updating").say(&cloud);
    run(&stage, &cloud, VERIFY).exits(16).says("Updating");
    let ran = run(
        &stage,
        &cloud,
        "record third --beanstalk=live:shop/shop-prod",
    );
    ran.refuses(1, "SOURCE_INVALID").says("Ready");
    Shop::with(|shop| shop.token = "******").say(&cloud);
    run(&stage, &cloud, VERIFY).exits(10).says("not told");
    Shop::new().say(&cloud);
    cloud.says(|says| says.denied = vec!["DescribeConfigurationSettings"]);
    run(&stage, &cloud, VERIFY).exits(16).says("AccessDenied");
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
    stage.keeps_nowhere(SECRET, "VersionLabel");
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
    symlink("../secret.zip", stage.path("in/link.zip")).unwrap();
    stage.write("in/deploy.json", with("bundle", json!("link.zip")));
    let ran = stage.run("record staging --beanstalk=in/deploy.json");
    ran.refuses(1, "PATH_UNREADABLE").says("link.zip");
    stage.write("in/deploy.json", with("bundle", json!("none.zip")));
    let ran = stage.run("record staging --beanstalk=in/deploy.json");
    ran.refuses(1, "PATH_UNREADABLE").says("none.zip");
    let ran = stage.run("record staging --beanstalk=live:shop");
    ran.refuses(1, "SOURCE_INVALID")
        .says("live:APPLICATION/ENVIRONMENT");
    assert_eq!(stage.size(), before);
}
