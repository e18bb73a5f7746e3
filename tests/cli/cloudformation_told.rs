//! What is told of a stack is the same, whoever tells it: AWS when it is asked, or a file with
//! what its command line printed.

use serde_json::json;

use crate::{
    cloudformation::{SECRET, drifts, recorded, run},
    stage::Stage,
    support::aws::{Cloud, member},
};

/// Goal: what the command line printed does as well as asking, whichever of the two is recorded,
/// and what was not printed is unknown. Method: the same answers in a file, with and without the
/// rows of drift.
#[test]
fn answers_of_the_command_line_are_taken_from_a_file() {
    let Some((stage, _ledger, cloud)) = recorded("answers from a file") else {
        return;
    };
    let of = |verb: &str| cloud.aws(&["cloudformation", verb, "--stack-name", "web"]);
    let mut all = [
        of("describe-stacks"),
        of("get-template"),
        of("list-stack-resources"),
    ]
    .concat();
    stage.write("partly.json", &all);
    all.push_str(&of("describe-stack-resource-drifts"));
    let line = "verify prod/web --cloudformation=-";
    stage.feed(line, all.as_bytes()).exits(0).says("VERIFIED");
    stage
        .run("verify prod/web --cloudformation=partly.json")
        .exits(16)
        .says("no drift of its was given");
    stage
        .run("record file/web --cloudformation=partly.json")
        .exits(0);
    run(&stage, &cloud, "verify file/web --cloudformation=live:web").exits(0);
    // Rows of another stack of the same template, and a page of several.
    let (first, rows) = all.split_at(all.find("\"StackResourceDrifts\"").unwrap());
    let id = "\"StackId\": \"arn:other\", \"LogicalResourceId\"";
    let other = format!("{first}{}", rows.replace("\"LogicalResourceId\"", id));
    stage
        .feed(line, other.as_bytes())
        .refuses(1, "SOURCE_INVALID")
        .says("another stack's");
    let page = all.replacen(
        "\"StackResourceSummaries\"",
        "\"NextToken\": \"2\", \"StackResourceSummaries\"",
        1,
    );
    stage
        .feed(line, page.as_bytes())
        .refuses(1, "SOURCE_INVALID")
        .says("one page of several");
    let all = all.replacen("VisibilityTimeout: 60", "VisibilityTimeout: 61", 1);
    stage
        .feed(line, all.as_bytes())
        .exits(10)
        .says("VisibilityTimeout");
}

/// Goal: one template in JSON and in YAML is told equal where all readers agree, and else neither.
/// Method: a name, another one, and digits that are a text to some.
#[test]
fn a_template_in_json_is_told_equal_where_all_readers_agree() {
    let (stage, _ledger) = Stage::with_ledger();
    let template = "Resources:\n  T: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: a}}\n";
    stage.write("j.yaml", template);
    stage
        .run("record json/web --cloudformation=j.yaml")
        .exits(0);
    let as_json = |name: &str| {
        let properties = json!({"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": name}});
        let template = json!({"Resources": {"T": properties}});
        let resources = json!({"StackResourceSummaries": [
            {"LogicalResourceId": "T", "PhysicalResourceId": "t", "ResourceType": "AWS::SNS::Topic"},
        ]});
        let drift = json!({"StackResourceDrifts": [
            {"LogicalResourceId": "T", "StackResourceDriftStatus": "IN_SYNC"},
        ]});
        format!("{}{resources}{drift}", json!({"TemplateBody": template}))
    };
    let line = "verify json/web --cloudformation=-";
    let ran = stage.feed(line, as_json("a").as_bytes()).exits(16);
    ran.says("describe-stacks prints was not given");
    let stack = json!({"StackName": "web", "StackStatus": "CREATE_COMPLETE"});
    let stack = json!({"Stacks": [stack]}).to_string();
    let all = as_json("a") + &stack;
    stage.feed(line, all.as_bytes()).exits(0);
    stage
        .feed(line, as_json("b").as_bytes())
        .exits(10)
        .says("DisplayName");
    stage.write("j.yaml", template.replace(": a}", ": 012}"));
    stage
        .run("record json/web --cloudformation=j.yaml")
        .exits(0);
    stage
        .feed(line, as_json("012").as_bytes())
        .exits(16)
        .says("readers disagree");
}

/// A list of one.
fn one(list: &str, members: &[(&str, &str)]) -> String {
    let inside = members.iter().map(|(name, value)| member(name, value));
    format!(
        "<{list}><member>{}</member></{list}>",
        inside.collect::<String>()
    )
}

/// What AWS says of a stack with all that one can have: the actions, and their results.
fn full() -> [(&'static str, String); 4] {
    let trigger = [
        ("Arn", "arn:aws:cloudwatch:a"),
        ("Type", "AWS::CloudWatch::Alarm"),
    ];
    let rollback = one("RollbackTriggers", &trigger) + &member("MonitoringTimeInMinutes", "7");
    let stack = [
        member("StackId", "arn:aws:cloudformation:eu-west-1:1:stack/full/1"),
        member("StackName", "full"),
        member("StackStatus", "UPDATE_ROLLBACK_COMPLETE"),
        member(
            "ChangeSetId",
            "arn:aws:cloudformation:eu-west-1:1:changeSet/c/2",
        ),
        member("CreationTime", "2026-11-01T10:00:00.000Z"),
        member("LastUpdatedTime", "2026-11-02T10:00:00.120Z"),
        member("DeletionMode", "STANDARD"),
        member("DisableRollback", "true"),
        member("EnableTerminationProtection", "true"),
        member("RetainExceptOnCreate", "false"),
        member(
            "ParentId",
            "arn:aws:cloudformation:eu-west-1:1:stack/above/1",
        ),
        member("RootId", "arn:aws:cloudformation:eu-west-1:1:stack/root/1"),
        member("RoleARN", "arn:aws:iam::1:role/deploys"),
        format!("<RollbackConfiguration>{rollback}</RollbackConfiguration>"),
        "<Capabilities><member>CAPABILITY_IAM</member></Capabilities>".to_owned(),
        "<NotificationARNs><member>arn:aws:sns:t</member></NotificationARNs>".to_owned(),
        one("Tags", &[("Key", "team"), ("Value", "")]),
        one(
            "Outputs",
            &[
                ("OutputKey", "Q"),
                ("OutputValue", "q"),
                ("ExportName", "e"),
            ],
        ),
        one(
            "Parameters",
            &[
                ("ParameterKey", "P"),
                ("ParameterValue", "/p"),
                ("ResolvedValue", SECRET),
            ],
        ),
    ];
    let stacks = format!("<Stacks><member>{}</member></Stacks>", stack.concat());
    let template = "{\"Resources\": {\"T\": {\"Type\": \"AWS::SNS::Topic\"}}}";
    let ids = [("LogicalResourceId", "T"), ("PhysicalResourceId", "t")];
    let rest = [
        ("ResourceType", "AWS::SNS::Topic"),
        ("ResourceStatus", "UPDATE_COMPLETE"),
    ];
    let set = [("ChangeSetName", "c"), ("ExecutionStatus", "AVAILABLE")];
    [
        ("DescribeStacks", stacks),
        ("GetTemplate", member("TemplateBody", template)),
        (
            "ListStackResources",
            one("StackResourceSummaries", &[ids, rest].concat()),
        ),
        ("ListChangeSets", one("Summaries", &set)),
    ]
}

/// Goal: a stack is the same, whoever tells of it. Method: one with all that a stack can have,
/// recorded by asking, and compared with what the command line printed.
#[test]
fn a_stack_is_the_same_whoever_tells_of_it() {
    let Some(cloud) = Cloud::start("a stack is the same") else {
        return;
    };
    let (stage, _ledger) = Stage::with_ledger();
    cloud.says(|says| says.answers.extend(full()));
    drifts(&cloud, "T", "IN_SYNC", &[]);
    run(
        &stage,
        &cloud,
        "record prod/full --cloudformation=live:full",
    )
    .exits(0);
    stage.keeps_nowhere(SECRET, "StackName");
    let of = |verb: &str| cloud.aws(&["cloudformation", verb, "--stack-name", "full"]);
    let printed = [
        of("describe-stacks"),
        of("get-template"),
        of("list-stack-resources"),
        of("list-change-sets"),
        of("describe-stack-resource-drifts"),
    ];
    let line = "verify prod/full --cloudformation=-";
    stage.feed(line, printed.concat().as_bytes()).exits(0);
    for (value, of) in [
        ("role/deploys", "RoleARN"),
        ("cloudwatch:a", "RollbackConfiguration"),
        ("stack/above", "ParentId"),
        ("stack/root", "RootId"),
        ("stack/full/1", "StackId"),
        ("UPDATE_ROLLBACK_COMPLETE", "StackStatus"),
        ("STANDARD", "DeletionMode"),
        ("CAPABILITY_IAM", "Capabilities"),
        ("arn:aws:sns:t", "NotificationARNs"),
        ("team", "Tags"),
        ("\"e\"", "Outputs"),
        ("\"/p\"", "Parameters"),
        (SECRET, "ResolvedParameters"),
        ("AWS::SNS::Topic", "ResourceType"),
    ] {
        let other = match value.strip_suffix('"') {
            Some(value) => format!("{value}x\""),
            None => format!("{value}x"),
        };
        let changed = printed.concat().replace(value, &other);
        let ran = stage.feed(line, changed.as_bytes());
        assert_eq!(ran.code, Some(10), "{value}: {}", ran.out);
        ran.says(of);
    }
}

/// Goal: a change set is recorded with what it changes, and with no value of a parameter. Method:
/// what the command line printed of one, beside what it printed of the stack.
#[test]
fn a_change_set_is_recorded_with_what_it_changes() {
    let Some((stage, _ledger, cloud)) = recorded("a change set") else {
        return;
    };
    let file = format!("file://{}", stage.path("t.yaml").display());
    let size = format!("ParameterKey=Size,ParameterValue={SECRET}");
    let set = ["--stack-name", "web", "--change-set-name", "wider"];
    let how = ["--template-body", &file, "--parameters", &size];
    cloud.aws(&[&["cloudformation", "create-change-set"][..], &set, &how].concat());
    let of = |verb: &str| cloud.aws(&["cloudformation", verb, "--stack-name", "web"]);
    let described = cloud.aws(&[&["cloudformation", "describe-change-set"][..], &set].concat());
    let printed = [
        of("describe-stacks"),
        of("get-template"),
        of("list-stack-resources"),
        described,
    ];
    let line = "record file/web --cloudformation=-";
    stage.feed(line, printed.concat().as_bytes()).exits(0);
    stage
        .run("show file/web")
        .exits(0)
        .says("cloudformation/input/change-set/web/wider.json");
    stage.keeps_nowhere(SECRET, "StackName");
}
