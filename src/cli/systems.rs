//! A flag for each deployment tool that the client knows: `--kubernetes=FILE`.

use std::ffi::OsString;

use cairn_client::systems::{ALL, Asked};
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, builder::OsStringValueParser,
};

/// What was given for each of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Systems(Vec<(&'static str, OsString)>);

impl Systems {
    /// The systems to read, and from where.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let given = self.0.iter();
        given
            .filter_map(|(system, text)| Asked::parse(system, text))
            .collect()
    }

    /// The flags as they were typed, to be typed again.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(system, text)| {
            let text = cairn_client::detail::shell_word(text.as_encoded_bytes());
            match text.as_str() {
                "live" => format!("--{system}"),
                text => format!("--{system}={text}"),
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
                given.map(|text| (system.name(), text))
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
