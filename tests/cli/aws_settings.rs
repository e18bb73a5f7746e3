//! Whom AWS is asked as, and where: what its settings name is what is used, or nothing is asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    aws::{Endpoint, refusal, says, settled, shop},
    stage::{Ran, Stage},
    support::aws::member,
};

const LINE: &str = "record prod/web --cloudformation=live:web";
const KEYS: &str = "aws_access_key_id = testing\naws_secret_access_key = testing\n";

/// Runs with a file of settings, and with variables.
fn run(stage: &Stage, settings: &str, variables: &[(&str, &str)], line: &str) -> Ran {
    stage.write("aws.conf", settings);
    let mut command = settled(stage, line);
    command
        .env("AWS_CONFIG_FILE", stage.path("aws.conf"))
        .envs(variables.iter().copied());
    Ran::of(&mut command, line)
}

/// An endpoint that knows nobody, so that it is seen that it was asked.
fn stranger() -> Endpoint {
    Endpoint::start(|_, to| says(to, "403 Forbidden", "", &refusal("InvalidClientTokenId")))
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Goal: whoever names a profile is not asked for as somebody else, whatever else there is.
/// Method: profiles that are not there, two at once, a file that cannot be read, each with
/// credentials in variables, which would do; and one that is there.
#[test]
fn a_profile_that_is_not_there_is_not_somebody_else() {
    let (stage, _ledger) = Stage::with_ledger();
    let endpoint = stranger();
    let url = url(endpoint.address);
    let keys = [
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", url.as_str()),
    ];
    let prod = format!("[profile prod]\nregion = eu-west-1\n{KEYS}");
    for (settings, named, why) in [
        (
            prod.as_str(),
            &[("AWS_PROFILE", "prdo")][..],
            "no profile prdo",
        ),
        (&prod, &[("AWS_DEFAULT_PROFILE", "prdo")], "no profile prdo"),
        (
            &prod,
            &[("AWS_PROFILE", "prod"), ("AWS_DEFAULT_PROFILE", "other")],
            "two profiles",
        ),
        ("[profile prod", &[], "profile"),
    ] {
        let ran = run(&stage, settings, &[&keys[..], named].concat(), LINE);
        ran.refuses(1, "SOURCE_INVALID").says(why);
    }
    for name in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
        let settings = format!("{prod}endpoint_url = {url}\n");
        let ran = run(&stage, &settings, &[(name, "prod")], LINE);
        ran.refuses(4, "SOURCE_DENIED").says("InvalidClientTokenId");
    }
}

/// Goal: settings that cannot be made use of are an error, and not the machine's own role and
/// region. Method: one of each sort, on a machine that has both, and is never asked for either.
#[test]
fn the_machines_own_role_takes_nobodys_place() {
    let (stage, _ledger) = Stage::with_ledger();
    let asked = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&asked);
    let machine = Endpoint::start(move |_, to| {
        told.store(true, Ordering::Relaxed);
        says(to, "200 OK", "", b"a-role");
    });
    let machine = url(machine.address);
    let base = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.as_str()),
    ];
    let other = stage.path("latin1");
    stage.write("latin1", b"# \xe9\n[default]\n");
    let [latin1, none] = [other, stage.path("none")].map(|it| it.display().to_string());
    let region = "[default]\nregion = eu-west-1\n";
    let with = |more: &str| format!("{region}{more}");
    for (settings, variable, code, why) in [
        (with(KEYS), ("AWS_PROFILE", ""), 1, "AWS_PROFILE is empty"),
        (
            with("role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = gone\n"),
            ("A", ""),
            4,
            "gone",
        ),
        (with("sso_session = gone\n"), ("A", ""), 1, "gone"),
        (
            with(""),
            ("AWS_SHARED_CREDENTIALS_FILE", latin1.as_str()),
            1,
            "latin1",
        ),
        (
            with(""),
            ("AWS_SHARED_CREDENTIALS_FILE", none.as_str()),
            1,
            "none",
        ),
        (
            with(KEYS),
            ("AWS_ACCESS_KEY_ID", "AKIANAMED"),
            1,
            "go together",
        ),
        (format!("[default]\n{KEYS}"), ("A", ""), 1, "AWS_REGION"),
    ] {
        let ran = run(&stage, &settings, &[&base[..], &[variable]].concat(), LINE);
        assert_eq!(ran.code, Some(code), "{settings}: {}", ran.err);
        ran.says(why);
        assert!(!asked.load(Ordering::Relaxed), "{settings}");
    }
}

/// Goal: whoever is asked for credentials is bounded too, and one that does not answer is told
/// from one that says no. Method: a role that is to be taken up, with nobody there, with an
/// endpoint that says no, and with one that says too much.
#[test]
fn who_gives_credentials_is_told_apart_and_bounded() {
    let (stage, _ledger) = Stage::with_ledger();
    let gone = stranger().address;
    let no = Endpoint::start(|_, to| says(to, "403 Forbidden", "", &refusal("AccessDenied")));
    let endless = Endpoint::start(|_, to| says(to, "200 OK", "", &vec![b' '; 2 << 20]));
    for (address, code, reason, why) in [
        (gone, 3, "UNREACHABLE", "refused"),
        (no.address, 4, "SOURCE_DENIED", "AccessDenied"),
        (endless.address, 4, "SOURCE_DENIED", "length limit exceeded"),
    ] {
        let settings = format!(
            "[default]\nregion = eu-west-1\nendpoint_url = {}\nsource_profile = keys\n\
             role_arn = arn:aws:iam::123456789012:role/deploys\n[profile keys]\n{KEYS}",
            url(address)
        );
        let ran = run(&stage, &settings, &[], LINE);
        ran.refuses(code, reason).says(why);
    }
}

/// Goal: a bucket behind an endpoint of one's own is asked for by its path, however that endpoint
/// is named. Method: one for S3 alone, as a section of services.
#[test]
fn an_endpoint_for_s3_alone_has_its_buckets_in_paths() {
    let (stage, _ledger) = Stage::with_ledger();
    let sound = shop(|to| says(to, "200 OK", "", b"bundle"));
    let port = sound.address.port();
    let settings = format!(
        "[default]\nregion = eu-west-1\nservices = own\n{KEYS}[services own]\n\
         s3 =\n  endpoint_url = http://localhost:{port}\n\
         elastic_beanstalk =\n  endpoint_url = http://localhost:{port}\n"
    );
    let line = "record prod/shop --beanstalk=live:shop/prod";
    run(&stage, &settings, &[], line).exits(0);
}

/// Goal: no level of what is told of cairn's own doings shows a secret. Method: the most of it,
/// with a parameter that is one.
#[test]
fn what_is_told_of_doings_shows_no_secret() {
    let (stage, _ledger) = Stage::with_ledger();
    let endpoint = Endpoint::start(|request, to| {
        let action = request.split("Action=").nth(1).unwrap_or_default();
        let action = action.split('&').next().unwrap_or_default();
        let parameter = [
            member("ParameterKey", "Size"),
            member("ParameterValue", "swordfish-4711"),
        ];
        let stack = [
            member("StackName", "web"),
            member("StackId", "arn:1"),
            member("StackStatus", "CREATE_COMPLETE"),
            format!(
                "<Parameters><member>{}</member></Parameters>",
                parameter.concat()
            ),
        ];
        let inside = match action {
            "DescribeStacks" => {
                format!("<Stacks><member>{}</member></Stacks>", stack.concat())
            }
            "GetTemplate" => member("TemplateBody", "Resources: {}"),
            _ => String::new(),
        };
        let text = format!(
            "<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>"
        );
        says(to, "200 OK", "", text.as_bytes());
    });
    let url = url(endpoint.address);
    let settings = format!("[default]\nregion = eu-west-1\nendpoint_url = {url}\n{KEYS}");
    let ran = run(&stage, &settings, &[("CAIRN_LOG", "trace")], LINE).exits(0);
    assert!(ran.err.contains("TRACE"), "{}", ran.err);
    for secret in ["swordfish-4711", "aws_secret", "Credentials"] {
        assert!(!ran.err.contains(secret), "{secret}: {}", ran.err);
    }
}
