//! A real provider against a server that answers as AWS does: slow, and only where both are.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use super::works::{Works, expected, mirror};
use crate::{
    stage::{Ran, is_long_run},
    support::tools::skipped,
};

const MAIN: &str = r#"
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
variable "endpoint" {}
variable "password" { sensitive = true }
provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  endpoints {
    ec2 = var.endpoint
    ssm = var.endpoint
  }
}
resource "aws_ssm_parameter" "password" {
  name  = "/shop/password"
  type  = "SecureString"
  value = var.password
}
resource "aws_vpc" "net" {
  cidr_block = "10.0.0.0/16"
  tags       = { owner = "shop" }
}
output "net" { value = aws_vpc.net.id }
"#;

/// A server that answers as AWS does, killed by its id when dropped.
struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    fn start() -> Option<Self> {
        let mut command = Command::new("moto_server");
        let piped = command.args(["-p", "0"]).stderr(Stdio::piped());
        let mut child = piped.stdout(Stdio::null()).spawn().ok()?;
        let mut lines = BufReader::new(child.stderr.take()?).lines();
        let url = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, url) = line.split_once("Running on ")?;
            Some(url.trim().to_owned())
        });
        // It goes on to tell of each request: somebody has to read that.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, url: url? })
    }

    /// What somebody does behind Terraform's back.
    fn aws(&self, line: &str) -> String {
        let mut command = Command::new("aws");
        command
            .args(["--endpoint-url", &self.url, "--output", "text"])
            .args(line.split_whitespace())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", "eu-west-1");
        Ran::of(&mut command, line).exits(0).out.trim().to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Nothing to do if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Goal: what somebody changed through the API, behind Terraform, is named by the provider's
/// own reading, and what the provider merely writes otherwise is not. Method: a tag and a
/// secret, changed through the AWS command.
#[test]
fn a_change_behind_terraform_is_what_the_provider_reads() {
    let what = "a change behind Terraform";
    let Some(settings) = mirror("aws") else {
        skipped(what, "it needs the provider hashicorp/aws in a mirror");
        return;
    };
    if !is_long_run(what) {
        return;
    }
    let (Some(moto), Some(works)) = (Moto::start(), Works::written(what)) else {
        skipped(what, "it needs terraform and moto_server");
        return;
    };
    works.stage.write("terraformrc", settings);
    works.stage.write("tf/main.tf", MAIN);
    let endpoint = format!("endpoint = \"{}\"\n", moto.url);
    works.stage.write("tf/endpoint.auto.tfvars", endpoint);
    works.terraform("init");
    works.terraform("apply -auto-approve");
    works
        .cairn("record prod/shop --terraform=live:tf")
        .exits(0)
        .says("4 objects");
    works.cairn("verify prod/shop --terraform=live:tf").exits(0);
    let net =
        moto.aws("ec2 describe-vpcs --filters Name=cidr,Values=10.0.0.0/16 --query Vpcs[0].VpcId");
    moto.aws(&format!(
        "ec2 create-tags --resources {net} --tags Key=owner,Value=mallory"
    ));
    moto.aws(
        "ssm put-parameter --name /shop/password --type SecureString --overwrite \
         --value swordfish-4712",
    );
    assert_eq!(
        works.differences(10),
        expected(&[
            (
                "resource/aws_ssm_parameter.password",
                "values.value",
                "changed"
            ),
            (
                "resource/aws_ssm_parameter.password",
                "values.version",
                "changed"
            ),
            ("resource/aws_vpc.net", "values.tags.owner", "changed"),
            ("resource/aws_vpc.net", "values.tags_all.owner", "changed"),
        ])
    );
    works.keeps_the_secret_and("aws_vpc.net");
}
