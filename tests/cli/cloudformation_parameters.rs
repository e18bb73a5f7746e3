//! Parameters of a template that is recorded before its stack.

use serde_json::json;

use crate::{
    cloudformation::{SECRET, differences, drifts, run},
    stage::Stage,
    support::aws::Cloud,
};

const TEMPLATE: &str = "\
AWSTemplateFormatVersion: '2010-09-09'
Parameters:
  Size: {Type: String, Default: small}
  Port: {Type: Number, Default: 8080}
  Host: {Type: String}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Ref Size, Tags: [{Key: host, Value: !Ref Host}]}
";
const FILE: &str = r#"[{"ParameterKey": "Host", "ParameterValue": "swordfish-4711"}]"#;
const VERIFY: &str = "verify prod/web --cloudformation --output json";
const PARAMETERS: &str = "cloudformation/parameters/web";

/// Creates or updates the stack `web`, whose resources are then as its template says.
fn deploy(stage: &Stage, cloud: &Cloud, verb: &str, parameters: &[&str]) {
    call(stage, cloud, verb, parameters);
    drifts(cloud, "Queue", "IN_SYNC", &[]);
}

fn call(stage: &Stage, cloud: &Cloud, verb: &str, parameters: &[&str]) {
    let body = format!("file://{}", stage.path("web.yaml").display());
    let mut words = vec!["cloudformation", verb, "--stack-name", "web"];
    words.extend(["--template-body", &body, "--parameters"]);
    words.extend(parameters);
    cloud.aws(&words);
}

/// Goal: the same template with other parameters is another stack: a value that a file gave, or
/// a default, and that was changed by hand is drift by its name, though all resources are in
/// sync with AWS's template; the way back is verified, and no value is anywhere. Method: record
/// template and file, deploy, change one after the other, deploy as the rollback says.
#[test]
fn a_parameter_that_was_changed_by_hand_is_drift_by_its_name() {
    let Some(cloud) = Cloud::start("parameters changed by hand") else {
        return;
    };
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("web.yaml", TEMPLATE);
    stage.write("web.json", FILE);
    let given = "prod/web --cloudformation=web.yaml --cloudformation=web.json";
    stage.run(&format!("record {given}")).exits(0);
    stage.keeps_nowhere(SECRET, "StackName");
    let file = format!("file://{}", stage.path("web.json").display());
    deploy(&stage, &cloud, "create-stack", &[&file]);
    run(&stage, &cloud, VERIFY).exits(0);
    let host = format!("ParameterKey=Host,ParameterValue={SECRET}");
    for (by_hand, path) in [
        ("ParameterKey=Size,ParameterValue=big", "Parameters.Size"),
        ("ParameterKey=Port,ParameterValue=8081", "Parameters.Port"),
    ] {
        deploy(&stage, &cloud, "update-stack", &[&host, by_hand]);
        let ran = run(&stage, &cloud, VERIFY).exits(10);
        assert_eq!(differences(&ran), [[PARAMETERS, path, "changed"]]);
        deploy(&stage, &cloud, "update-stack", &[&host]);
        run(&stage, &cloud, VERIFY).exits(0);
    }
    deploy(
        &stage,
        &cloud,
        "update-stack",
        &["ParameterKey=Host,ParameterValue=other"],
    );
    let ran = run(&stage, &cloud, VERIFY).exits(10);
    assert_eq!(
        differences(&ran),
        [[PARAMETERS, "Parameters.Host", "changed"]]
    );
    assert!(!ran.out.contains(SECRET), "{}", ran.out);
    // AWS tells the value of what stands in a resource.
    let value = [["/Tags/0/Value", SECRET, "x"], ["/Delay", "60", "30"]];
    drifts(&cloud, "Queue", "MODIFIED", &value);
    call(&stage, &cloud, "update-stack", &[&host]);
    let ran = run(&stage, &cloud, VERIFY).exits(10).says("another value");
    assert!(!ran.out.contains(SECRET), "{}", ran.out);
    ran.says("30, and the template has 60");
    drifts(&cloud, "Queue", "IN_SYNC", &[]);
    run(&stage, &cloud, "record prod/web --cloudformation=live:web").exits(0);
    run(&stage, &cloud, VERIFY).exits(0);
    let ran = stage.run("rollback prod/web prod/web#1").exits(0);
    let from = ran.out.find("aws cloudformation deploy").unwrap();
    let (told, _) = ran.out[from..].split_once(", with the template").unwrap();
    let mut told = told.replace("TEMPLATE", &stage.path("web.yaml").display().to_string());
    for (key, value) in [("Host", SECRET), ("Port", "8080"), ("Size", "small")] {
        told = told.replace(&format!("{key}=VALUE"), &format!("{key}={value}"));
    }
    assert!(!told.contains("VALUE"), "{told}");
    let words: Vec<_> = told.split_whitespace().skip(1).collect();
    cloud.aws(&words);
    run(&stage, &cloud, VERIFY).exits(0);
}

/// Goal: a value that nobody said, that AWS does not tell, or that AWS looks up is no match.
/// Method: a template alone; the previous value; a parameter with `NoEcho`; one of the Parameter
/// Store's.
#[test]
fn a_parameter_whose_value_is_not_known_is_never_a_match() {
    let Some(cloud) = Cloud::start("parameters not known") else {
        return;
    };
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("web.yaml", TEMPLATE);
    stage
        .run("record prod/web --cloudformation=web.yaml")
        .exits(0);
    let host = format!("ParameterKey=Host,ParameterValue={SECRET}");
    deploy(&stage, &cloud, "create-stack", &[&host]);
    let unknown = |path: &str| {
        let ran = run(&stage, &cloud, VERIFY).exits(16);
        assert_eq!(differences(&ran), [[PARAMETERS, path, "unverifiable"]]);
        ran
    };
    let ran = unknown("Parameters.Host");
    assert!(ran.out.contains("was not known when"), "{}", ran.out);
    let record = "record prod/web --cloudformation=web.yaml --cloudformation=web.json";
    let previous = r#"{"ParameterKey": "Size", "UsePreviousValue": true}]"#;
    stage.write("web.json", FILE.replace(']', &format!(", {previous}")));
    stage
        .run(record)
        .exits(0)
        .says("are not known")
        .says("Size");
    unknown("Parameters.Size");
    let accept = format!("{record} --accept-unmeasured --reason planned");
    stage.run(&accept).exits(0);
    run(&stage, &cloud, VERIFY)
        .exits(0)
        .says("\"acceptedUnmeasured\":1");
    stage.write("web.json", FILE);
    stage.run(record).exits(0);
    run(&stage, &cloud, VERIFY).exits(0);
    let no_echo = "  Host: {Type: String, NoEcho: true}";
    stage.edit("web.yaml", "  Host: {Type: String}", no_echo);
    stage.run(record).exits(0).says("NoEcho").says("Host");
    deploy(&stage, &cloud, "update-stack", &[&host]);
    unknown("Parameters.Host");
    let looked_up = "  Host: {Type: 'AWS::SSM::Parameter::Value<String>'}";
    stage.edit("web.yaml", no_echo, looked_up);
    stage.run(record).exits(0).says("looks up").says("Host");
    // As AWS prints it; moto gives the value in the place of the name.
    let told = |key: &str, value: &str| json!({"ParameterKey": key, "ParameterValue": value});
    let mut host = told("Host", SECRET);
    host["ResolvedValue"] = "x".into();
    let all = [told("Size", "small"), told("Port", "8080"), host];
    let stack = json!({
        "StackName": "web", "StackStatus": "CREATE_COMPLETE", "Parameters": all,
    });
    let stack = json!({"Stacks": [stack]}).to_string();
    let line = "verify prod/web --cloudformation=- --output json";
    let ran = stage.feed(line, stack.as_bytes()).exits(16);
    let path = "ResolvedParameters.Host";
    let expected = [PARAMETERS, path, "unverifiable"].map(str::to_owned);
    let differences = differences(&ran);
    assert!(differences.contains(&expected), "{differences:?}");
    let own = differences.iter().filter(|it| it[0] == PARAMETERS);
    assert_eq!(own.count(), 1, "{differences:?}");
}

/// Goal: a parameter file that cannot belong to what was given before it is refused by name,
/// and nothing is recorded; what was to be is no word of what is. Method: one of each sort.
#[test]
fn a_parameter_file_without_its_template_records_nothing() {
    let (stage, _ledger) = Stage::with_ledger();
    let before = stage.size();
    stage.write("web.yaml", TEMPLATE);
    stage.write("web.json", FILE);
    stage.write("bad.json", r#"[{"ParameterKey": "Host"}]"#);
    for (given, why) in [
        (&["web.json"][..], "right behind its template"),
        (&["web.json", "web.yaml"], "right behind its template"),
        (&["web.yaml", "web.json", "web.json"], "right behind"),
        (
            &["web.yaml", "bad.json"],
            "item 1 of the parameter file has not one value",
        ),
    ] {
        let given = given.iter().map(|it| format!(" --cloudformation={it}"));
        let line = format!("record prod/web{}", given.collect::<String>());
        stage.run(&line).refuses(1, "SOURCE_INVALID").says(why);
    }
    assert_eq!(stage.size(), before);
    // One file for several stacks, as `deploy` takes it.
    stage.write("all.json", r#"["Host=x", "swordfish-4711=y"]"#);
    let given = "prod/web --cloudformation=web.yaml --cloudformation=all.json";
    let ran = stage.run(&format!("record {given}")).exits(0);
    let ran = ran.says("no such parameter").says("item 2 of");
    assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET));
    stage.write("web.json", FILE);
    stage
        .run("verify prod/web --cloudformation=web.json")
        .refuses(1, "SOURCE_INVALID")
        .says("what was to be deployed");
}

/// What AWS's command line prints of a stack of this template.
fn answers(template: &str, status: &str, parameters: &[(&str, &str)], drift: &str) -> String {
    let parameters = parameters.iter();
    let parameters: Vec<_> = parameters
        .map(|(key, value)| json!({"ParameterKey": key, "ParameterValue": value}))
        .collect();
    let stack = json!({
        "StackName": "web", "StackId": "arn:1", "StackStatus": status, "Parameters": parameters,
    });
    let resource = json!({
        "LogicalResourceId": "F", "PhysicalResourceId": "f-1",
        "ResourceType": "AWS::Lambda::Function", "ResourceStatus": "CREATE_COMPLETE",
    });
    let property = json!({
        "PropertyPath": "/MemorySize", "ExpectedValue": "1024", "ActualValue": "2048",
        "DifferenceType": "NOT_EQUAL",
    });
    let row = json!({
        "LogicalResourceId": "F", "StackResourceDriftStatus": drift,
        "PropertyDifferences": [property],
    });
    let all = [
        json!({"TemplateBody": template}),
        json!({"Stacks": [stack]}),
        json!({"StackResourceSummaries": [resource]}),
        json!({"StackResourceDrifts": [row]}),
    ];
    all.map(|answer| answer.to_string()).concat()
}

/// Goal: a value is the one that AWS makes of it, and no other. Method: a list, which AWS tells
/// without its spaces, a number, a version, a text; each as it is and changed.
#[test]
fn a_value_is_compared_as_aws_tells_it() {
    let (stage, _ledger) = Stage::with_ledger();
    let template = "\
Parameters:
  Ports: {Type: CommaDelimitedList, Default: '80, 443'}
  Count: {Type: Number, Default: 3}
  Version: {Type: String, Default: 8.0.35}
  Text: {Type: String, Default: 'a, b'}
Resources:
  F: {Type: AWS::Lambda::Function}
";
    stage.write("web.yaml", template);
    stage
        .run("record prod/web --cloudformation=web.yaml")
        .exits(0)
        .says("at the template's defaults")
        .says("Count, Ports, Text, Version");
    let line = "verify prod/web --cloudformation=- --output json";
    let good = [
        ("Ports", "80,443"),
        ("Count", "3"),
        ("Version", "8.0.35"),
        ("Text", "a, b"),
    ];
    let done = "CREATE_COMPLETE";
    let verify = |parameters: &[(&str, &str)]| {
        let all = answers(template, done, parameters, "IN_SYNC");
        stage.feed(line, all.as_bytes())
    };
    verify(&good).exits(0);
    for (at, value) in [(0, "80,444"), (1, "03"), (2, "8.0.36"), (3, "a, b\n")] {
        let mut other = good;
        other[at].1 = value;
        let path = format!("Parameters.{}", other[at].0);
        let ran = verify(&other).exits(10);
        assert_eq!(differences(&ran), [[PARAMETERS, &path, "changed"]]);
    }
    let ran = verify(&good[1..]).exits(10);
    let path = "Parameters.Ports";
    assert_eq!(differences(&ran), [[PARAMETERS, path, "missing"]]);
    let twice = [&good[..], &good[..1]].concat();
    let all = answers(template, done, &twice, "IN_SYNC");
    stage
        .feed("verify prod/web --cloudformation=-", all.as_bytes())
        .refuses(1, "SOURCE_INVALID")
        .says("twice");
}

/// Goal: a template that AWS makes another one of is verified by what became of it: a stack that
/// failed is none, and a resource that differs, or was not compared, is told. Method: answers
/// with each state and each row.
#[test]
fn what_aws_makes_of_a_template_must_be_there_and_in_sync() {
    let (stage, _ledger) = Stage::with_ledger();
    let template = "\
Transform: AWS::Serverless-2016-10-31
Resources:
  F: {Type: AWS::Serverless::Function}
";
    stage.write("web.yaml", template);
    stage
        .run("record prod/web --cloudformation=web.yaml")
        .exits(0);
    let line = "verify prod/web --cloudformation=- --output json";
    let verify = |status: &str, drift: &str| {
        let all = answers(template, status, &[], drift);
        stage.feed(line, all.as_bytes())
    };
    let of_template = "cloudformation/template/web";
    let gone = [of_template, "Drift.F", "added"];
    let changed = [of_template, "Drift[\"F /MemorySize\"]", "added"];
    verify("UPDATE_COMPLETE", "IN_SYNC").exits(0);
    for (status, drift, exit, expected) in [
        ("CREATE_COMPLETE", "MODIFIED", 10, changed),
        ("CREATE_COMPLETE", "DELETED", 10, gone),
        (
            "CREATE_COMPLETE",
            "NOT_CHECKED",
            16,
            [of_template, "", "unverifiable"],
        ),
        (
            "UPDATE_IN_PROGRESS",
            "IN_SYNC",
            16,
            [of_template, "", "unverifiable"],
        ),
        (
            "ROLLBACK_COMPLETE",
            "IN_SYNC",
            10,
            [of_template, "", "missing"],
        ),
    ] {
        let ran = verify(status, drift).exits(exit);
        assert_eq!(differences(&ran), [expected], "{status} {drift}");
    }
    let parameters = [("Size", "big")];
    let all = answers(template, "CREATE_COMPLETE", &parameters, "IN_SYNC");
    let ran = stage.feed(line, all.as_bytes()).exits(16);
    assert!(ran.out.contains("parameters were not recorded"));
    // Without the stack its parameters are unknown, and what could tell one is not told.
    let all = answers(template, "CREATE_COMPLETE", &[], "MODIFIED");
    let (before, after) = all.split_at(all.find("{\"Stacks\"").unwrap());
    let (_, after) = after.split_at(after.find("{\"StackResourceS").unwrap());
    let without = format!("{before}{after}");
    let ran = stage.feed(line, without.as_bytes()).exits(10);
    assert!(ran.out.contains("another value") && !ran.out.contains("2048"));
    stage.write("web.json", without);
    stage
        .run("record prod/web --cloudformation=web.json")
        .refuses(1, "SOURCE_INVALID")
        .says("add what describe-stacks prints");
}
