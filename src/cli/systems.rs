//! A flag for each deployment tool that the client knows: `--kubernetes=FILE`.

use std::ffi::OsString;

use cairn_client::{
    detail::shell_word,
    systems::{ALL, Asked},
};
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, builder::OsStringValueParser,
};

/// What was given for each of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Systems(Vec<Asked>);

impl Systems {
    /// One system.
    pub(crate) fn of(asked: Asked) -> Self {
        Self(vec![asked])
    }

    /// The systems to read, and from where.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.clone()
    }

    /// What to ask so as to verify what was recorded of these.
    pub(crate) fn verified_by(&self) -> Self {
        let mut all = Vec::<Asked>::new();
        for asked in &self.0 {
            let given = asked.system.verified_by(&asked.given);
            let system = asked.system;
            let known = |it: &Asked| it.system.name() == system.name() && it.given == given;
            if !all.iter().any(known) {
                all.push(Asked { system, given });
            }
        }
        Self(all)
    }

    /// The flags as they would be typed.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|asked| {
            let system = asked.system.name();
            match asked.given.word().as_encoded_bytes() {
                b"live" => format!("--{system}"),
                word => format!("--{system}={}", shell_word(word)),
            }
        })
    }
}

impl FromArgMatches for Systems {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut systems = Self::default();
        systems.update_from_arg_matches(matches)?;
        Ok(systems)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0 = ALL
            .iter()
            .flat_map(|system| {
                let given = matches.get_many::<OsString>(system.name());
                let given = given.into_iter().flatten().cloned();
                given.filter_map(|text| Asked::parse(system.name(), &text))
            })
            .collect();
        Ok(())
    }
}

impl Args for Systems {
    fn augment_args(command: Command) -> Command {
        ALL.iter().fold(command, |command, system| {
            let flag = Arg::new(system.name())
                .long(system.name())
                .help(system.about())
                .help_heading("Deployment tools")
                .value_name("WHAT")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("live")
                .value_parser(OsStringValueParser::new())
                .action(ArgAction::Append);
            command.arg(flag)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
