//! The program as its users meet it: real processes, real sockets, real files.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod auditors;
#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "aws")]
mod aws_settings;
mod aws_several;
mod background;
mod beanstalk;
mod cloudformation;
mod cloudformation_parameters;
mod cloudformation_told;
mod cluster;
mod commands;
mod docker;
mod docker_archives;
mod docker_daemon;
mod docker_hostile;
mod docker_login;
mod docker_running;
mod erasing;
mod firm;
mod golden;
mod helm;
mod helm_input;
mod helm_printed;
mod helm_registry;
mod inputs;
mod kept;
mod kubernetes;
mod kubernetes_api;
mod kubernetes_dry_run;
mod kubernetes_input;
mod kubernetes_pods;
mod kubernetes_public;
mod kubernetes_unseen;
mod large;
mod layout;
mod names;
mod offline;
mod orders;
mod pipelines;
mod pkcs11;
mod policies;
mod production;
mod proofs;
mod read;
mod repairing;
mod rogue;
mod running;
mod stage;
mod staple;
mod staple_hostile;
mod staple_tools;
mod succession;
mod terraform;
mod tlog_policy;
mod transcript;
mod trust;
mod verdicts;
mod waiting;
mod waiting_liar;
mod waiting_orders;
mod watching;
mod witnessed;
mod witnesses;
mod wrapped;
