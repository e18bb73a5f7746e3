//! CloudFormation, through AWS's own command line: stacks, templates and change sets of a
//! moto server, and drift from a stand-in before it.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    stage::{Ran, Stage},
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
    Properties: {DisplayName: !Ref Size}
Outputs:
  Name: {Value: !GetAtt Queue.QueueName}
";

const SECRET: &str = "swordfish-4711";

/// Runs the program with AWS's settings.
fn run(stage: &Stage, cloud: &Cloud, line: &str) -> Ran {
    let mut command = stage.command();
    let command = command.args(line.split_whitespace());
    Ran::of(cloud.settle(command), line)
}

/// Creates or updates the stack `web` from `t.yaml`.
fn deploy(stage: &Stage, cloud: &Cloud, verb: &str, size: &str) {
    let file = format!("file://{}", stage.path("t.yaml").display());
    let size = format!("ParameterKey=Size,ParameterValue={size}");
    let mut words = vec!["cloudformation", verb, "--stack-name", "web"];
    words.extend(["--template-body", &file, "--parameters", &size]);
    words.extend(["--tags", "Key=team,Value=shop"]);
    cloud.aws(&words);
}

fn in_sync(cloud: &Cloud) {
    cloud.says(|says| {
        for resource in ["Queue", "Topic"] {
            let row = ("IN_SYNC", Vec::new());
            says.drift.insert(resource.to_owned(), row);
        }
    });
}

/// A stack that is live and recorded.
fn recorded(test: &str) -> Option<(Stage, crate::stage::Ledger, Cloud)> {
    let cloud = Cloud::start(test)?;
    let (stage, ledger) = Stage::with_ledger();
    stage.write("t.yaml", TEMPLATE);
    deploy(&stage, &cloud, "create-stack", SECRET);
    in_sync(&cloud);
    run(&stage, &cloud, "record prod/web --cloudformation=live:web").exits(0);
    Some((stage, ledger, cloud))
}

/// The differences of a report: artifact, path and kind.
fn differences(ran: &Ran) -> Vec<[String; 3]> {
    let report = ran.json("cairn.verify/v1");
    let text = |it: &Value, member: &str| it[member].as_str().unwrap_or_default().to_owned();
    let all = report["differences"].as_array().unwrap().iter();
    all.map(|it| ["artifact", "path", "kind"].map(|member| text(it, member)))
        .collect()
}

/// Goal: what was recorded of a live stack is verified, and each change is named. Method: a
/// template that is updated by nobody who recorded it, while AWS says that all is in sync; and
/// the way back.
#[test]
fn an_update_that_nobody_recorded_is_drift_and_a_rollback_is_verified() {
    let Some((stage, _ledger, cloud)) = recorded("an update that nobody recorded") else {
        return;
    };
    let verify = "verify prod/web --cloudformation=live:web";
    run(&stage, &cloud, verify).exits(0).says("VERIFIED");
    run(&stage, &cloud, "verify prod/web --cloudformation").exits(0);
    stage.edit(
        "t.yaml",
        "VisibilityTimeout: 60",
        "VisibilityTimeout: 61 # longer",
    );
    deploy(&stage, &cloud, "update-stack", SECRET);
    let ran = run(&stage, &cloud, &format!("{verify} --output json")).exits(10);
    let path = "Original.Resources.Queue.Properties.VisibilityTimeout";
    let expected = ["cloudformation/template/web", path, "changed"];
    assert_eq!(differences(&ran), [expected]);
    stage.edit(
        "t.yaml",
        "VisibilityTimeout: 61 # longer",
        "VisibilityTimeout: 60 # as before",
    );
    deploy(&stage, &cloud, "update-stack", SECRET);
    run(&stage, &cloud, verify).exits(0).says("VERIFIED");
}
