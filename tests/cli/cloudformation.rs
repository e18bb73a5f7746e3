//! CloudFormation, through AWS's own command line: stacks, templates and change sets of a
//! moto server, and drift from a stand-in before it.

use serde_json::{Value, json};

use crate::{
    stage::{Ledger, Ran, Stage},
    support::aws::Cloud,
};

const TEMPLATE: &str = "\
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Size: {Type: String, Default: small}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 60
      QueueName: !Sub 'q-${AWS::StackName}'
  Topic:
    Type: AWS::SNS::Topic
    Properties: {DisplayName: shop}
Outputs:
  Name: {Value: !GetAtt Queue.QueueName}
  Size: {Value: !Ref Size}
";

pub(crate) const SECRET: &str = "swordfish-4711";
const VERIFY: &str = "verify prod/web --cloudformation=live:web";
const QUEUE: &str = "cloudformation/resource/web/Queue";

/// Runs the program with AWS's settings.
pub(crate) fn run(stage: &Stage, cloud: &Cloud, line: &str) -> Ran {
    let mut command = stage.command();
    let command = command.args(line.split_whitespace());
    Ran::of(cloud.settle(command), line)
}

/// Creates or updates the stack `web` from `t.yaml`.
fn deploy(stage: &Stage, cloud: &Cloud, verb: &str, parameters: &[&str]) {
    let file = format!("file://{}", stage.path("t.yaml").display());
    let mut words = vec!["cloudformation", verb, "--stack-name", "web"];
    words.extend(["--template-body", &file]);
    words.extend(["--tags", "Key=team,Value=shop", "--parameters"]);
    words.extend(parameters);
    cloud.aws(&words);
}

/// What AWS says of the drift of a resource.
pub(crate) fn drifts(
    cloud: &Cloud,
    resource: &str,
    status: &'static str,
    properties: &[[&str; 3]],
) {
    let properties = properties.iter().map(|it| it.map(str::to_owned)).collect();
    let row = (status, properties);
    cloud.says(|says| drop(says.drift.insert(resource.to_owned(), row)));
}

/// A stack that is live and recorded.
pub(crate) fn recorded(test: &str) -> Option<(Stage, Ledger, Cloud)> {
    let cloud = Cloud::start(test)?;
    let (stage, ledger) = Stage::with_ledger();
    stage.write("t.yaml", TEMPLATE);
    let size = format!("ParameterKey=Size,ParameterValue={SECRET}");
    deploy(&stage, &cloud, "create-stack", &[&size]);
    drifts(&cloud, "Queue", "IN_SYNC", &[]);
    drifts(&cloud, "Topic", "IN_SYNC", &[]);
    run(&stage, &cloud, "record prod/web --cloudformation=live:web").exits(0);
    Some((stage, ledger, cloud))
}

/// The differences of a report: artifact, path and kind.
pub(crate) fn differences(ran: &Ran) -> Vec<[String; 3]> {
    let report = ran.json("cairn.verify/v1");
    let text = |it: &Value, member: &str| it[member].as_str().unwrap_or_default().to_owned();
    let all = report["differences"].as_array().unwrap().iter();
    all.map(|it| ["artifact", "path", "kind"].map(|member| text(it, member)))
        .collect()
}

/// Goal: what was recorded of a live stack is verified, and an update is named though AWS
/// says that all is in sync; no value of a parameter is anywhere. Method: a template that is
/// updated by nobody who recorded it, with a new value of a parameter, and the way back.
#[test]
fn an_update_that_nobody_recorded_is_drift_and_a_rollback_is_verified() {
    let Some((stage, _ledger, cloud)) = recorded("an update that nobody recorded") else {
        return;
    };
    stage.keeps_nowhere(SECRET, "StackName");
    let ran = run(&stage, &cloud, VERIFY).exits(0).says("VERIFIED");
    assert!(!ran.out.contains(SECRET));
    stage.edit("t.yaml", "Timeout: 60", "Timeout: 61 # longer");
    deploy(
        &stage,
        &cloud,
        "update-stack",
        &["ParameterKey=Size,ParameterValue=big"],
    );
    let ran = run(
        &stage,
        &cloud,
        "verify prod/web --cloudformation --output json",
    )
    .exits(10);
    let path = "Original.Resources.Queue.Properties.VisibilityTimeout";
    let expected = [
        ["cloudformation/stack/web", "Parameters.Size", "changed"],
        ["cloudformation/template/web", path, "changed"],
    ];
    assert_eq!(differences(&ran), expected);
    let live = "prod/web --cloudformation=live:web";
    run(&stage, &cloud, &format!("record {live}")).exits(0);
    run(&stage, &cloud, VERIFY).exits(0).says("prod/web#2");
    let ran = run(&stage, &cloud, "rollback prod/web prod/web#1").exits(0);
    ran.says("aws cloudformation deploy --stack-name web");
    let ran = run(&stage, &cloud, VERIFY).exits(15);
    ran.says("what is here is prod/web#2");
    stage.edit("t.yaml", "Timeout: 61 # longer", "Timeout: 60");
    let size = format!("ParameterKey=Size,ParameterValue={SECRET}");
    deploy(&stage, &cloud, "update-stack", &[&size]);
    run(&stage, &cloud, VERIFY).exits(0).says("prod/web#3");
}

/// Goal: rows of resources decide, whatever AWS says of the stack. Method: each status that a
/// row can have, a row of before, and a caller who may not ask.
#[test]
fn rows_of_resources_decide_and_not_the_status_of_the_stack() {
    let Some((stage, _ledger, cloud)) = recorded("rows of resources decide") else {
        return;
    };
    let verify = format!("{VERIFY} --output json");
    cloud.says(|says| says.busy = 2);
    let late = [["/VisibilityTimeout", "60", "30"]];
    drifts(&cloud, "Queue", "MODIFIED", &late);
    drifts(&cloud, "Topic", "DELETED", &[]);
    let ran = run(&stage, &cloud, &verify).exits(10);
    let path = "Drift[\"/VisibilityTimeout\"]";
    let topic = "cloudformation/resource/web/Topic";
    let expected = [[QUEUE, path, "added"], [topic, "", "missing"]];
    assert_eq!(differences(&ran), expected);
    assert!(
        ran.out.contains("30, and the template has 60"),
        "{}",
        ran.out
    );
    drifts(&cloud, "Queue", "NOT_CHECKED", &[]);
    drifts(&cloud, "Topic", "UNSUPPORTED", &[]);
    let ran = run(&stage, &cloud, &verify).exits(16);
    let expected = [[QUEUE, "", "unverifiable"], [topic, "", "unverifiable"]];
    assert_eq!(differences(&ran), expected);
    drifts(&cloud, "Topic", "IN_SYNC", &[]);
    drifts(&cloud, "Queue", "IN_SYNC", &[]);
    cloud.says(|says| says.old_rows = true);
    run(&stage, &cloud, VERIFY).exits(16).says("from before");
    cloud.says(|says| says.undated = true);
    run(&stage, &cloud, VERIFY)
        .exits(16)
        .says("does not say when");
    cloud.says(|says| (says.old_rows, says.undated) = (false, false));
    cloud.says(|says| says.denied = vec!["DetectStackDrift"]);
    run(&stage, &cloud, VERIFY).exits(16).says("AccessDenied");
    cloud.says(|says| says.denied = vec!["DescribeStacks"]);
    run(&stage, &cloud, VERIFY).exits(16).says("AccessDenied");
    cloud.says(|says| says.denied = Vec::new());
    run(&stage, &cloud, VERIFY).exits(0);
}

/// Goal: a stack is its id: another one of the same name and template is none of it. Method:
/// delete it, see that it is missing, and create it again.
#[test]
fn another_stack_of_the_same_name_is_not_the_recorded_one() {
    let Some((stage, _ledger, cloud)) = recorded("another stack of the same name") else {
        return;
    };
    cloud.aws(&["cloudformation", "delete-stack", "--stack-name", "web"]);
    let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(10);
    assert_eq!(
        differences(&ran)[0],
        ["cloudformation/resource/web/Queue", "", "missing"]
    );
    let size = format!("ParameterKey=Size,ParameterValue={SECRET}");
    deploy(&stage, &cloud, "create-stack", &[&size]);
    let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(10);
    let differences = differences(&ran);
    let stack = ["cloudformation/stack/web", "StackId", "changed"].map(str::to_owned);
    assert!(differences.contains(&stack), "{differences:?}");
}

/// Goal: a pipeline records the template before it is deployed, its secrets withheld, and what
/// AWS never tells is no match. Method: a parameter that is never told, with a default, and a
/// password in clear; the template's file, and then the live stack.
#[test]
fn a_template_is_recorded_before_it_is_deployed_and_its_secrets_are_withheld() {
    let Some(cloud) = Cloud::start("a template before it is deployed") else {
        return;
    };
    let (stage, _ledger) = Stage::with_ledger();
    let password =
        format!("  Password: {{Type: String, NoEcho: true, Default: {SECRET}}}\nResources:\n");
    stage.write("t.yaml", TEMPLATE.replacen("Resources:\n", &password, 1));
    stage.write("web.yaml", stage.text("t.yaml"));
    stage
        .run("record prod/web --cloudformation=web.yaml")
        .exits(0);
    deploy(
        &stage,
        &cloud,
        "create-stack",
        &["ParameterKey=Size,ParameterValue=small"],
    );
    drifts(&cloud, "Queue", "IN_SYNC", &[]);
    drifts(&cloud, "Topic", "IN_SYNC", &[]);
    let ran = run(&stage, &cloud, &format!("{VERIFY} --output json")).exits(16);
    let untold = ["cloudformation/parameters/web", "Parameters.Password"];
    let [own, path] = untold;
    assert_eq!(differences(&ran), [[own, path, "unverifiable"]]);
    stage
        .run("verify prod/web --cloudformation=web.yaml")
        .exits(16);
    let ran = run(&stage, &cloud, "record live/web --cloudformation=live:web").exits(0);
    ran.says("NoEcho").says("Password");
    let ran = run(
        &stage,
        &cloud,
        "verify live/web --cloudformation --output json",
    )
    .exits(16);
    let path = "Parameters.Password";
    assert_eq!(
        differences(&ran),
        [["cloudformation/stack/web", path, "unverifiable"]]
    );
    stage.keeps_nowhere(SECRET, "StackName");
}

/// Goal: what AWS made of a template counts as much as the template, and what is secret in
/// either is nowhere. Method: answers with both, one of them changed.
#[test]
fn what_aws_made_of_a_template_is_compared_too() {
    let (stage, _ledger) = Stage::with_ledger();
    let answers = |policy: &str, id: &str| {
        let original = "Transform: AWS::Serverless-2016-10-31\nResources:\n  F: {Type: \
                        AWS::Serverless::Function, Properties: {Environment: {Variables: \
                        {TOKEN: swordfish-4711}}}}\n";
        let function = json!({"Type": "AWS::Lambda::Function", "Properties": {
            "Role": policy, "Environment": {"Variables": {"TOKEN": SECRET}},
        }});
        let stack = json!({"StackName": "f", "StackId": id, "StackStatus": "CREATE_COMPLETE"});
        let all = [
            json!({"TemplateBody": original}),
            json!({"TemplateBody": {"Resources": {"F": function}}}),
            json!({"Stacks": [stack]}),
            json!({"StackResourceSummaries": []}),
        ];
        all.map(|answer| answer.to_string()).concat()
    };
    stage.write("f.json", answers("reader", "arn:1"));
    let record = stage.run("record prod/f --cloudformation=f.json");
    record.exits(0).says("withheld");
    stage.keeps_nowhere(SECRET, "StackName");
    let line = "verify prod/f --cloudformation=- --output json";
    stage
        .feed(line, answers("reader", "arn:1").as_bytes())
        .exits(0);
    let ran = stage.feed(line, answers("admin", "arn:2").as_bytes());
    let path = "Processed.Resources.F.Properties.Role";
    let expected = [
        ["cloudformation/stack/f", "StackId", "changed"],
        ["cloudformation/template/f", path, "changed"],
    ];
    assert_eq!(differences(&ran.exits(10)), expected);
}

/// Goal: what cannot be read in one way is refused by name, and nothing is recorded. Method:
/// one of each sort.
#[test]
fn bad_templates_are_refused_and_nothing_is_recorded() {
    let (stage, _ledger) = Stage::with_ledger();
    let before = stage.size();
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nResources: *b\n";
    let many: Vec<_> = (0..100)
        .map(|at| json!({"LogicalResourceId": at.to_string()}))
        .collect();
    let many = json!({"StackResources": many}).to_string();
    for (text, why) in [
        (
            "Resources:\n  A: !Exec x\n",
            "line 2: the tag !Exec is not known",
        ),
        (
            "Resources: {}\nResources: {}\n",
            "\"Resources\" stands twice",
        ),
        (r#"{"Resources": {"A": 1, "A": 2}}"#, "stands twice"),
        (r#"{"Resources": {"A": "#, "EOF"),
        ("Resources: {A: [1, 2\n", "line"),
        (bomb, "an anchor"),
        ("Outputs: {}\n", "Resources"),
        (r#"{"Regions": []}"#, "neither a template nor"),
        (
            r#"{"TemplateBody": "Resources: {}"} {"Stacks": []}"#,
            "or of none",
        ),
        (many.as_str(), "list-stack-resources"),
        (
            "Resources: {}\n---\nResources: {}\n",
            "more than one document",
        ),
        ("Resources: \u{0}\n", ""),
    ] {
        stage.write("bad.yaml", text);
        let ran = stage.run("record staging --cloudformation=bad.yaml");
        ran.refuses(1, "SOURCE_INVALID").says(why);
    }
    stage.write(
        "long.yaml",
        format!("Resources: {{}} #{}", " ".repeat(5 << 20)),
    );
    let ran = stage.run("record staging --cloudformation=long.yaml");
    ran.refuses(1, "SOURCE_INVALID").says("4 MiB");
    let ran = stage.run("record staging --cloudformation=live");
    ran.refuses(1, "SOURCE_INVALID").says("live:STACK");
    assert_eq!(stage.size(), before);
}
