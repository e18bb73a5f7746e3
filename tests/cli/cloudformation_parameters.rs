//! Parameters of a template that is recorded before its stack.

use serde_json::json;

use crate::{
    cloudformation::{SECRET, differences, drifts, run},
    stage::Stage,
    support::aws::Cloud,
};

const TEMPLATE: &str = "\
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

/// Creates or updates the stack `web`.
fn deploy(stage: &Stage, cloud: &Cloud, verb: &str, parameters: &[&str]) {
    let body = format!("file://{}", stage.path("web.yaml").display());
    let mut words = vec!["cloudformation", verb, "--stack-name", "web"];
    words.extend(["--template-body", &body, "--parameters"]);
    words.extend(parameters);
    cloud.aws(&words);
    drifts(cloud, "Queue", "IN_SYNC", &[]);
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
    run(&stage, &cloud, "record prod/web --cloudformation=live:web").exits(0);
    run(&stage, &cloud, VERIFY).exits(0);
    let ran = stage.run("rollback prod/web prod/web#1").exits(0);
    ran.says("--template-file FILE --parameter-overrides file://FILE")
        .says("the template and the parameters' values");
    deploy(&stage, &cloud, "update-stack", &[&file]);
    run(&stage, &cloud, VERIFY).exits(0);
}

/// Goal: a value that nobody said, that AWS does not tell, or that AWS looks up is no match.
/// Method: a template alone; the previous value; a parameter with NoEcho; one of the Parameter
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
    let previous = r#"[{"ParameterKey": "Host", "UsePreviousValue": true}]"#;
    stage.write("web.json", previous);
    let record = "record prod/web --cloudformation=web.yaml --cloudformation=web.json";
    stage.run(record).exits(0);
    unknown("Parameters.Host");
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
    let stack = json!({"StackName": "web", "StackId": "arn:1", "Parameters": all});
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
    stage.write("none.yaml", "Resources: {}\n");
    stage.write("web.json", FILE);
    stage.write("other.json", r#"["Hots=x"]"#);
    stage.write("bad.json", r#"[{"ParameterKey": "Host"}]"#);
    for (given, why) in [
        (&["web.json"][..], "right behind its template"),
        (&["web.json", "web.yaml"], "right behind its template"),
        (&["none.yaml", "web.json"], "which declares parameters"),
        (&["web.yaml", "other.json"], "declares no parameter Hots"),
        (&["web.yaml", "web.json", "web.json"], "given already"),
        (&["web.yaml", "bad.json"], "Host has not one value"),
    ] {
        let given = given.iter().map(|it| format!(" --cloudformation={it}"));
        let line = format!("record prod/web{}", given.collect::<String>());
        stage.run(&line).refuses(1, "SOURCE_INVALID").says(why);
    }
    assert_eq!(stage.size(), before);
    let given = "prod/web --cloudformation=web.yaml --cloudformation=web.json";
    stage.run(&format!("record {given}")).exits(0);
    stage
        .run("verify prod/web --cloudformation=web.json")
        .refuses(1, "SOURCE_INVALID")
        .says("what was to be deployed");
}
